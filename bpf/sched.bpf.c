// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sched.bpf.c - who runs where, who woke whom, who came and went.
 *
 * Programs take the raw context (u64 *ctx) because the same program must load on kernels whose tracepoints have other
 * argument counts: an argument that may be absent is read behind a flag of the configuration, and the verifier drops the
 * dead branch. */
#include "compat.bpf.h"
#include "core.bpf.h"
#include "handoff.bpf.h"
#include "stack.bpf.h"

static __always_inline bool in_scope(struct task_struct *a, struct task_struct *b) {
  if (!config.scope_target) return true;
  return is_target(a->tgid) || is_target(b->tgid);
}

/* Moves the call that prev is in from the CPU to the task. Returns its entry time, 0 if prev is in no traced call. */
static __always_inline u64 park_call(u32 tid, bool dead) {
  u32 zero = 0;
  struct kf_cpu_call *c = bpf_map_lookup_elem(&calls, &zero);
  if (!c || c->tid != tid || !tid) return 0;
  u64 enter_ns = c->enter_ns;
  c->tid = 0;
  if (!dead) park(tid, c->nr, enter_ns);
  return enter_ns;
}

static __always_inline u32 tid_at(u64 task_address) {
  u32 tid = 0;
  if (task_address) bpf_core_read(&tid, sizeof(tid), &((struct task_struct *)task_address)->pid);
  return tid & KF_TID_MASK;
}

static __always_inline void put_lock_event(u32 tid, u32 kind, u64 lock, u32 owner) {
  struct slot s;
  if (!kf_begin(&s, tid)) return;
  s.out[0] = kf_word_generic(KF_GEN_LOCK_WAIT, KF_LOCK_WAIT_WORDS, s.dt, owner | kind << 22);
  s.out[1] = lock;
  kf_end(&s, KF_LOCK_WAIT_WORDS);
}

static __always_inline bool waits_for_lock(struct task_struct *prev) {
  struct task_struct___locks *t = (void *)prev;
  return (bpf_core_field_exists(t->blocked_on) && t->blocked_on) ||
         (bpf_core_field_exists(t->pi_blocked_on) && t->pi_blocked_on);
}

/* The two below are global functions, which the verifier looks at once and apart from their caller; the switch program
 * would be too complex for it otherwise. At a switch the current task is the one that leaves. */

/* The kernel lock that the current task is about to sleep on, and who holds it. The low bits of an owner's address are
 * flags. */
__noinline int tell_lock(u32 tid) {
  struct task_struct___locks *t = (void *)bpf_get_current_task_btf();
  if (bpf_core_field_exists(t->blocked_on)) {
    struct mutex *mutex = t->blocked_on;
    if (mutex) put_lock_event(tid, KF_LOCK_MUTEX, (u64)mutex, tid_at(mutex->owner.counter & ~7ULL));
  }
  if (bpf_core_field_exists(t->pi_blocked_on) && bpf_core_type_exists(struct rt_mutex_base)) {
    struct rt_mutex_waiter *waiter = t->pi_blocked_on;
    if (waiter) {
      struct rt_mutex_base *lock = waiter->lock;
      u64 owner = 0; /* copied: the verifier allows no arithmetic on a pointer it knows */
      bpf_core_read(&owner, sizeof(owner), &lock->owner);
      put_lock_event(tid, KF_LOCK_RT_MUTEX, (u64)lock, tid_at(owner & ~1ULL));
    }
  }
  return 0;
}

/* Whose CPU quota is used up: the nearest throttled group above the current task. */
__noinline int tell_throttle(u32 tid) {
  struct task_struct *task = bpf_get_current_task_btf();
  struct cfs_rq *queue = task->se.cfs_rq;
  struct sched_entity *above = task->se.parent;
  struct slot s;
  if (!bpf_core_field_exists(queue->throttled)) return 0;
  for (int depth = 0; depth < 8 && queue && !BPF_CORE_READ_BITFIELD(queue, throttled); depth++) {
    if (!above) return 0;
    queue = above->cfs_rq;
    above = above->parent;
  }
  if (!queue || !kf_begin(&s, tid)) return 0;
  s.out[0] = kf_word_generic(KF_GEN_THROTTLE, KF_THROTTLE_WORDS, s.dt, 0);
  s.out[1] = (u64)queue->tg;
  s.out[2] = queue->tg->css.cgroup->kn->id;
  kf_end(&s, KF_THROTTLE_WORDS);
  return 0;
}

