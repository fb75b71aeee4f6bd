/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * compat.bpf.h - where kernels differ. Each shim names what changed, when, and when it can go. Decisions are made from
 * BTF (CO-RE existence checks, or a flag the loader found in BTF), never from a version number.
 */
#ifndef KFLIGHT_COMPAT_BPF_H
#define KFLIGHT_COMPAT_BPF_H

#include "core.bpf.h"

#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000
#define PF_IO_WORKER 0x00000010
#define PF_WQ_WORKER 0x00000020
#define PF_USER_WORKER 0x00004000
#define TASK_WAKING 0x200
#define TASK_DEAD 0x80

/* 5.14 renamed task_struct.state (long) to __state (unsigned int), 2f064a59a11f. Goes when the floor is 5.14. */
static __always_inline u32 task_state(struct task_struct *task) {
  if (bpf_core_field_exists(task->__state)) return task->__state;
  return (u32)((struct task_struct___pre514 *)task)->state;
}

/* 5.16 moved task_struct.cpu into thread_info on x86 and arm64, bcf9033e5449. Goes when the floor is 5.16. */
static __always_inline u32 task_cpu(struct task_struct *task) {
  if (bpf_core_field_exists(task->thread_info.cpu)) return task->thread_info.cpu;
  return ((struct task_struct___pre516 *)task)->cpu;
}

/* The object is built twice. Kernels before 5.12 refuse an atomic operation with a result wherever it stands, even behind a
 * flag: for them KF_OLD_KERNEL takes it out. Those before 5.11 have no bpf_get_current_task_btf (3ca1032ab7ab), only the
 * address of the current task, of which every field is copied by a helper: what may be the current task, or comes from it,
 * is read by field(). Goes when the floor is 5.12. */
#ifdef KF_OLD_KERNEL
#define current_task() ((struct task_struct *)bpf_get_current_task())
#define field(pointer, name) BPF_CORE_READ(pointer, name)
#else
#define current_task() bpf_get_current_task_btf()
#define field(pointer, name) ((pointer)->name)
#endif

/* 7.3 made task_struct.on_cpu and on_rq one byte wide; a plain read of an int cannot be moved there. Whatever their width,
 * this reads it. */
static __always_inline bool task_on_cpu(struct task_struct *task) { return BPF_CORE_READ_BITFIELD(task, on_cpu) != 0; }
static __always_inline bool task_on_rq(struct task_struct *task) { return BPF_CORE_READ_BITFIELD(task, on_rq) != 0; }

#define MAX_RT_PRIO 100

/* 6.18 marks tasks of a throttled cgroup. Older kernels count, on the run queue of the task's group, how many of the groups
 * above it are throttled; the queue is there for tasks of other scheduling classes as well. */
static __always_inline u32 task_throttled(struct task_struct *task) {
  if (!config.has_quotas) return 0;
  struct task_struct___throttled *t = (void *)task;
  if (bpf_core_field_exists(t->throttled)) return t->throttled;
  if (!bpf_core_field_exists(((struct cfs_rq *)NULL)->throttle_count) || task->prio < MAX_RT_PRIO) return 0;
  return task->se.cfs_rq->throttle_count > 0;
}

/* bpf_rdonly_cast (6.2, a35b9af4ec2c) turns an address into a pointer that may be read directly; before it, a helper call
 * has to copy. Any structure with an int (a pointer to a task) at its start serves as the type of an int (of such a
 * pointer). */
#ifdef KF_FAST_READS /* one object only: the linker of libbpf before 1.2 fails on a kernel function that two of them use */
extern void *bpf_rdonly_cast(const void *address, u32 btf_id) __ksym __weak;
#define fast_reads config.has_rdonly_cast
#else
#define bpf_rdonly_cast(address, btf_id) NULL
#define fast_reads false
#endif

static __always_inline void find_run_queue(u64 *run_queue) {
  if (*run_queue) return;
  struct cfs_rq *queue = field(current_task(), se.cfs_rq);
  *run_queue = (u64)field(queue, rq);
}

/* The task this CPU runs, without a helper call: a per-CPU variable, which is found like the preempt count below. The
 * result may be read, but not be given to a helper. `run_queue`: a place to keep this CPU's. */
