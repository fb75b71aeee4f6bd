// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* sched.bpf.c - who runs where, who woke whom.
 *
 * Programs take the raw context (u64 *ctx) because the same program must load on kernels whose tracepoints have other
 * argument counts: an argument that may be absent is read behind a flag of the configuration, and the verifier drops the
 * dead branch. */
#include "compat.bpf.h"
#include "core.bpf.h"
#include "handoff.bpf.h"
#include "lock.bpf.h"
#include "stack.bpf.h"

/* Of whoever exits all is told: births are, so deaths must be, and a target's last thread is none any more by then. */
static __always_inline bool in_scope(struct task_struct *a, struct task_struct *b) {
  if (!config.scope_target) return true;
  return is_target(field(a, tgid)) || is_target(field(b, tgid)) || (field(a, flags) | field(b, flags)) & PF_EXITING;
}

/* Moves the call that prev is in from the CPU to the task; not of one that exits, as nobody would take it from there any
 * more. Returns its entry time, 0 if prev is in no traced call. */
static __always_inline u64 park_call(u32 tid, bool exits) {
  u32 zero = 0;
  struct kf_cpu_call *c = bpf_map_lookup_elem(&calls, &zero);
  if (!c || c->tid != tid || !tid) return 0;
  u64 enter_ns = c->enter_ns;
  c->tid = 0;
  if (!exits) park(tid, c->nr, enter_ns);
  return enter_ns;
}

/* Whose CPU quota is used up: the nearest throttled group above the current task. A global function, like tell_lock(): at a
 * switch the current task is the one that leaves, also to a kernel that gives no more of it than an address; it is rarely
 * called, so it can do with that everywhere. */
__noinline int tell_throttle(u32 tid) {
  struct task_struct *task = (void *)bpf_get_current_task();
  struct cfs_rq *queue = BPF_CORE_READ(task, se.cfs_rq);
  struct sched_entity *above = BPF_CORE_READ(task, se.parent);
  struct slot s;
  if (!bpf_core_field_exists(queue->throttled)) return 0;
  for (int depth = 0; depth < 8 && queue && !BPF_CORE_READ_BITFIELD_PROBED(queue, throttled); depth++) {
    if (!above) return 0;
    queue = BPF_CORE_READ(above, cfs_rq);
    above = BPF_CORE_READ(above, parent);
  }
  if (!queue || !kf_begin(&s, tid)) return 0;
  s.out[0] = kf_word_generic(KF_GEN_THROTTLE, KF_THROTTLE_WORDS, s.dt, 0);
  s.out[1] = (u64)BPF_CORE_READ(queue, tg);
  s.out[2] = BPF_CORE_READ(queue, tg, css.cgroup, kn, id);
  kf_end(&s, KF_THROTTLE_WORDS);
  return 0;
}

/* The three below are about a thread that leaves the CPU to wait. Two are global functions, too: the switch program
 * need not know in which of two maps its place is. */
__noinline int in_timed_call(u32 tid) {
  struct kf_parked_call *place = find_parked(tid);
  return place && place->enter_ns;
}

/* Before the switch is written: what cannot wait until the wait was long. A function of its own and without a result, so
 * that all ways through it look the same to the verifier afterwards. */
static __noinline void look_before_wait(void *ctx, struct task_struct *prev, u32 tid) {
  if (!config.stack_wait_ns) take_stacks(ctx, SCRATCH_TASK, prev);
  else if (!in_timed_call(tid)) take_user_side(ctx, SCRATCH_TASK, prev);
}

/* After it: where the thread was is told when it has waited for long. Outside of a timed call with the user's side that is
 * in the scratch, as there is no later moment to ask for that. */
__noinline int expect_wait(u32 tid, u64 now) {
  u32 scratch = SCRATCH_TASK;
  struct stack_scratch *s = bpf_map_lookup_elem(&stack_scratches, &scratch);
  struct kf_parked_call *place = place_to_park(tid);
  if (!s || !place) {
    __sync_fetch_and_add(&counters.stacks_lost, 1);
    return 0;
  }
  if (!place->enter_ns) {
    place->user = s->user;
    place->lost = s->lost;
  }
  place->out_ns = now;
  return 0;
}