SEC("tp_btf/sched_switch")
int kf_sched_switch(u64 *ctx) {
  u32 preempt = (bool)ctx[0];
  struct task_struct *prev = (struct task_struct *)ctx[1];
  struct task_struct *next = (struct task_struct *)ctx[2];
  u32 raw_state = config.has_prev_state ? (u32)ctx[3] : task_state(prev);
  u32 prev_tid = prev->pid, next_tid = next->pid;
  u32 follows = 0;
  u64 enter_ns = 0;
  struct slot s;

  if (!in_scope(prev, next)) return 0;
  if (config.causes) { /* first, while the verifier has few states to follow through the rest */
    if (unlikely(task_throttled(prev))) tell_throttle(prev_tid);
    if (unlikely(waits_for_lock(prev))) tell_lock(prev_tid);
  }
  struct batch *b = this_batch();
  if (!b) return 0;
  u64 now = bpf_ktime_get_boot_ns();
  /* Then the stacks: the verifier follows them once for every way that leads there. */
  bool blocks = raw_state && !(raw_state & TASK_DEAD) && !preempt, has_stacks = false;
  if (config.stacks && blocks && prev_tid && is_target_noted(b, prev->tgid))
    has_stacks = take_stacks(ctx, SCRATCH_TASK, prev);

  u32 state = kf_state_code(raw_state);
  if (config.syscalls != KF_SYSCALLS_OFF) enter_ns = park_call(prev_tid, state == KF_ST_DEAD);

  struct pt_regs *regs = NULL;
  s64 nr = -1;
  if (prev_tid && (enter_ns || (state != KF_ST_RUNNING && !preempt))) {
    regs = task_user_regs(prev);
    if (regs) nr = regs_nr(regs);
    if (nr >= 0) follows = KF_SWITCH_SYS | (enter_ns ? KF_SWITCH_ENTER : 0);
  }
  u32 prev_prio = prev->prio, next_prio = next->prio;
  if ((prev_prio != KF_DEFAULT_PRIO || next_prio != KF_DEFAULT_PRIO)) {
    /* the idle task's priority says nothing */
    if ((prev_tid && prev_prio != KF_DEFAULT_PRIO) || (next_tid && next_prio != KF_DEFAULT_PRIO))
      follows |= KF_SWITCH_PRIO;
  }

  if (!kf_begin_at(&s, b, prev_tid, now)) return 0;
  u64 *out = s.out;
  out[0] = kf_pack_switch(s.dt, next_tid, state, preempt, BPF_CORE_READ_BITFIELD(prev, in_iowait), task_throttled(prev),
                          (u32)(prev->nvcsw + prev->nivcsw), follows);
  u32 n = 1;
  if (follows & KF_SWITCH_SYS) n += put_call(out + 1, prev, regs, nr);
  if (follows & KF_SWITCH_ENTER) out[n++] = s.now > enter_ns ? s.now - enter_ns : 0;
  if (follows & KF_SWITCH_PRIO)
    out[n++] = kf_pack_prio(prev_tid ? prev_prio : KF_DEFAULT_PRIO, next_tid ? next_prio : KF_DEFAULT_PRIO,
                            prev_tid ? prev->policy : 0, next_tid ? next->policy : 0);
  if (!s.nested) s.batch->running = next_tid;
  kf_end(&s, n);
  if (has_stacks) kf_put_stack(SCRATCH_TASK, s.now, next_tid, prev_tid, KF_STACK_BLOCK);
  return 0;
}

