// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* syscall.bpf.c - the target's syscalls: how long each took, and whether that fires a trigger.
 *
 * Entry only notes number and time in the CPU's slot; nothing is written until the call ends (one SYSCALL event for the
 * pair) or its task is switched out (sched.bpf.c moves the note to the task). Loaded only when a duration is needed,
 * because these tracepoints put every task of the machine on the slow syscall path. */
#include "compat.bpf.h"
#include "core.bpf.h"
#include "stack.bpf.h"

#define CONTROL_SPACING_NS 1000000 /* at most about one trigger record per ms and rule; the others are counted */

kf_u64 control_last_ns = 0;
kf_u32 control_last_rules = 0; /* that had a record since then */

static __always_inline void note_entry(u32 nr) {
  u32 zero = 0;
  struct kf_cpu_call *c = bpf_map_lookup_elem(&calls, &zero);
  if (!c) return;
  struct task_struct *task = this_task(&c->run_queue);
  if (!is_target_now(c, field(task, tgid))) return;
  c->nr = nr;
  c->enter_ns = bpf_ktime_get_boot_ns();
  barrier();
  c->tid = field(task, pid);
}

SEC("tp_btf/sys_enter")
int kf_sys_enter(u64 *ctx) {
  forbid_preemption();
  note_entry((u32)ctx[1]);
  allow_preemption();
  return 0;
}

/* FUTEX_WAIT, FUTEX_WAIT_BITSET and FUTEX_WAIT_REQUEUE_PI with a timeout: a timer or an idle worker, no lock. */
static __always_inline bool timed_futex_wait(struct pt_regs *regs) {
  u32 command = regs_arg1(regs) & 0x7f;
  return (command == 0 || command == 9 || command == 11) && regs_arg3(regs);
}

/* A global function, which the verifier looks at apart from its caller: of the result it only knows that it is a number. And
 * what a rule says is known to it, what the call was is not: with a branch for each it would follow all ways through all
 * rules. */
__noinline u32 matching_rules(u32 nr, u64 dur, s64 ret, u64 timed) {
  u64 candidates = config.rules_of_nr[table_index(nr)];
  u64 matched = 0;
  for (int i = 0; i < KF_RULES_MAX; i++) {
    const volatile struct kf_rule *rule = &config.rules[i];
    u64 matches = is_below(dur, rule->max_ns & ~(1ULL << 63)) & ~is_below(dur, rule->min_ns);
    if (rule->match_ret) matches &= ~differs(ret, rule->ret);
    if (rule->futex_nr) matches &= ~(timed & ~differs(nr, rule->futex_nr));
    matched |= (candidates & matches << i) & 1ULL << i;
  }
  return matched;
}

static __always_inline void send_call(struct pt_regs *regs, u32 type, u32 rules, u32 nr, u32 abi, u64 enter_ns,
                                      u64 exit_ns, s64 ret) {
  if (type == KF_CTL_SYSCALL) {
    u32 told = control_last_rules;
    if (exit_ns - control_last_ns >= CONTROL_SPACING_NS) {
      control_last_ns = exit_ns;
      told = 0;
    } else if (!(rules & ~told)) {
      __sync_fetch_and_add(&counters.control_merged, 1);
      return;
    }
    control_last_rules = told | rules; /* a rule that fires all the time leaves room for the others */
  }
  struct kf_ctl *r = control_reserve();
  if (!r) return;
  u64 id = bpf_get_current_pid_tgid();
  r->type = type;
  r->rules = rules;
  r->tid = (u32)id;
  r->tgid = id >> 32;
  r->nr = nr;
  r->abi = abi;
  r->enter_ns = enter_ns;
  r->exit_ns = exit_ns;
  r->ret = ret;
  r->args[0] = regs_arg0(regs);
  r->args[1] = regs_arg1(regs);
  r->args[2] = regs_arg2(regs);
  r->args[3] = regs_arg3(regs);
  r->args[4] = regs_arg4(regs);
  r->args[5] = regs_arg5(regs);
  r->merged = counters.control_merged;
  bpf_get_current_comm(r->comm, sizeof(r->comm));
  bpf_ringbuf_submit(r, BPF_RB_FORCE_WAKEUP);
}

