// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* handoff.bpf.c - how work goes from one to the next where no waking tells: requests to block devices, work items of
 * kworkers, signals.
 *
 * Requests and signals are events, up to a cap per CPU. Of a work item only a note is kept, and its event is written when
 * the item wakes somebody (handoff.bpf.h). */
#include "handoff.bpf.h"

/* ------------------------------------------------------------------ block requests */

static __always_inline struct gendisk *disk_of(struct request *rq) {
  if (bpf_core_field_exists(((struct request_queue *)NULL)->disk)) return rq->q->disk;
  return ((struct request___pre517 *)rq)->rq_disk;
}

static __always_inline void put_block(struct request *rq, struct gendisk *disk, u32 phase, u32 bytes, u32 failed) {
  struct batch *b = this_batch();
  u64 now = bpf_ktime_get_boot_ns();
  struct slot s;
  if (!b || !within_cap(now)) return;
  struct task_struct *task = current_task();
  u32 tid = field(task, pid), context = waker_context(b);
  u32 major = disk ? disk->major : 0, minor = disk ? disk->first_minor : 0;
  if (phase != KF_BLOCK_COMPLETE && context == KF_CTX_TASK && (field(task, flags) & PF_WQ_WORKER)) tell_work(tid);
  if (!kf_begin_at(&s, b, tid, now)) return;
  s.out[0] = kf_pack_block(s.dt, phase, rq->cmd_flags, context, failed);
  s.out[1] = (u64)rq;
  s.out[2] = kf_block_device(bytes, major, minor);
  s.out[3] = rq->__sector;
  kf_end(&s, KF_BLOCK_WORDS);
}

/* 5.11 removed the queue, the first argument, from these two, a54895fa057c. Goes when the floor is 5.11. */
static __always_inline struct request *request_of(u64 *ctx) {
  if (!config.block_has_queue) return (struct request *)ctx[0];
  u64 second = ctx[1];
  asm volatile("" : "+r"(second)); /* or the two become one read at a computed place, which no verifier allows */
  return (struct request *)second;
}

SEC("tp_btf/block_rq_insert")
int kf_block_insert(u64 *ctx) {
  struct request *rq = request_of(ctx);
  put_block(rq, disk_of(rq), KF_BLOCK_INSERT, rq->__data_len, 0);
  return 0;
}

SEC("tp_btf/block_rq_issue")
int kf_block_issue(u64 *ctx) {
  struct request *rq = request_of(ctx);
  put_block(rq, disk_of(rq), KF_BLOCK_ISSUE, rq->__data_len, 0);
  return 0;
}

/* Besides its event, the note for the wakings that follow in this interrupt. */
SEC("tp_btf/block_rq_complete")
int kf_block_complete(u64 *ctx) {
  struct request *rq = (struct request *)ctx[0];
  struct gendisk *disk = disk_of(rq);
  struct cause_register *r = this_causes();
  struct cause *c = r ? running(r) : NULL;
  if (c) {
    u32 major = disk ? disk->major : ~0u, minor = disk ? disk->first_minor : ~0u;
    c->args[0] = rq->start_time_ns;
    c->args[1] = rq->io_start_time_ns;
    c->words = 2;
    c->detail = major < 256 && minor < 512 ? major << 9 | minor : KF_DEV_UNKNOWN;
    c->kind = KF_CAUSE_BLOCK;
  }
  put_block(rq, disk, KF_BLOCK_COMPLETE, (u32)ctx[2], (u32)ctx[1] != 0);
  return 0;
}

/* ------------------------------------------------------------------ work items */

static __always_inline struct queued_work *queued_work_of(u64 work) {
  u64 number = as_number(work);
  u32 index = (number >> 5 ^ number >> 17) & (QUEUED_WORKS - 1);
  return bpf_map_lookup_elem(&queued_works, &index);
}

SEC("tp_btf/workqueue_queue_work")
int kf_work_queue(u64 *ctx) {
  u64 work = ctx[2];
  struct queued_work *q = queued_work_of(work);
  struct cause_register *r = this_causes();
  struct batch *b = this_batch();
  if (!q || !r || !b) return 0;
  struct task_struct *task = current_task();
  q->work = 0; /* whoever reads meanwhile finds nothing, not halves */
  barrier();
  q->queued_ns = bpf_ktime_get_boot_ns();
  q->queuer = field(task, pid);
  q->context = waker_context(b);
  q->cpu = bpf_get_smp_processor_id();
  q->queuer_nr = KF_WAKER_NO_SYS;
  q->cause.kind = KF_CAUSE_NONE;
  q->cause.words = 0;
  q->cause.args[0] = 0;
  q->cause.args[1] = 0;
  if (q->context == KF_CTX_HARDIRQ || q->context == KF_CTX_SOFTIRQ) {
    struct cause *c = &r->level[q->context == KF_CTX_HARDIRQ ? LEVEL_HARD : LEVEL_SOFT];
    q->cause = *c;
  }
  if (q->context != KF_CTX_HARDIRQ) {
    struct pt_regs *regs = task_user_regs(task);
    s64 nr = regs ? regs_nr(regs) : -1;
    if (nr >= 0) q->queuer_nr = waker_nr_of(task, nr);
  }
  barrier();
  q->work = work;
  return 0;
}

SEC("tp_btf/workqueue_execute_start")
int kf_work_start(u64 *ctx) {
  struct work_struct *work = (struct work_struct *)ctx[0];
  u32 tid = field(current_task(), pid);
  u32 index = tid & (RUNNING_WORKS - 1);
  struct running_work *run = bpf_map_lookup_elem(&running_works, &index);
  if (!run) return 0;
  run->tid = tid;
  run->told = 0;
  run->function = (u64)work->func;
  run->started_ns = bpf_ktime_get_boot_ns();
  run->queued.work = 0;
  struct queued_work *q = queued_work_of((u64)work);
  if (q && q->work == (u64)work) run->queued = *q;
  return 0;
}

SEC("tp_btf/workqueue_execute_end")
int kf_work_end(u64 *ctx) {
  struct running_work *run = running_work_of(field(current_task(), pid));
  if (run) run->tid = 0;
  return 0;
}

/* ------------------------------------------------------------------ signals */

SEC("tp_btf/signal_generate")
int kf_signal(u64 *ctx) {
  u32 number = (u32)ctx[0], to_process = (u32)ctx[3], result = (u32)ctx[4];
  struct task_struct *target = (struct task_struct *)ctx[2];
  struct batch *b = this_batch();
  u64 now = bpf_ktime_get_boot_ns();
  struct slot s;
  if (!b || !within_cap(now)) return 0;
  u32 context = waker_context(b);
  if (!kf_begin_at(&s, b, field(current_task(), pid), now)) return 0;
  s.out[0] = kf_word_generic(KF_GEN_SIGNAL, KF_SIGNAL_WORDS, s.dt,
                             (u32)target->pid | context << 22 | (to_process ? KF_SIGNAL_GROUP : 0));
  s.out[1] = (number & 0xff) | (u64)(result & 0xff) << 8 | (u64)(u32)target->tgid << 32;
  kf_end(&s, KF_SIGNAL_WORDS);
  return 0;
}