/* Cause kind, detail and words of a waking in this context; the words go to out. */
static __always_inline u64 put_cause(u64 *out, u32 context, u64 work, u32 *words) {
  *words = 0;
  if (!config.causes) return 0;
  if (context == KF_CTX_TASK) {
    if (!work) return 0;
    out[0] = work;
    *words = 1;
    return kf_pack_waking2(0, 0, 0, KF_CAUSE_WORK, 0, 1);
  }
  struct cause_register *causes = this_causes();
  if (!causes) return 0;
  struct cause *c = &causes->level[context == KF_CTX_HARDIRQ ? LEVEL_HARD : LEVEL_SOFT];
  if (!c->kind) return 0;
  out[0] = c->args[0];
  out[1] = c->args[1];
  *words = c->words & 3;
  return kf_pack_waking2(0, 0, 0, c->kind, c->detail, c->words);
}

SEC("tp_btf/sched_waking")
int kf_sched_waking(u64 *ctx) {
  struct task_struct *wakee = (struct task_struct *)ctx[0];
  struct batch *b = this_batch();
  if (!b) return 0;
  struct task_struct *waker = this_task(&b->run_queue);
  u32 context = waker_context(b);
  u32 wakee_tid = wakee->pid;
  u32 waker_nr = KF_WAKER_NO_SYS;
  struct slot s;

  if (context == KF_CTX_NMI || !in_scope(wakee, waker)) return 0;
  if (context != KF_CTX_HARDIRQ) {
    struct pt_regs *regs = current_user_regs(waker);
    s64 nr = regs ? regs_nr(regs) : -1;
    if (nr >= 0) waker_nr = nr < KF_WAKER_BIG_NR ? nr : KF_WAKER_BIG_NR;
  }
  u64 work = 0;
  if (config.causes && context == KF_CTX_TASK && unlikely(waker->flags & PF_WQ_WORKER)) work = tell_work(waker->pid);
  if (!kf_begin(&s, waker->pid)) return 0;
  s.out[0] = kf_pack_waking(s.dt, wakee_tid, context, 0, task_cpu(wakee));
  u32 words;
  u64 cause = put_cause(s.out + 2, context, work, &words);
  s.out[1] = kf_pack_waking2(0, waker_nr, wakee->prio, 0, 0, 0) | cause;
  if (!s.nested && !wakee->on_cpu) {
    s.batch->wake_tid = wakee_tid;
    s.batch->wake_ran = wakee->se.sum_exec_runtime;
    s.batch->wake_at = s.batch->n;
    s.batch->wake_ns = s.now;
  }
  kf_end(&s, 2 + words);
  if (config.stacks == KF_STACKS_ALL && context == KF_CTX_TASK && is_target_noted(b, wakee->tgid) &&
      take_stacks(ctx, SCRATCH_TASK, bpf_get_current_task_btf()))
    kf_put_stack(SCRATCH_TASK, s.now, waker->pid, waker->pid, KF_STACK_WAKER);
  return 0;
}

/* The enqueue. When it follows its waking on the same CPU, it becomes part of that event. Onto this CPU's own queue it
 * follows at once, so it shares the waking's time and the clock, the dearest part of an event, is not read; only with
 * another CPU's queue is there a lock to wait for. Neither holds for a wakee that is still on a CPU: it has to leave it
 * first, and may be handed to that CPU to be enqueued there, whereupon a later waking may send it here; a wakee that has
 * run since is not this waking's any more. */
