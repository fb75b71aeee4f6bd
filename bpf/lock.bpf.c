// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* lock.bpf.c - locks inside the kernel that a thread sleeps on, and who holds them. A task itself says which mutex (6.18)
 * and which rt_mutex it waits for. Of other locks contention_begin tells the address (5.19), and until contention_end
 * every wait of that thread is for the lock: it may be woken and find that somebody else was faster. */
#include "lock.bpf.h"

#define LCB_F_SPIN 1 /* include/trace/events/lock.h */
#define LCB_F_READ 2
#define LCB_F_WRITE 4
#define LCB_F_RT 8
#define LCB_F_PERCPU 16
#define LCB_F_MUTEX 32
#define RWSEM_READER_OWNED 1 /* kernel/locking/rwsem.c: the owner is one of the readers, or was */

struct open_lock {
  u64 lock;
  u32 kind; /* KF_LOCK_* */
  u32 reserved;
};
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 4096);
  __type(key, u32); /* tid */
  __type(value, struct open_lock);
} open_locks SEC(".maps");

kf_u32 open_lock_count = 0;

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

/* The low bits of an owner's address are flags, here and below. */
static __always_inline u32 mutex_owner(struct mutex *mutex) {
  if (!bpf_core_field_exists(mutex->owner)) return 0;
  return tid_at(BPF_CORE_READ(mutex, owner.counter) & ~7ULL);
}

/* 5.15 moved what an rt_mutex has in common with other locks into struct rt_mutex_base, 830e6acc8a1c. */
static __always_inline u32 rt_mutex_owner(struct rt_mutex_base *lock) {
  struct rt_mutex___pre515 *old = (void *)lock;
  u64 owner = 0;
  if (bpf_core_type_exists(struct rt_mutex_base)) owner = (u64)BPF_CORE_READ(lock, owner);
  else if (bpf_core_field_exists(old->owner)) owner = (u64)BPF_CORE_READ(old, owner);
  return tid_at(owner & ~1ULL);
}

/* Readers do not sign off, so only a writer is known for sure. */
static __always_inline u32 rwsem_owner(struct rw_semaphore *lock) {
  if (!bpf_core_field_exists(lock->owner)) return 0;
  u64 owner = BPF_CORE_READ(lock, owner.counter);
  return owner & RWSEM_READER_OWNED ? 0 : tid_at(owner & ~7ULL);
}

/* Global functions, which the verifier looks at once and apart from their caller; the switch program would be too complex
 * for it otherwise. */
__noinline int tell_lock(u32 tid) {
  struct task_struct___locks *t = (void *)bpf_get_current_task();
  if (knows_mutex_owner(t)) {
    struct mutex *mutex = BPF_CORE_READ(t, blocked_on);
    if (mutex) put_lock_event(tid, KF_LOCK_MUTEX, (u64)mutex, mutex_owner(mutex));
  }
  if (config.has_rt_mutex_owner && bpf_core_field_exists(t->pi_blocked_on)) {
    struct rt_mutex_waiter *waiter = BPF_CORE_READ(t, pi_blocked_on);
    struct rt_mutex_base *lock = waiter ? BPF_CORE_READ(waiter, lock) : NULL;
    if (lock) put_lock_event(tid, KF_LOCK_RT_MUTEX, (u64)lock, rt_mutex_owner(lock));
  }
  return 0;
}

__noinline int tell_open_lock(u32 tid) {
  struct open_lock *open = bpf_map_lookup_elem(&open_locks, &tid);
  if (!open) return 0;
  u64 lock = open->lock;
  u32 owner = open->kind == KF_LOCK_MUTEX ? mutex_owner((void *)lock) : rwsem_owner((void *)lock);
  put_lock_event(tid, open->kind & 15, lock, owner);
  return 0;
}

/* 0: a lock that is not slept on, or that the task itself will tell of. */
static __always_inline u32 lock_kind(u64 lock, u32 flags) {
  if (flags & (LCB_F_SPIN | LCB_F_RT | LCB_F_PERCPU)) return 0;
  if (flags & LCB_F_MUTEX) return config.has_blocked_on ? 0 : KF_LOCK_MUTEX;
  if (!(flags & (LCB_F_READ | LCB_F_WRITE))) return 0;
  struct task_struct *task = (void *)bpf_get_current_task();
  struct mm_struct *mm = BPF_CORE_READ(task, mm);
  return mm && lock == (u64)&mm->mmap_lock ? KF_LOCK_MMAP : KF_LOCK_RWSEM;
}

__noinline int forget_open_lock(u32 tid) {
  if (!bpf_map_delete_elem(&open_locks, &tid)) __sync_fetch_and_add(&open_lock_count, -1);
  return 0;
}

SEC("tp_btf/contention_begin")
int kf_lock_begin(u64 *ctx) {
  struct open_lock open = {.lock = ctx[0]};
  open.kind = lock_kind(open.lock, (u32)ctx[1]);
  if (!open.kind) return 0; /* most of them by far */
  u32 tid = (u32)bpf_get_current_pid_tgid();
  forbid_preemption(); /* the kernel leaves out a program that is under way on this CPU: another thread's end would be missed */
  if (!bpf_map_update_elem(&open_locks, &tid, &open, BPF_NOEXIST)) __sync_fetch_and_add(&open_lock_count, 1);
  else bpf_map_update_elem(&open_locks, &tid, &open, BPF_EXIST); /* the end of the one before was missed */
  allow_preemption();
  return 0;
}

/* Of any lock; one that is taken in an interrupt meanwhile is another. */
SEC("tp_btf/contention_end")
int kf_lock_end(u64 *ctx) {
  if (!open_lock_count) return 0;
  u32 tid = (u32)bpf_get_current_pid_tgid();
  forbid_preemption();
  struct open_lock *open = bpf_map_lookup_elem(&open_locks, &tid);
  if (open && open->lock == ctx[0]) forget_open_lock(tid);
  allow_preemption();
  return 0;
}
