// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* cause.bpf.c - notes what each CPU is doing in interrupt context, so that a waking can say why it happened: a timer, a
 * disk, the network, another CPU. No event of their own; a few stores per interrupt.
 *
 * A note lies at the level that runs: hard interrupt or softirq. x86 has tracepoints for the vectors that pass no
 * irq_handler_entry; elsewhere those wakings have no cause, which is said, not guessed. */
#include "compat.bpf.h"
#include "core.bpf.h"

#define NET_RX_SOFTIRQ 3
#define TIMER_SOFTIRQ 1
#define AF_INET 2

static __always_inline void note(u32 level, u32 kind, u32 detail) {
  struct cause_register *r = this_causes();
  if (!r) return;
  struct cause *c = &r->level[level & 1];
  c->words = 0;
  c->detail = detail;
  c->kind = kind;
}

/* The level that runs now: a hard interrupt hides the softirq below it. */
static __always_inline struct cause *running(struct cause_register *r) {
  if (r->level[LEVEL_HARD].kind) return &r->level[LEVEL_HARD];
  if (r->level[LEVEL_SOFT].kind) return &r->level[LEVEL_SOFT];
  return NULL;
}

static __always_inline u32 timer_class(u64 function) {
  for (u32 i = 1; i < KF_TIMER_CLASSES; i++)
    if (config.timer_functions[i] && function == config.timer_functions[i]) return i;
  return function && function == config.timer_functions[KF_TIMER_CLASSES] ? KF_TIMER_SLEEP : KF_TIMER_OTHER;
}

SEC("tp_btf/irq_handler_entry")
int kf_irq_entry(u64 *ctx) {
  note(LEVEL_HARD, KF_CAUSE_IRQ, (u32)ctx[0]);
  return 0;
}
SEC("tp_btf/irq_handler_exit")
int kf_irq_exit(u64 *ctx) {
  note(LEVEL_HARD, KF_CAUSE_NONE, 0);
  return 0;
}

SEC("tp_btf/softirq_entry")
int kf_softirq_entry(u64 *ctx) {
  u32 vector = (u32)ctx[0];
  if (vector == NET_RX_SOFTIRQ) note(LEVEL_SOFT, KF_CAUSE_NET_RX, KF_NET_UNKNOWN);
  else note(LEVEL_SOFT, KF_CAUSE_SOFTIRQ, vector);
  return 0;
}
SEC("tp_btf/softirq_exit")
int kf_softirq_exit(u64 *ctx) {
  note(LEVEL_SOFT, KF_CAUSE_NONE, 0);
  return 0;
}

SEC("tp_btf/hrtimer_expire_entry")
int kf_hrtimer_entry(u64 *ctx) {
  struct hrtimer *timer = (struct hrtimer *)ctx[0];
  struct cause_register *r = this_causes();
  if (!r) return 0;
  struct cause *c = running(r);
  if (!c) c = &r->level[LEVEL_HARD];
  c->args[0] = timer->_softexpires;
  c->words = 1;
  c->detail = timer_class((u64)timer->function) | ((u32)timer->base->clockid & 15) << 4;
  c->kind = KF_CAUSE_HRTIMER;
  return 0;
}
SEC("tp_btf/hrtimer_expire_exit")
int kf_hrtimer_exit(u64 *ctx) {
  struct cause_register *r = this_causes();
  if (!r) return 0;
  struct cause *c = running(r);
  if (!c || c->kind != KF_CAUSE_HRTIMER) return 0;
  c->words = 0;
  c->detail = KF_IPI_LOCAL_TIMER;
  c->kind = c == &r->level[LEVEL_HARD] ? KF_CAUSE_IPI : KF_CAUSE_SOFTIRQ;
  return 0;
}

SEC("tp_btf/timer_expire_entry")
int kf_timer_entry(u64 *ctx) {
  struct timer_list *timer = (struct timer_list *)ctx[0];
  note(LEVEL_SOFT, KF_CAUSE_TIMER, timer_class((u64)timer->function));
  return 0;
}
SEC("tp_btf/timer_expire_exit")
int kf_timer_exit(u64 *ctx) {
  note(LEVEL_SOFT, KF_CAUSE_SOFTIRQ, TIMER_SOFTIRQ);
  return 0;
}

static __always_inline struct gendisk *disk_of(struct request *rq) {
  if (bpf_core_field_exists(((struct request_queue *)NULL)->disk)) return rq->q->disk;
  return ((struct request___pre517 *)rq)->rq_disk;
}

SEC("tp_btf/block_rq_complete")
int kf_block_complete(u64 *ctx) {
  struct request *rq = (struct request *)ctx[0];
  struct cause_register *r = this_causes();
  struct cause *c = r ? running(r) : NULL;
  if (!c) return 0;
  struct gendisk *disk = disk_of(rq);
  u32 major = disk ? disk->major : ~0u, minor = disk ? disk->first_minor : ~0u;
  c->args[0] = rq->start_time_ns;
  c->args[1] = rq->io_start_time_ns;
  c->words = 2;
  c->detail = major < 256 && minor < 512 ? major << 9 | minor : KF_DEV_UNKNOWN;
  c->kind = KF_CAUSE_BLOCK;
  return 0;
}

SEC("tp_btf/sk_data_ready")
int kf_sk_data_ready(u64 *ctx) {
  struct sock *sk = (struct sock *)ctx[0];
  struct cause_register *r = this_causes();
  struct cause *c = r ? running(r) : NULL;
  if (!c || c->kind != KF_CAUSE_NET_RX) return 0;
  if (sk->__sk_common.skc_family != AF_INET) return 0;
  u32 here = sk->__sk_common.skc_rcv_saddr, there = sk->__sk_common.skc_daddr;
  c->detail = here == there || (there & 0xff) == 127 ? KF_NET_LOOPBACK : KF_NET_REMOTE; /* network byte order */
  return 0;
}

SEC("tp_btf/workqueue_execute_start")
int kf_work_start(u64 *ctx) {
  struct work_struct *work = (struct work_struct *)ctx[0];
  struct cause_register *r = this_causes();
  if (!r) return 0;
  r->work_function = (u64)work->func;
  r->work_tid = bpf_get_current_task_btf()->pid;
  return 0;
}
SEC("tp_btf/workqueue_execute_end")
int kf_work_end(u64 *ctx) {
  struct cause_register *r = this_causes();
  if (r) r->work_tid = 0;
  return 0;
}

/* Interrupts between CPUs and the local timer: x86 only. */
#define VECTOR(name, detail)                     \
  SEC("tp_btf/" #name "_entry")                  \
  int kf_##name##_entry(u64 *ctx) {              \
    note(LEVEL_HARD, KF_CAUSE_IPI, detail);      \
    return 0;                                    \
  }                                              \
  SEC("tp_btf/" #name "_exit")                   \
  int kf_##name##_exit(u64 *ctx) {               \
    note(LEVEL_HARD, KF_CAUSE_NONE, 0);          \
    return 0;                                    \
  }
VECTOR(local_timer, KF_IPI_LOCAL_TIMER)
VECTOR(reschedule, KF_IPI_RESCHEDULE)
VECTOR(call_function, KF_IPI_CALL)
VECTOR(call_function_single, KF_IPI_CALL)
VECTOR(irq_work, KF_IPI_IRQ_WORK)