SEC("tp_btf/sched_wakeup")
int kf_sched_wakeup(u64 *ctx) {
  struct task_struct *wakee = (struct task_struct *)ctx[0];
  u32 tid = wakee->pid;
  u32 cpu = task_cpu(wakee);
  struct batch *b = this_batch();
  struct slot s;

  if (!b) return 0;
  if (b->wake_tid == tid && !b->busy && tid && b->wake_ran == wakee->se.sum_exec_runtime && !task_throttled(wakee)) {
    b->busy = 1;
    barrier();
    u64 delay = cpu == bpf_get_smp_processor_id() ? 0 : bpf_ktime_get_boot_ns() - b->wake_ns;
    u32 at = b->wake_at;
    bool merged = b->wake_tid == tid && delay <= KF_WAKEUP_DELAY_MAX && at < KF_CHUNK_WORDS;
    if (merged) {
      b->words[at & KF_BATCH_MASK] = kf_merge_wakeup(b->words[at & KF_BATCH_MASK], cpu);
      b->words[(at & KF_BATCH_MASK) + 1] = kf_merge_delay(b->words[(at & KF_BATCH_MASK) + 1], delay);
      b->wake_tid = 0;
      b->hits++;
    }
    barrier();
    b->busy = 0;
    if (merged) return 0;
  }
  struct task_struct *current = this_task(&b->run_queue);
  if (!in_scope(wakee, current)) return 0;
  if (!kf_begin(&s, current->pid)) return 0;
  s.out[0] = kf_pack_wakeup(s.dt, tid, cpu, 0, task_throttled(wakee));
  kf_end(&s, 1);
  return 0;
}

SEC("tp_btf/sched_wakeup_new")
int kf_sched_wakeup_new(u64 *ctx) {
  struct task_struct *wakee = (struct task_struct *)ctx[0];
  struct task_struct *current = bpf_get_current_task_btf();
  struct slot s;
  if (!in_scope(wakee, current)) return 0;
  if (!kf_begin(&s, current->pid)) return 0;
  s.out[0] = kf_pack_wakeup(s.dt, wakee->pid, task_cpu(wakee), 1, 0);
  kf_end(&s, 1);
  return 0;
}

SEC("tp_btf/sched_migrate_task")
int kf_sched_migrate_task(u64 *ctx) {
  struct task_struct *task = (struct task_struct *)ctx[0];
  u32 dest = (u32)ctx[1];
  struct task_struct *current = bpf_get_current_task_btf();
  struct slot s;
  if (task_state(task) & TASK_WAKING) return 0; /* part of a wakeup, which names the new CPU itself */
  if (!in_scope(task, current)) return 0;
  if (!kf_begin(&s, current->pid)) return 0;
  s.out[0] = kf_word_generic(KF_GEN_MIGRATE, KF_MIGRATE_WORDS, s.dt, (u32)task->pid);
  s.out[1] = (u64)task_cpu(task) | (u64)dest << 16;
  kf_end(&s, KF_MIGRATE_WORDS);
  return 0;
}

/* ------------------------------------------------------------------ lives */

static __always_inline void copy_comm(u64 *out, struct task_struct *task) {
  __builtin_memcpy(out, task->comm, KF_COMM_BYTES);
}

static __always_inline void tell(u32 type, struct task_struct *task, u64 arg0) {
  struct kf_ctl *r = control_reserve();
  if (!r) return;
  r->type = type;
  r->tid = task->pid;
  r->tgid = task->tgid;
  r->exit_ns = bpf_ktime_get_boot_ns();
  r->ret = task->exit_code;
  r->args[0] = arg0;
  __builtin_memcpy(r->comm, task->comm, KF_COMM_BYTES);
  bpf_ringbuf_submit(r, BPF_RB_FORCE_WAKEUP);
}

SEC("tp_btf/sched_process_fork")
int kf_sched_process_fork(u64 *ctx) {
  struct task_struct *parent = (struct task_struct *)ctx[0];
  struct task_struct *child = (struct task_struct *)ctx[1];
  u32 child_tgid = child->tgid, parent_tgid = parent->tgid;
  bool is_thread = child_tgid == parent_tgid;
  struct slot s;

  if (!is_thread && !config.everyone) {
    if (config.follow && bpf_map_lookup_elem(&targets, &parent_tgid)) {
      u32 one = 1;
      bpf_map_update_elem(&targets, &child_tgid, &one, BPF_ANY);
      __sync_fetch_and_add(&target_gen, 1);
      tell(KF_CTL_FORK, child, parent_tgid);
    } else if (config.watch_names) {
      tell(KF_CTL_EXEC, child, 0);
    }
  }
  if (!kf_begin(&s, bpf_get_current_task_btf()->pid)) return 0;
  s.out[0] = kf_word_generic(KF_GEN_FORK, KF_FORK_WORDS, s.dt, (u32)child->pid | (is_thread ? KF_FORK_IS_THREAD : 0));
  s.out[1] = (u64)child_tgid | (u64)(u32)parent->pid << 32;
  s.out[2] = child->start_boottime;
  s.out[3] = child->cgroups->dfl_cgrp->kn->id;
  copy_comm(&s.out[4], child);
  kf_end(&s, KF_FORK_WORDS);
  return 0;
}

