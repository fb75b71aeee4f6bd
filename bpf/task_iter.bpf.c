// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* task_iter.bpf.c - one record per thread of the system: taken when recording starts, so that threads which stay silent
 * are known too, and at every dump, so that counts in the dump can be checked against the kernel's own. */
#include "compat.bpf.h"
#include "core.bpf.h"
#include "stack.bpf.h"

/* Of the dead there may be no stack any more, and what is read where it was is a call with the number 0. */
static __always_inline void fill_call(struct kf_task *r, struct task_struct *task) {
  if (task->exit_state || !task->stack) return;
  struct pt_regs *regs = task_user_regs(task);
  if (!regs) return;
  s64 nr = regs_nr(regs);
  if (nr < 0) return;
  r->flags |= KF_TASK_HAS_SYS;
  r->nr = native_nr(nr);
  r->abi = task_abi(task, nr);
  r->args[0] = regs_arg0(regs);
  r->args[1] = regs_arg1(regs);
  r->args[2] = regs_arg2(regs);
  r->args[3] = regs_arg3(regs);
  r->args[4] = regs_arg4(regs);
  r->args[5] = regs_arg5(regs);
  struct kf_parked_call *open = find_parked(r->tid);
  if (open && open->enter_ns) {
    r->sys_enter_ns = open->enter_ns;
    r->flags |= KF_TASK_ENTER_KNOWN;
  }
}

SEC("iter/task")
int kf_task_iter(struct bpf_iter__task *ctx) {
  struct task_struct *task = ctx->task;
  struct seq_file *seq = ctx->meta->seq;
  struct kf_task r = {};
  if (!task) return 0;
  r.tid = task->pid;
  r.tgid = task->tgid;
  r.ppid = task->real_parent->tgid;
  r.state = kf_state_code(task_state(task) | (task->exit_state ? TASK_DEAD : 0));
  r.cpu = task_cpu(task);
  r.prio = task->prio;
  r.policy = task->policy;
  if (task->flags & PF_KTHREAD) r.flags |= KF_TASK_KTHREAD;
  if (task_on_cpu(task)) r.flags |= KF_TASK_ON_CPU;
  if (task_on_rq(task)) r.flags |= KF_TASK_ON_RQ;
  if (is_target(r.tgid)) r.flags |= KF_TASK_TARGET;
  r.start_ns = task->start_boottime;
  r.cgroup_id = task->cgroups->dfl_cgrp->kn->id;
  r.run_ns = task->se.sum_exec_runtime;
  r.run_delay_ns = task->sched_info.run_delay;
  r.run_count = task->sched_info.pcount;
  fill_call(&r, task);
  __builtin_memcpy(r.comm, task->comm, KF_COMM_BYTES);
  r.nvcsw = task->nvcsw;
  r.nivcsw = task->nivcsw;
  r.ts_ns = bpf_ktime_get_boot_ns();
  bpf_seq_write(seq, &r, sizeof(r));
  return 0;
}

/* Threads of the target in a wait that is long already and whose stacks are told at its end: for a dump that does not see
 * the end. */
SEC("iter/task")
int kf_wait_iter(struct bpf_iter__task *ctx) {
  struct task_struct *task = ctx->task;
  struct seq_file *seq = ctx->meta->seq;
  u32 scratch = SCRATCH_ITER;
  struct kf_waiter w = {};
  if (!task || task_on_cpu(task) || task_on_rq(task)) return 0;
  w.tid = task->pid;
  w.tgid = task->tgid;
  if (w.tgid == config.own_tgid || !is_target(w.tgid)) return 0;
  struct kf_parked_call *call = find_parked(w.tid);
  if (!call || !call->out_ns || bpf_ktime_get_boot_ns() - call->out_ns < config.stack_wait_ns) return 0;
  w.out_ns = call->out_ns;
  w.switches = task->nvcsw + task->nivcsw;
  struct stack_scratch *s = bpf_map_lookup_elem(&stack_scratches, &scratch);
  struct pt_regs *regs = task_user_regs(task);
  struct mm_struct *mm = task->mm;
  if (!s) return 0;
  s->kernel = s->lost = 0;
  keep_kernel_stack(s, scratch, bpf_get_task_stack(task, s->words, config.stack_frames * 8, 0));
  w.kernel = s->kernel;
  if (regs && mm) {
    w.space = space_of(task);
    w.ip = regs_ip(regs);
    w.sp = regs_sp(regs);
    w.fp = regs_fp(regs);
    w.text = mm->start_code;
    w.text_end = mm->end_code;
  }
  bpf_seq_write(seq, &w, sizeof(w));
  return 0;
}
