// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sample.bpf.c - what the target's running threads do, some times a second: a perf event on the software CPU clock of each
 * CPU, which needs no hardware counter. Loaded only when asked for (--sample). */
#include "stack.bpf.h"

SEC("perf_event")
int kf_sample(void *ctx) {
  struct task_struct *task = current_task();
  struct batch *b = this_batch();
  u32 tid = field(task, pid);
  if (!b || !tid || !is_target_noted(b, field(task, tgid))) return 0;
  if (take_stacks(ctx, SCRATCH_SAMPLE, task))
    kf_put_stack(SCRATCH_SAMPLE, bpf_ktime_get_boot_ns(), tid, tid, KF_STACK_SAMPLE);
  return 0;
}