SEC("tp_btf/sched_process_exec")
int kf_sched_process_exec(u64 *ctx) {
  struct task_struct *task = (struct task_struct *)ctx[0];
  u32 old_tid = (u32)ctx[1];
  struct linux_binprm *bprm = (struct linux_binprm *)ctx[2];
  struct slot s;
  if (config.watch_names) tell(KF_CTL_EXEC, task, 0);
  if (config.syscalls != KF_SYSCALLS_OFF && old_tid != (u32)task->pid) forget_parked(old_tid);
  if (!kf_begin(&s, task->pid)) return 0;
  u64 *out = s.out;
  __builtin_memset(out + KF_EXEC_WORDS_MIN, 0, KF_FILENAME_BYTES);
  s64 len = bpf_probe_read_kernel_str(out + KF_EXEC_WORDS_MIN, KF_FILENAME_BYTES, bprm->filename);
  if (len < 1 || len > KF_FILENAME_BYTES) len = 1;
  len -= 1; /* the NUL */
  u32 n = KF_EXEC_WORDS_MIN + (((u32)len + 7) >> 3);
  out[0] = kf_word_generic(KF_GEN_EXEC, n, s.dt, (u32)task->pid);
  out[1] = (u64)old_tid | (u64)len << 32;
  copy_comm(&out[2], task);
  kf_end(&s, n);
  return 0;
}

SEC("tp_btf/sched_process_exit")
int kf_sched_process_exit(u64 *ctx) {
  struct task_struct *task = (struct task_struct *)ctx[0];
  bool group_dead = task->signal->live.counter == 0;
  u32 tid = task->pid, tgid = task->tgid;
  struct slot s;

  if (config.syscalls != KF_SYSCALLS_OFF) forget_parked(tid);
  if (group_dead && !config.everyone && bpf_map_lookup_elem(&targets, &tgid)) {
    bpf_map_delete_elem(&targets, &tgid);
    __sync_fetch_and_add(&target_gen, 1);
    tell(KF_CTL_TARGET_EXIT, task, 0);
  }
  if (!kf_begin(&s, bpf_get_current_task_btf()->pid)) return 0;
  s.out[0] = kf_word_generic(KF_GEN_EXIT, KF_EXIT_WORDS, s.dt, tid | (group_dead ? KF_EXIT_GROUP_DEAD : 0));
  s.out[1] = (u32)task->exit_code;
  kf_end(&s, KF_EXIT_WORDS);
  return 0;
}

SEC("tp_btf/task_rename")
int kf_task_rename(u64 *ctx) {
  struct task_struct *task = (struct task_struct *)ctx[0];
  const char *name = (const char *)ctx[1];
  struct slot s;
  if (config.watch_names && task->pid == task->tgid) {
    struct kf_ctl *r = control_reserve();
    if (r) {
      r->type = KF_CTL_EXEC;
      r->tid = task->pid;
      r->tgid = task->tgid;
      r->exit_ns = bpf_ktime_get_boot_ns();
      bpf_probe_read_kernel_str(r->comm, KF_COMM_BYTES, name);
      bpf_ringbuf_submit(r, BPF_RB_FORCE_WAKEUP);
    }
  }
  if (!kf_begin(&s, bpf_get_current_task_btf()->pid)) return 0;
  s.out[0] = kf_word_generic(KF_GEN_RENAME, KF_RENAME_WORDS, s.dt, (u32)task->pid);
  s.out[1] = 0;
  s.out[2] = 0;
  bpf_probe_read_kernel_str(&s.out[1], KF_COMM_BYTES, name);
  kf_end(&s, KF_RENAME_WORDS);
  return 0;
}
