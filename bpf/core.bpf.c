// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* core.bpf.c - owns the maps and the configuration that the headers declare, and the flush program that a dump runs on
 * every CPU so that nothing recent stays behind in a batch. */
#include "compat.bpf.h"
#include "core.bpf.h"
#include "handoff.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile struct kf_config config = {};
const volatile struct kf_name_matcher names = {};

struct batches_map batches SEC(".maps");
struct causes_map causes SEC(".maps");
struct caps_map caps SEC(".maps");
struct queued_works_map queued_works SEC(".maps");
struct running_works_map running_works SEC(".maps");
struct work_functions_map work_functions SEC(".maps");
struct nested_map nesteds SEC(".maps");
struct calls_map calls SEC(".maps");
struct parked_map parked SEC(".maps");
struct open_calls_map open_calls SEC(".maps");
struct targets_map targets SEC(".maps");
struct watched_map watched SEC(".maps");
struct control_map control SEC(".maps");
struct rings_map rings SEC(".maps");

kf_u32 target_gen = 0;
kf_u32 watched_count = 0;
kf_u64 regs_offset = 0;
struct kf_counters counters = {};

/* Says that the current task is in a call that it entered some time ago; its end is still to come. */
static __always_inline u32 put_open_call(struct batch *b, u64 now, u64 *out) {
  u32 zero = 0;
  struct kf_cpu_call *c = bpf_map_lookup_elem(&calls, &zero);
  if (!c || !c->tid || c->tid != b->running) return 0;
  struct task_struct *task = current_task();
  if (field(task, pid) != (s32)c->tid) return 0;
  struct pt_regs *regs = task_user_regs(task);
  if (!regs) return 0;
  c->told = (u32)c->enter_ns;
  u32 n = 2 + put_call(out + 2, task, regs, c->nr);
  out[1] = now - c->enter_ns;
  out[0] = kf_word_generic(KF_GEN_SYSCALL_OPEN, n, 0, 0);
  return n;
}

/* Run through BPF_PROG_RUN on each CPU. Not 0 (KF_FLUSH_*): try again. */
SEC("raw_tp")
int kf_flush(void *ctx) {
  struct batch *b = this_batch();
  if (!b) return 0;
  int result = 0;
  if (b->busy) return KF_FLUSH_BUSY;
  b->busy = 1;
  barrier();
  if (b->n) {
    u32 n = b->n, events = b->events, hits = b->hits, seq = b->seq;
    u64 last_ns = b->last_ns, events_total = b->events_total;
    u64 now = bpf_ktime_get_boot_ns();
    if (now > b->last_ns && b->n < KF_CHUNK_WORDS) {
      u32 words = put_open_call(b, now, &b->words[(n + 1) & KF_BATCH_MASK]);
      if (words) {
        b->words[n & KF_BATCH_MASK] = kf_pack_time(now - b->last_ns);
        b->n = n + 1 + words;
        b->last_ns = now;
        b->events++;
        b->hits++;
        b->events_total++;
      }
    }
    if (kf_send(b, KF_CHUNK_FLUSHED)) {
      b->n = n;
      b->events = events;
      b->hits = hits;
      b->seq = seq;
      b->last_ns = last_ns;
      b->events_total = events_total;
      result = KF_FLUSH_NO_ROOM;
    }
  }
  barrier();
  b->busy = 0;
  return result;
}

/* Where the user registers of a task lie on its stack; the same for every task. */
SEC("raw_tp")
int kf_regs_offset(void *ctx) {
  if (!config.has_task_pt_regs) return 0;
  struct task_struct *task = current_task();
  return (u64)bpf_task_pt_regs(task) - (u64)task->stack;
}

/* The recorder's own process id as BPF sees it: differs from getpid() inside a PID namespace. */
SEC("raw_tp")
int kf_whoami(void *ctx) { return bpf_get_current_pid_tgid() >> 32; }
