/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * lock.bpf.h - whether a thread that leaves the CPU waits for a lock inside the kernel, as the switch program asks it.
 */
#ifndef KFLIGHT_LOCK_BPF_H
#define KFLIGHT_LOCK_BPF_H

#include "compat.bpf.h"
#include "core.bpf.h"

/* How many threads are between contention_begin and contention_end of a lock that is slept on. */
extern kf_u32 open_lock_count;

/* With PREEMPT_RT a mutex is an rt_mutex and has no such owner. */
static __always_inline bool knows_mutex_owner(struct task_struct___locks *t) {
  return config.has_blocked_on && bpf_core_field_exists(t->blocked_on) &&
         bpf_core_field_exists(((struct mutex *)NULL)->owner);
}

static __always_inline bool waits_for_lock(struct task_struct *prev) {
  struct task_struct___locks *t = (void *)prev;
  return (knows_mutex_owner(t) && t->blocked_on) ||
         (config.has_rt_mutex_owner && bpf_core_field_exists(t->pi_blocked_on) && t->pi_blocked_on);
}

/* Tell which lock the current task is about to sleep on, and who holds it; only at a switch, of the task that leaves. The
 * first asks the task, the second what contention_begin said, if it did. */
int tell_lock(u32 tid);
int tell_open_lock(u32 tid);
/* What contention_begin said of a thread is over. */
int forget_open_lock(u32 tid);

#endif