static __always_inline struct task_struct *this_task(u64 *run_queue) {
  if (!fast_reads || !config.has_current_task) return current_task();
  find_run_queue(run_queue);
  struct rcuwait *pointer =
      bpf_rdonly_cast((void *)(*run_queue + config.current_task_delta), bpf_core_type_id_kernel(struct rcuwait));
  return pointer->task;
}

/* What interrupted what: bits of preempt_count. On x86 that is a per-CPU variable, __preempt_count; from 6.2
 * (64701838bf05) to 6.14 (46e8fff6d45f) it was a member of pcpu_hot. A typed ksym would reach it only on kernels whose
 * kallsyms list data (CONFIG_KALLSYMS_ALL), and an unresolved one fails the load. BTF gives the offsets of all per-CPU
 * variables, so the loader computes how far it lies from the CPU's run queue, and any task knows its run queue. 7.3 made the
 * count 64 bits wide and moved hard interrupts up by 8 bits (9634d860ac15); who disabled them is counted below. */
static __always_inline bool read_preempt_count(struct batch *b, u32 *result) {
  u32 count = 0;
#if defined(__TARGET_ARCH_x86)
  if (!config.has_preempt_count) return false;
  find_run_queue(&b->run_queue);
  if (!b->run_queue) return false;
  void *at = (void *)(b->run_queue + config.preempt_count_delta);
  if (fast_reads) {
    struct refcount_struct *p = bpf_rdonly_cast(at, bpf_core_type_id_kernel(struct refcount_struct));
    count = p->refs.counter;
  } else {
    bpf_probe_read_kernel(&count, sizeof(count), at);
  }
  *result = count;
  return true;
#else
  return false;
#endif
}

static __always_inline u32 counted_context(struct batch *b) {
  u32 count;
  if (!read_preempt_count(b, &count)) return KF_CTX_TASK;
  if (count >> (config.hardirq_shift + 4) & 0xf) return KF_CTX_NMI;
  if (count >> config.hardirq_shift & 0xf) return KF_CTX_HARDIRQ;
  if (count & 0x000100) return KF_CTX_SOFTIRQ; /* serving one; 0x200 and up only mean they are disabled */
  return KF_CTX_TASK;
}

/* KF_CTX_* of what runs here. With PREEMPT_RT softirqs are served by threads like any other, which the kernel's count does
 * not tell: it is whoever noted the softirq's beginning, and has not noted its end. */
static __always_inline u32 waker_context(struct batch *b) {
  u32 context = counted_context(b);
  if (!config.softirqs_are_threads || context != KF_CTX_TASK) return context;
  struct cause_register *r = this_causes();
  if (!r || !r->level[LEVEL_SOFT].kind) return KF_CTX_TASK;
  return r->level[LEVEL_SOFT].tid == (u32)bpf_get_current_pid_tgid() ? KF_CTX_SOFTIRQ : KF_CTX_TASK;
}

/* Others have no registers of a caller on their stack. */
static __always_inline bool has_user_side(struct task_struct *task) {
  return !(field(task, flags) & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER));
}
static __always_inline struct pt_regs *task_user_regs_fast(struct task_struct *task) {
  if (!has_user_side(task)) return NULL;
  return bpf_rdonly_cast(task->stack + regs_offset, bpf_core_type_id_kernel(struct pt_regs));
}
/* Registers a task saved when it entered the kernel; none for a task without a user side. bpf_task_pt_regs exists since
 * 5.15 (dd6e10fbd9fb); before, blocked calls are not known. The registers lie at the same place of every task's stack,
 * which the loader asked the helper for once, so that no event needs the call. */
static __always_inline struct pt_regs *task_user_regs(struct task_struct *task) {
  if (!config.has_task_pt_regs) return NULL;
  if (fast_reads && regs_offset) return task_user_regs_fast(task);
  if (!has_user_side(task)) return NULL;
  return (struct pt_regs *)bpf_task_pt_regs(task);
}
static __always_inline struct pt_regs *current_user_regs(struct task_struct *current) {
  if (fast_reads && regs_offset && config.has_current_task) return task_user_regs_fast(current);
  return task_user_regs(current_task());
}