/* Where `next`, which gets the CPU now, has waited, when that was for long. */
static __noinline int tell_wait(struct task_struct *next, u64 now) {
  u32 scratch = SCRATCH_TASK;
  struct kf_parked_call *call = find_parked(next->pid);
  if (!call || !call->out_ns) return 0;
  u64 since_ns = call->out_ns;
  call->out_ns = 0;
  if (now - since_ns < config.stack_wait_ns) return 0;
  struct stack_scratch *s = bpf_map_lookup_elem(&stack_scratches, &scratch);
  if (!s) return 0;
  s->kernel = s->user = s->lost = 0;
  if (call->enter_ns) {
    call->waited = 1;
  } else {
    s->user = call->user;
    s->lost = call->lost;
  }
  keep_kernel_stack(s, scratch, bpf_get_task_stack(next, s->words, config.stack_frames * 8, 0));
  if (s->kernel || s->lost & KF_STACK_LOST_KERNEL) kf_put_waited(now, next->pid, since_ns);
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
  bool blocks = raw_state && !(raw_state & TASK_DEAD) && !preempt;
  if (config.causes) { /* first, while the verifier has few states to follow through the rest */
    if (unlikely(task_throttled(prev))) tell_throttle(prev_tid);
    if (unlikely(waits_for_lock(prev))) tell_lock(prev_tid);
    if (unlikely(open_lock_count) && blocks) tell_open_lock(prev_tid);
  }
  struct batch *b = this_batch();
  if (!b) return 0;
  u64 now = bpf_ktime_get_boot_ns();
  u32 state = kf_state_code(raw_state);
  bool exits = prev->flags & PF_EXITING;
  if (config.syscalls != KF_SYSCALLS_OFF) enter_ns = park_call(prev_tid, exits);
  /* Then the stacks: the verifier follows them once for every way that leads there. */
  bool waits = config.stacks && blocks && !exits && prev_tid && is_target_noted(b, prev->tgid);
  if (waits) look_before_wait(ctx, prev, prev_tid);

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
  if (waits && !config.stack_wait_ns) kf_put_stack(SCRATCH_TASK, s.now, next_tid, prev_tid, KF_STACK_BLOCK);
  if (waits && config.stack_wait_ns) expect_wait(prev_tid, s.now);
  if (config.stacks && config.stack_wait_ns && next_tid && is_target_noted(b, next->tgid)) tell_wait(next, s.now);
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
  u32 wakee_tid = wakee->pid, waker_tid = field(waker, pid);
  u32 waker_nr = KF_WAKER_NO_SYS;
  struct slot s;

  if (context == KF_CTX_NMI || !in_scope(wakee, waker)) return 0;
  if (context != KF_CTX_HARDIRQ) {
    struct pt_regs *regs = current_user_regs(waker);
    s64 nr = regs ? regs_nr(regs) : -1;
    if (nr >= 0) waker_nr = waker_nr_of(waker, nr);
  }
  u64 work = 0;
  if (config.causes && context == KF_CTX_TASK && unlikely(field(waker, flags) & PF_WQ_WORKER)) work = tell_work(waker_tid);
  if (!kf_begin(&s, waker_tid)) return 0;
  s.out[0] = kf_pack_waking(s.dt, wakee_tid, context, 0, task_cpu(wakee));
  u32 words;
  u64 cause = put_cause(s.out + 2, context, work, &words);
  s.out[1] = kf_pack_waking2(0, waker_nr, wakee->prio, 0, 0, 0) | cause;
  if (!s.nested && !task_on_cpu(wakee)) {
    s.batch->wake_tid = wakee_tid;
    s.batch->wake_ran = wakee->se.sum_exec_runtime;
    s.batch->wake_at = s.batch->n;
    s.batch->wake_ns = s.now;
  }
  kf_end(&s, 2 + words);
  if (config.stacks == KF_STACKS_ALL && context == KF_CTX_TASK && is_target_noted(b, wakee->tgid) &&
      take_stacks(ctx, SCRATCH_TASK, current_task()))
    kf_put_stack(SCRATCH_TASK, s.now, waker_tid, waker_tid, KF_STACK_WAKER);
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
  if (!kf_begin(&s, field(current, pid))) return 0;
  s.out[0] = kf_pack_wakeup(s.dt, tid, cpu, 0, task_throttled(wakee));
  kf_end(&s, 1);
  return 0;
}

SEC("tp_btf/sched_wakeup_new")
int kf_sched_wakeup_new(u64 *ctx) {
  struct task_struct *wakee = (struct task_struct *)ctx[0];
  struct task_struct *current = current_task();
  struct slot s;
  if (!in_scope(wakee, current)) return 0;
  if (!kf_begin(&s, field(current, pid))) return 0;
  s.out[0] = kf_pack_wakeup(s.dt, wakee->pid, task_cpu(wakee), 1, 0);
  kf_end(&s, 1);
  return 0;
}

SEC("tp_btf/sched_migrate_task")
int kf_sched_migrate_task(u64 *ctx) {
  struct task_struct *task = (struct task_struct *)ctx[0];
  u32 dest = (u32)ctx[1];
  struct task_struct *current = current_task();
  struct slot s;
  if (task_state(task) & TASK_WAKING) return 0; /* part of a wakeup, which names the new CPU itself */
  if (!in_scope(task, current)) return 0;
  if (!kf_begin(&s, field(current, pid))) return 0;
  s.out[0] = kf_word_generic(KF_GEN_MIGRATE, KF_MIGRATE_WORDS, s.dt, (u32)task->pid);
  s.out[1] = (u64)task_cpu(task) | (u64)dest << 16;
  kf_end(&s, KF_MIGRATE_WORDS);
  return 0;
}
