// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lives.bpf.c - who came and went, under which name, and whether that makes or ends a target. */
#include "compat.bpf.h"
#include "core.bpf.h"
#include "lock.bpf.h"

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

/* Whoever takes a name that is watched for is a target from here on: asked first, userspace would answer when the process
 * may be in a call already, whose begin nobody has noted. */
static __noinline int meet_name(struct task_struct *task, const char *comm) {
  u32 one = 1, tgid = task->tgid;
  if (!kf_name_matches(&names, comm) || bpf_map_lookup_elem(&targets, &tgid)) return 0;
  if (bpf_map_update_elem(&targets, &tgid, &one, BPF_ANY)) return 0;
  __sync_fetch_and_add(&target_gen, 1);
  tell(KF_CTL_EXEC, task, 0);
  return 0;
}

static __always_inline void look_at_name(struct task_struct *task) {
  char comm[KF_COMM_BYTES];
  if (!config.watch_names) return;
  __builtin_memcpy(comm, task->comm, KF_COMM_BYTES);
  meet_name(task, comm);
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
    } else {
      look_at_name(child);
    }
  }
  if (parks()) forget_parked(child->pid); /* whose end was missed, if anybody had this id before */
  if (!kf_begin(&s, field(current_task(), pid))) return 0;
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
  look_at_name(task);
  if (parks()) {
    struct kf_parked_call *call = find_parked(task->pid);
    if (call && call->enter_ns) call->exec = 1; /* an exec that was never switched out is not in there */
    if (old_tid != (u32)task->pid) forget_parked(old_tid);
  }
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

  if (parks()) forget_parked(tid);
  if (open_lock_count) forget_open_lock(tid); /* a thread that exits waits for none: an end was missed */
  if (watched_count && !bpf_map_delete_elem(&watched, &tid)) __sync_fetch_and_add(&watched_count, -1); /* it never returns */
  if (group_dead && !config.everyone && bpf_map_lookup_elem(&targets, &tgid)) {
    bpf_map_delete_elem(&targets, &tgid);
    __sync_fetch_and_add(&target_gen, 1);
    tell(KF_CTL_TARGET_EXIT, task, 0);
  }
  if (!kf_begin(&s, field(current_task(), pid))) return 0;
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
    char comm[KF_COMM_BYTES] = {};
    bpf_probe_read_kernel_str(comm, KF_COMM_BYTES, name);
    meet_name(task, comm);
  }
  if (!kf_begin(&s, field(current_task(), pid))) return 0;
  s.out[0] = kf_word_generic(KF_GEN_RENAME, KF_RENAME_WORDS, s.dt, (u32)task->pid);
  s.out[1] = 0;
  s.out[2] = 0;
  bpf_probe_read_kernel_str(&s.out[1], KF_COMM_BYTES, name);
  kf_end(&s, KF_RENAME_WORDS);
  return 0;
}