/* From where the current task made the call that ends now, in which it has waited for long. */
static __always_inline void tell_user_side(void *ctx, struct task_struct *task, u64 now, u64 enter_ns) {
  struct stack_scratch *s = take_user_side(ctx, SCRATCH_TASK, task);
  if (s && (s->user | s->lost)) kf_put_waited(now, field(task, pid), enter_ns);
}

static __always_inline void tell_exit(u64 *ctx) {
  struct pt_regs *regs = (struct pt_regs *)ctx[0];
  s64 ret = (s64)ctx[1];
  u32 zero = 0;
  u32 tid;
  u64 enter_ns = 0;
  u32 parked = 0, waited = 0;
  u32 nr;
  struct slot s;

  struct kf_cpu_call *c = bpf_map_lookup_elem(&calls, &zero);
  if (!c) return;
  struct task_struct *task = this_task(&c->run_queue);
  if (!is_target_now(c, field(task, tgid))) return;
  tid = field(task, pid);
  if (c->tid == tid) {
    enter_ns = c->enter_ns;
    nr = c->nr;
    c->tid = 0;
    barrier(); /* from here on no dump tells of it */
  } else {
    struct kf_parked_call *open = find_parked(tid);
    parked = 1;
    if (open && open->enter_ns) {
      enter_ns = open->enter_ns;
      nr = open->nr;
      open->enter_ns = 0;
      open->out_ns = 0;
      waited = open->waited && !open->exec;
      open->waited = open->exec = 0;
    } else {
      s64 raw = regs_nr(regs); /* entered before we were attached: a child's first return has none at all */
      if (raw < 0) return;
      nr = (u32)raw;
    }
  }
  u64 now = bpf_ktime_get_boot_ns();
  u64 dur = enter_ns ? now - enter_ns : KF_DUR_UNKNOWN;
  bool told = !parked && c->told == (u32)enter_ns;
  if (!parked && dur < config.quick_ns && !watched_count && !told) return; /* most calls by far */
  u32 abi = task_abi(task, nr);
  nr = native_nr(nr);

  struct batch *b = this_batch();
  bool wanted = config.syscalls == KF_SYSCALLS_ALL || parked || told || dur >= config.slow_floor_ns;
  if (b && wanted && kf_begin_at(&s, b, tid, now)) {
    now = s.now; /* not before the event before it */
    u64 lasted = enter_ns ? now - enter_ns : KF_DUR_UNKNOWN;
    u32 taken = abi == KF_ABI_NATIVE && nr < KF_SYS_TABLE ? config.sys_args[table_index(nr)] : KF_ARGS_0;
    /* a parked call's arguments are in its SWITCH already */
    u32 args = nr >= KF_SYS_NR_ESCAPE || abi != KF_ABI_NATIVE || (!parked && taken != KF_ARGS_NONE);
    u64 *out = s.out;
    u32 n = kf_put_syscall(out, s.dt, nr, lasted, ret, parked, args);
    if (args) {
      /* constant places, for the verifier */
      if (n == 1) n += put_call(out + 1, task, regs, nr);
      else if (n == 2) n += put_call(out + 2, task, regs, nr);
      else n += put_call(out + 3, task, regs, nr);
    }
    if (!s.nested) b->hits++; /* the entry */
    kf_end(&s, n);
  }
  if (config.stacks && config.stack_wait_ns && waited) tell_user_side(ctx, current_task(), now, enter_ns);

  /* After the event: a record wakes the recorder, and its interrupt would put that waking before this call's end. */
  u32 rules = 0;
  if (config.n_rules && abi == KF_ABI_NATIVE && enter_ns && nr < KF_SYS_TABLE && config.rules_of_nr[table_index(nr)])
    rules = matching_rules(nr, dur, ret, timed_futex_wait(regs));
  if (rules) send_call(regs, KF_CTL_SYSCALL, rules, nr, abi, enter_ns, now, ret);
  if (watched_count) {
    u64 *since = bpf_map_lookup_elem(&watched, &tid);
    if (since) { /* this call, or one that ended before it was asked for */
      if (*since == enter_ns || !*since) send_call(regs, KF_CTL_RESOLVED, 0, nr, abi, enter_ns, now, ret);
      bpf_map_delete_elem(&watched, &tid);
      __sync_fetch_and_add(&watched_count, -1);
    }
  }
}

SEC("tp_btf/sys_exit")
int kf_sys_exit(u64 *ctx) {
  forbid_preemption();
  tell_exit(ctx);
  allow_preemption();
  return 0;
}