#if defined(__TARGET_ARCH_x86)
static __always_inline s64 regs_nr(struct pt_regs *regs) { return (s64)regs->orig_ax; } /* negative: not in a call */
static __always_inline u64 regs_arg0(struct pt_regs *regs) { return regs->di; }
static __always_inline u64 regs_arg1(struct pt_regs *regs) { return regs->si; }
static __always_inline u64 regs_arg2(struct pt_regs *regs) { return regs->dx; }
static __always_inline u64 regs_arg3(struct pt_regs *regs) { return regs->r10; }
static __always_inline u64 regs_arg4(struct pt_regs *regs) { return regs->r8; }
static __always_inline u64 regs_arg5(struct pt_regs *regs) { return regs->r9; }
static __always_inline u64 regs_ip(struct pt_regs *regs) { return regs->ip; }
static __always_inline u64 regs_sp(struct pt_regs *regs) { return regs->sp; }
static __always_inline u64 regs_fp(struct pt_regs *regs) { return regs->bp; }
#define TS_COMPAT 2u /* thread_info.status: entered through the 32-bit gate */
static __always_inline u32 task_abi(struct task_struct *task, s64 nr) {
  if (field(task, thread_info.status) & TS_COMPAT) return KF_ABI_COMPAT;
  return (nr & 0x40000000) ? KF_ABI_X32 : KF_ABI_NATIVE;
}
#else
static __always_inline s64 regs_nr(struct pt_regs *regs) { return regs->syscallno; }
static __always_inline u64 regs_arg0(struct pt_regs *regs) { return regs->orig_x0; }
static __always_inline u64 regs_arg1(struct pt_regs *regs) { return regs->regs[1]; }
static __always_inline u64 regs_arg2(struct pt_regs *regs) { return regs->regs[2]; }
static __always_inline u64 regs_arg3(struct pt_regs *regs) { return regs->regs[3]; }
static __always_inline u64 regs_arg4(struct pt_regs *regs) { return regs->regs[4]; }
static __always_inline u64 regs_arg5(struct pt_regs *regs) { return regs->regs[5]; }
static __always_inline u64 regs_ip(struct pt_regs *regs) { return regs->pc; }
static __always_inline u64 regs_sp(struct pt_regs *regs) { return regs->sp; }
static __always_inline u64 regs_fp(struct pt_regs *regs) { return regs->regs[29]; }
static __always_inline u32 task_abi(struct task_struct *task, s64 nr) { return KF_ABI_NATIVE; }
#endif

/* What is kept of the call a waker is in. There is no room for which kind of call it is, so a 32-bit one has no number. */
static __always_inline u32 waker_nr_of(struct task_struct *task, s64 nr) {
  return nr < KF_WAKER_BIG_NR && task_abi(task, nr) != KF_ABI_COMPAT ? nr : KF_WAKER_BIG_NR;
}

static __always_inline u32 native_nr(s64 nr) { return (u32)nr & ~0x40000000u; }

/* Hides the number from the compiler, which drops a mask behind a comparison; the verifier of 5.10 does not connect the two. */
static __always_inline u32 table_index(u32 nr) {
  asm volatile("" : "+r"(nr));
  return nr & (KF_SYS_TABLE - 1);
}

/* Packs the call described by regs; 1..4 words at out. */
static __always_inline u32 put_call(u64 *out, struct task_struct *task, struct pt_regs *regs, s64 nr) {
  u32 abi = task_abi(task, nr);
  u32 n = native_nr(nr);
  u32 taken = abi == KF_ABI_NATIVE && n < KF_SYS_TABLE ? config.sys_args[table_index(n)] : KF_ARGS_0;
  if (taken == KF_ARGS_NONE) return kf_put_sys(out, n, abi, KF_ARGS_NONE, 0, 0, 0, 0);
  if (taken == KF_ARGS_0) return kf_put_sys(out, n, abi, KF_ARGS_0, regs_arg0(regs), 0, 0, 0);
  return kf_put_sys(out, n, abi, taken, regs_arg0(regs), regs_arg1(regs), regs_arg2(regs), regs_arg3(regs));
}

#endif
