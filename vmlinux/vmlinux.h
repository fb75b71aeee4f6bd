/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * vmlinux.h - the kernel types kflight's BPF programs read, trimmed to the fields they read. CO-RE relocates every
 * access on load, so offsets here mean nothing and missing fields do no harm; tests compare names and sizes with the
 * BTF of the running kernel (README.md). `struct name___x` is a flavour: the same kernel type as it was in other
 * versions.
 */
#ifndef KFLIGHT_VMLINUX_H
#define KFLIGHT_VMLINUX_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
typedef int pid_t;

#define true 1
#define false 0
#define NULL ((void *)0)

enum bpf_map_type {
  BPF_MAP_TYPE_HASH = 1,
  BPF_MAP_TYPE_ARRAY = 2,
  BPF_MAP_TYPE_PERCPU_ARRAY = 6,
  BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
  BPF_MAP_TYPE_RINGBUF = 27,
};
enum cpuhp_state { CPUHP_BRINGUP_CPU = 83, CPUHP_TEARDOWN_CPU = 144 }; /* on 6.18; looked up when loading */
enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_EXIST = 2 };
enum { BPF_F_MMAPABLE = 1024 };
enum { BPF_F_USER_STACK = 256 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA = 0, BPF_RB_RING_SIZE = 1 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct thread_info {
  unsigned long flags;
  u32 status;
  u32 cpu; /* since 5.16; before, task_struct.cpu */
};

struct kernfs_node {
  u64 id;
};

struct cgroup {
  struct kernfs_node *kn;
};

struct css_set {
  struct cgroup *dfl_cgrp;
};

typedef struct {
  int counter;
} atomic_t;

struct task_struct;

struct rcuwait {
  struct task_struct *task;
};

struct refcount_struct {
  atomic_t refs;
};

struct signal_struct {
  atomic_t live;
};

struct sched_info {
  unsigned long pcount;
  unsigned long long run_delay;
};

struct rq;

typedef struct {
  s64 counter;
} atomic64_t;

struct list_head {
  struct list_head *next;
};

struct hrtimer_clock_base {
  int clockid;
};

struct hrtimer {
  s64 _softexpires;
  int (*function)(struct hrtimer *);
  struct hrtimer_clock_base *base;
};

struct cfs_bandwidth {
  struct hrtimer period_timer;
  struct hrtimer slack_timer;
  struct list_head throttled_cfs_rq;
};

struct cgroup_subsys_state {
  struct cgroup *cgroup;
};

struct task_group {
  struct cgroup_subsys_state css;
  struct cfs_bandwidth cfs_bandwidth;
};

struct cfs_rq {
  struct rq *rq;
  struct task_group *tg;
  bool throttled : 1;
  int throttle_count;
};

struct sched_entity {
  u64 sum_exec_runtime;
  struct sched_entity *parent;
  struct cfs_rq *cfs_rq;
};

struct rw_semaphore {
  atomic64_t owner;
};

struct mm_struct {
  struct rw_semaphore mmap_lock;
  unsigned long start_code;
  unsigned long end_code;
};

struct mutex {
  atomic64_t owner;
};

struct rt_mutex_base {
  struct task_struct *owner;
};

struct rt_mutex_waiter {
  struct rt_mutex_base *lock;
};

struct rt_mutex___pre515 {
  struct task_struct *owner;
};

struct task_struct {
  struct thread_info thread_info;
  unsigned int __state; /* since 5.14 */
  void *stack;
  unsigned int flags;
  int on_cpu;
  int on_rq;
  int prio;
  unsigned int policy;
  struct sched_entity se;
  struct sched_info sched_info;
  int exit_state;
  int exit_code;
  unsigned in_iowait : 1;
  pid_t pid;
  pid_t tgid;
  struct mm_struct *mm;
  struct task_struct *real_parent;
  struct task_struct *group_leader;
  unsigned long nvcsw;
  unsigned long nivcsw;
  u64 start_boottime;
  char comm[16];
  struct signal_struct *signal;
  u64 self_exec_id;
  struct css_set *cgroups;
};

struct task_struct___pre514 {
  volatile long state;
};

struct task_struct___pre516 {
  unsigned int cpu;
};

struct task_struct___throttled {
  bool throttled; /* since 6.18 */
};

struct task_struct___locks {
  struct mutex *blocked_on; /* since 6.18 */
  struct rt_mutex_waiter *pi_blocked_on;
};

struct irqaction {
  int irq;
};

struct timer_list {
  void (*function)(struct timer_list *);
};

struct gendisk {
  int major;
  int first_minor;
};

struct request_queue {
  struct gendisk *disk; /* since 5.17; before, request.rq_disk */
};

struct request {
  struct request_queue *q;
  u32 cmd_flags;
  unsigned int __data_len;
  u64 __sector;
  u64 start_time_ns;
  u64 io_start_time_ns;
};

struct request___pre517 {
  struct gendisk *rq_disk;
};

struct device {
  struct device *parent;
};

struct net_device {
  unsigned int flags;
  unsigned long priv_flags : 32; /* until 6.11 an unsigned int */
  int (*rx_handler)(void *);
  struct device dev;
};

struct sk_buff {
  struct net_device *dev;
};

struct work_struct {
  void (*func)(struct work_struct *);
};

struct linux_binprm {
  const char *filename;
};

struct bpf_iter_meta {
  struct seq_file *seq;
  u64 session_id;
  u64 seq_num;
};

struct bpf_iter__task {
  union {
    struct bpf_iter_meta *meta;
  };
  union {
    struct task_struct *task;
  };
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
  unsigned long bp;
  unsigned long r9;
  unsigned long r8;
  unsigned long r10;
  unsigned long dx;
  unsigned long si;
  unsigned long di;
  unsigned long orig_ax;
  unsigned long ax;
  unsigned long ip;
  unsigned long sp;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
  u64 regs[31];
};
struct pt_regs {
  u64 regs[31];
  u64 sp;
  u64 pc;
  u64 orig_x0;
  s32 syscallno;
};
#else
#error "no register layout for this architecture"
#endif

#pragma clang attribute pop

#endif
