/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
 *
 * wire.h - what travels from the kernel to a dump file, byte for byte.
 *
 * BPF programs pack events into 64-bit words with the kf_pack_* functions below, collect them per CPU and hand them
 * over as chunks: one struct kf_chunk followed by its words. The recorder keeps chunks as they are and the dump holds
 * them as they are, so this header is the only description of an event's bits. Packing and unpacking stand side by
 * side, and the unit tests encode with the very code BPF runs. It is one long file so that whatever both sides must
 * agree on is in one place.
 *
 * Rules of this file: it includes nothing; plain C types behind own typedefs (they meet vmlinux.h, linux/types.h and
 * <cstdint> without a clash); no enum, bool, pointer, long or bit-field in a structure; every hole is spelled out and
 * zeroed, because ring memory is not cleared and a hole would carry old kernel bytes into a dump.
 *
 * Growth: numbers are never reused. A new event kind is a *generic* kind: its first word carries its length, so a
 * reader that does not know it steps over it. The six compact kinds and the chunk header are frozen per
 * KF_WIRE_VERSION.
 */
#ifndef KFLIGHT_WIRE_H
#define KFLIGHT_WIRE_H

typedef unsigned char kf_u8;
typedef unsigned short kf_u16;
typedef unsigned int kf_u32;
typedef unsigned long long kf_u64;
typedef int kf_s32;
typedef long long kf_s64;

#ifdef __cplusplus
#define KF_INLINE inline constexpr
#define KF_ASSERT_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type " changed its size")
#else
#define KF_INLINE static __attribute__((always_inline)) inline
#define KF_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " changed its size")
#endif

#define KF_WIRE_VERSION 1

/* ------------------------------------------------------------------ limits and fixed numbers */

#define KF_COMM_BYTES 16          /* TASK_COMM_LEN, the terminating NUL included */
#define KF_TID_BITS 22            /* PID_MAX_LIMIT is 4 Mi on 64-bit kernels */
#define KF_TID_MASK 0x3fffffULL
#define KF_CPU_BITS 14            /* NR_CPUS is at most 8192 */
#define KF_CPU_MASK 0x3fffULL
#define KF_DT_BITS 20             /* time since the previous event of the lane, 1 ns to 1.05 ms; more takes a TIME word */
#define KF_DT_MASK 0xfffffULL
#define KF_CHUNK_WORDS 500        /* words of a full chunk: with its header just under 4 KiB */
#define KF_EVENT_WORDS_MAX 32     /* no event is longer than this many words */
#define KF_FILENAME_BYTES 128     /* longest file name an EXEC event carries; the rest is cut */
#define KF_DEFAULT_PRIO 120       /* kernel priority of a nice-0 task: the value left out of events */

/* ------------------------------------------------------------------ the chunk */

#define KF_CHUNK_MAGIC 0x4b46u    /* "FK" */

/* kf_chunk.flags */
#define KF_CHUNK_NESTED 1u        /* one event of an interrupt that found this CPU's batch in use; it travels alone */
#define KF_CHUNK_FLUSHED 2u       /* sent before it was full: a dump asked, or it had grown old */

/* What the flush program answers when it could not hand over its CPU's batch, and has kept all of it. */
#define KF_FLUSH_BUSY 1           /* it interrupted the batch's owner */
#define KF_FLUSH_NO_ROOM 2        /* the ring is full */

/* One lane is one CPU. Within a lane, chunks without KF_CHUNK_NESTED are numbered by seq without a gap; a gap is a
 * loss, it lies between the previous chunk's last_ns and this chunk's base_ns, and the difference of events_before
 * says of how many events. Nested chunks are numbered by nested_before in the same way.
 * Times are CLOCK_BOOTTIME in ns (bpf_ktime_get_boot_ns). */
struct kf_chunk {
  kf_u16 magic;
  kf_u16 flags;
  kf_u16 lane;           /* CPU number */
  kf_u16 n_words;        /* 64-bit words that follow, 1..KF_CHUNK_WORDS+KF_EVENT_WORDS_MAX */
  kf_u32 seq;            /* number of this chunk in its lane, from 0, wraps; unused (0) when nested */
  kf_u32 cur_tid;        /* task on this CPU just before the first event; 0 is the idle task */
  kf_u64 base_ns;        /* time the first event's dt counts from */
  kf_u64 last_ns;        /* time of the last event */
  kf_u64 events_before;  /* events ever put into this lane's batch before this chunk, lost ones included */
  kf_u64 nested_before;  /* nested events ever tried on this lane: before this one (nested), or until now (others) */
  kf_u32 n_events;       /* events in this chunk (a merged wakeup or a syscall pair counts once) */
  kf_u32 n_hits;         /* tracepoint hits these events stand for (merged ones count twice) */
};
KF_ASSERT_SIZE(struct kf_chunk, 56);

/* ------------------------------------------------------------------ kinds
 * Bits 0..3 of an event's first word. Append only. */
#define KF_EV_TIME 1      /* not an event: adds its 60-bit payload to the time the next event counts from */
#define KF_EV_CURRENT 2   /* not an event: says which task runs on this CPU from here on (after a nested switch) */
#define KF_EV_SWITCH 3
#define KF_EV_WAKING 4
#define KF_EV_WAKEUP 5
#define KF_EV_SYSCALL 6
#define KF_EV_GENERIC 15  /* bits 4..11: generic kind, bits 12..17: length in words, first one included */

/* Generic kinds. Append only. */
#define KF_GEN_MIGRATE 1
#define KF_GEN_FORK 2
#define KF_GEN_EXEC 3
#define KF_GEN_EXIT 4
#define KF_GEN_RENAME 5
#define KF_GEN_SYSCALL_OPEN 6
#define KF_GEN_BLOCK 7
#define KF_GEN_WORK 8
#define KF_GEN_SIGNAL 9
#define KF_GEN_LOCK_WAIT 10
#define KF_GEN_THROTTLE 11
#define KF_GEN_REFILL 12
#define KF_GEN_INTERRUPTS 13
#define KF_GEN_STACK 16

/* Layout of a compact first word: kind 4 | dt 20 | payload 40. Of a generic one: 15 | kind 8 | words 6 | dt 20 |
 * payload 26. */
KF_INLINE kf_u64 kf_word_compact(kf_u64 kind, kf_u64 dt, kf_u64 payload40) {
  return kind | (dt & KF_DT_MASK) << 4 | payload40 << 24;
}
KF_INLINE kf_u64 kf_word_generic(kf_u64 kind, kf_u64 words, kf_u64 dt, kf_u64 payload26) {
  return (kf_u64)KF_EV_GENERIC | kind << 4 | words << 12 | (dt & KF_DT_MASK) << 18 | payload26 << 38;
}
KF_INLINE kf_u32 kf_word_kind(kf_u64 w) { return (kf_u32)(w & 15); }
KF_INLINE kf_u32 kf_word_dt(kf_u64 w) { return (kf_u32)(w >> 4 & KF_DT_MASK); }
KF_INLINE kf_u64 kf_word_payload(kf_u64 w) { return w >> 24; }
KF_INLINE kf_u32 kf_generic_kind(kf_u64 w) { return (kf_u32)(w >> 4 & 0xff); }
KF_INLINE kf_u32 kf_generic_words(kf_u64 w) { return (kf_u32)(w >> 12 & 0x3f); }
KF_INLINE kf_u32 kf_generic_dt(kf_u64 w) { return (kf_u32)(w >> 18 & KF_DT_MASK); }
KF_INLINE kf_u32 kf_generic_payload(kf_u64 w) { return (kf_u32)(w >> 38); }

/* ------------------------------------------------------------------ TIME and CURRENT */

KF_INLINE kf_u64 kf_pack_time(kf_u64 dt_ns) { return (kf_u64)KF_EV_TIME | dt_ns << 4; }
KF_INLINE kf_u64 kf_unpack_time(kf_u64 w) { return w >> 4; }
KF_INLINE kf_u64 kf_pack_current(kf_u32 tid) { return (kf_u64)KF_EV_CURRENT | (kf_u64)tid << 4; }
KF_INLINE kf_u32 kf_unpack_current(kf_u64 w) { return (kf_u32)(w >> 4 & KF_TID_MASK); }

/* ------------------------------------------------------------------ a syscall in flight: 1..4 words
 * nr 10 | abi 2 | flags 4 | arg0 48, then by flag: WIDE arg0 in full, B arg1 and arg2 (low 32 bits each), C arg3.
 * A number that does not fit (>= 1023) is written as 1023 with the number in the arg0 field and arg0 in the WIDE word.
 * Which arguments are taken is decided per call by kf_config.sys_args. */
#define KF_SYS_NR_ESCAPE 1023u
#define KF_SYS_WIDE 1u
#define KF_SYS_B 2u
#define KF_SYS_C 4u
#define KF_SYS_NOARG 8u     /* arg0 was not taken (its field is 0) */

/* abi: which table the number belongs to */
#define KF_ABI_NATIVE 0u
#define KF_ABI_COMPAT 1u    /* 32-bit entry of a 64-bit kernel (ia32 on x86-64) */
#define KF_ABI_X32 2u       /* bit 30 of the number was set; it is removed from nr */

/* kf_config.sys_args: how much of a call is taken */
#define KF_ARGS_NONE 0u
#define KF_ARGS_0 1u
#define KF_ARGS_012 2u
#define KF_ARGS_0123 3u

struct kf_sys {
  kf_u32 nr;
  kf_u16 abi;
  kf_u16 args_taken;       /* KF_ARGS_*: which of args[] mean something */
  kf_u64 args[4];          /* args[1] and args[2] hold the low 32 bits only */
};
KF_ASSERT_SIZE(struct kf_sys, 40);

KF_INLINE kf_u32 kf_put_sys(kf_u64 *out, kf_u32 nr, kf_u32 abi, kf_u32 args_taken, kf_u64 a0, kf_u64 a1, kf_u64 a2,
                            kf_u64 a3) {
  kf_u32 n = 1;
  kf_u64 flags = 0, field = a0;
  if (args_taken == KF_ARGS_NONE) {
    flags = KF_SYS_NOARG;
    field = 0;
    a0 = 0;
  }
  if (nr >= KF_SYS_NR_ESCAPE || a0 >> 48) {
    flags |= KF_SYS_WIDE;
    out[n++] = a0;
    field = 0;
  }
  if (nr >= KF_SYS_NR_ESCAPE) {
    field = nr;
    nr = KF_SYS_NR_ESCAPE;
  }
  if (args_taken >= KF_ARGS_012) {
    flags |= KF_SYS_B;
    out[n++] = (a1 & 0xffffffffULL) | a2 << 32;
  }
  if (args_taken >= KF_ARGS_0123) {
    flags |= KF_SYS_C;
    out[n++] = a3;
  }
  out[0] = (kf_u64)nr | (kf_u64)abi << 10 | flags << 12 | field << 16;
  return n;
}
/* Words a call takes, from its first word alone. */
KF_INLINE kf_u32 kf_sys_words(kf_u64 w) {
  kf_u32 flags = (kf_u32)(w >> 12 & 15);
  return 1 + (flags & 1) + (flags >> 1 & 1) + (flags >> 2 & 1);
}
/* in must hold kf_sys_words(in[0]) words. */
KF_INLINE void kf_get_sys(const kf_u64 *in, struct kf_sys *s) {
  kf_u32 n = 1, flags = (kf_u32)(in[0] >> 12 & 15);
  s->nr = (kf_u32)(in[0] & 1023);
  s->abi = (kf_u16)(in[0] >> 10 & 3);
  s->args[0] = in[0] >> 16;
  s->args[1] = s->args[2] = s->args[3] = 0;
  if (s->nr == KF_SYS_NR_ESCAPE) s->nr = (kf_u32)s->args[0];
  if (flags & KF_SYS_WIDE) s->args[0] = in[n++];
  s->args_taken = (kf_u16)((flags & KF_SYS_NOARG) ? KF_ARGS_NONE : KF_ARGS_0);
  if (flags & KF_SYS_B) {
    s->args[1] = in[n] & 0xffffffffULL;
    s->args[2] = in[n++] >> 32;
    s->args_taken = KF_ARGS_012;
  }
  if (flags & KF_SYS_C) {
    s->args[3] = in[n++];
    s->args_taken = KF_ARGS_0123;
  }
}

/* ------------------------------------------------------------------ SWITCH: 1..8 words
 * payload: next tid 22 | state 4 | preempt 1 | iowait 1 | throttled 1 | sequence 8 | follows 3
 * The task switched out is the lane's current task; the one switched in becomes it.
 * sequence: low bits of the outgoing task's nvcsw + nivcsw, which the kernel increments before the tracepoint; between
 * two switch-outs of one thread it grows by exactly one, so a hole counts that thread's lost switches.
 * follows, in this order: SYS the syscall in flight; ENTER the time in ns since it was entered (one word, only when
 * sys_enter is traced for this task); PRIO one word: prev prio | next prio << 8 | prev policy << 16 | next policy << 24
 * (left out when both priorities are KF_DEFAULT_PRIO). */
#define KF_SWITCH_SYS 1u
#define KF_SWITCH_ENTER 2u
#define KF_SWITCH_PRIO 4u
#define KF_NSW_MASK 0xffu

/* prev_state, 4 bits for what the kernel's __state can be at a switch-out. Append only. */
#define KF_ST_RUNNING 0
#define KF_ST_SLEEP 1       /* S  TASK_INTERRUPTIBLE 1 */
#define KF_ST_DISK 2        /* D  TASK_UNINTERRUPTIBLE 2 */
#define KF_ST_KILLABLE 3    /* D  TASK_KILLABLE 0x102 */
#define KF_ST_IDLE 4        /* I  TASK_IDLE 0x402 */
#define KF_ST_STOPPED 5     /* T  __TASK_STOPPED 4 */
#define KF_ST_TRACED 6      /* t  __TASK_TRACED 8 */
#define KF_ST_DEAD 7        /* X  TASK_DEAD 0x80: the thread's end */
#define KF_ST_RTLOCK 8      /* TASK_RTLOCK_WAIT 0x1000, PREEMPT_RT */
#define KF_ST_PARKED 9      /* P  TASK_PARKED 0x40 */
#define KF_ST_WAKING 10     /* TASK_WAKING 0x200: blocked and already being woken; only before 5.18 */
#define KF_ST_OTHER 15

KF_INLINE kf_u32 kf_state_code(kf_u32 raw) {
  raw &= ~(0x2000u | 0x8000u); /* TASK_FREEZABLE, TASK_FROZEN: modifiers */
  if (raw == 0) return KF_ST_RUNNING;
  if (raw & 0x80) return KF_ST_DEAD;
  if (raw & 0x8) return KF_ST_TRACED;
  if (raw & 0x4) return KF_ST_STOPPED;
  if (raw & 0x40) return KF_ST_PARKED;
  if (raw & 0x1000) return KF_ST_RTLOCK;
  if (raw & 0x2) return (raw & 0x100) ? KF_ST_KILLABLE : (raw & 0x400) ? KF_ST_IDLE : KF_ST_DISK;
  if (raw & 0x1) return KF_ST_SLEEP;
  if (raw & 0x200) return KF_ST_WAKING;
  return KF_ST_OTHER;
}

KF_INLINE kf_u64 kf_pack_switch(kf_u64 dt, kf_u32 next_tid, kf_u32 state, kf_u32 preempt, kf_u32 iowait,
                                kf_u32 throttled, kf_u32 nsw, kf_u32 follows) {
  return kf_word_compact(KF_EV_SWITCH, dt,
                         (kf_u64)next_tid | (kf_u64)state << 22 | (kf_u64)preempt << 26 | (kf_u64)iowait << 27 |
                             (kf_u64)throttled << 28 | (kf_u64)(nsw & KF_NSW_MASK) << 29 | (kf_u64)follows << 37);
}
KF_INLINE kf_u32 kf_switch_next(kf_u64 w) { return (kf_u32)(w >> 24 & KF_TID_MASK); }
KF_INLINE kf_u32 kf_switch_state(kf_u64 w) { return (kf_u32)(w >> 46 & 15); }
KF_INLINE kf_u32 kf_switch_preempt(kf_u64 w) { return (kf_u32)(w >> 50 & 1); }
KF_INLINE kf_u32 kf_switch_iowait(kf_u64 w) { return (kf_u32)(w >> 51 & 1); }
KF_INLINE kf_u32 kf_switch_throttled(kf_u64 w) { return (kf_u32)(w >> 52 & 1); }
KF_INLINE kf_u32 kf_switch_nsw(kf_u64 w) { return (kf_u32)(w >> 53 & KF_NSW_MASK); }
KF_INLINE kf_u32 kf_switch_follows(kf_u64 w) { return (kf_u32)(w >> 61 & 7); }
KF_INLINE kf_u64 kf_pack_prio(kf_u32 prev_prio, kf_u32 next_prio, kf_u32 prev_policy, kf_u32 next_policy) {
  return (kf_u64)(prev_prio & 0xff) | (kf_u64)(next_prio & 0xff) << 8 | (kf_u64)(prev_policy & 0xff) << 16 |
         (kf_u64)(next_policy & 0xff) << 24;
}

/* ------------------------------------------------------------------ WAKING: 2..4 words
 * payload: wakee 22 | context 2 | merged 1 | x 1 | cpu 14
 * second word: wakeup delay 20 | waker's syscall 12 | wakee prio 8 | cause kind 5 | cause detail 17 | cause words 2
 * The waker is the lane's current task, when the context is a task's; in an interrupt that task was only interrupted.
 * merged: the sched_wakeup that followed on the same CPU is part of this event: it came `wakeup delay` ns later and
 * put the wakee on `cpu`. Not merged: cpu is the one the wakee last ran on, and a WAKEUP event follows (maybe on
 * another lane).
 * waker's syscall: number of the call the current task is in, KF_WAKER_NO_SYS for none, KF_WAKER_BIG_NR for one that
 * does not fit. */
#define KF_CTX_TASK 0u
#define KF_CTX_SOFTIRQ 1u
#define KF_CTX_HARDIRQ 2u
#define KF_CTX_NMI 3u
#define KF_WAKER_NO_SYS 0xfffu
#define KF_WAKER_BIG_NR 0xffeu
#define KF_WAKEUP_DELAY_MAX 0xfffffu

/* cause kind: what the waking CPU was doing, from the per-CPU cause register. 5 bits, append only.
 * detail (17 bits) and up to two further words hold what the kind needs. */
#define KF_CAUSE_NONE 0        /* nothing noted: no interrupt, or causes are off */
#define KF_CAUSE_IRQ 1         /* device interrupt; detail: its number */
#define KF_CAUSE_SOFTIRQ 2     /* detail: vector, as in include/linux/interrupt.h */
#define KF_CAUSE_HRTIMER 3     /* detail: KF_TIMER_* | clock id << 4; word 1: when it was to expire, ns of that clock */
#define KF_CAUSE_TIMER 4       /* low-resolution timer; detail: KF_TIMER_* */
#define KF_CAUSE_BLOCK 5       /* a block request completed; detail: major << 9 | minor, KF_DEV_UNKNOWN when it does not
                                  fit; word 1: start, word 2: issue to the driver (0: not known), CLOCK_MONOTONIC ns */
#define KF_CAUSE_NET_RX 6      /* network receive; detail: KF_NET_* */
#define KF_CAUSE_WORK 7        /* a kworker's work item; word 1: address of its function */
#define KF_CAUSE_IPI 8         /* detail: KF_IPI_* */

#define KF_TIMER_OTHER 0u
#define KF_TIMER_SLEEP 1u      /* hrtimer_wakeup, process_timeout: the sleeper's own timeout */
#define KF_TIMER_TIMERFD 2u
#define KF_TIMER_POSIX 3u      /* timer_create(2) */
#define KF_TIMER_ITIMER 4u     /* setitimer(2) */
#define KF_TIMER_QUOTA 5u      /* the period of a cgroup's CPU quota begins */
#define KF_TIMER_WORK 6u       /* delayed work */
#define KF_TIMER_CLASSES 7
#define KF_TIMER_FUNCTIONS 9   /* known handlers: one per class, a second KF_TIMER_SLEEP, a second KF_TIMER_QUOTA */

#define KF_DEV_UNKNOWN 0x1ffffu
#define KF_NET_UNKNOWN 0u      /* no packet was told of yet, or one that came from a virtual device */
#define KF_NET_LOOPBACK 1u     /* over loopback; who sent it is not known */
#define KF_NET_REMOTE 2u
#define KF_NET_OWN 3u          /* sent on this machine, by the task that the softirq interrupted */
#define KF_NET_SENDER 4u       /* sent on this machine by another task; word 1: its tid */

#define KF_IPI_LOCAL_TIMER 1u
#define KF_IPI_RESCHEDULE 2u
#define KF_IPI_CALL 3u
#define KF_IPI_IRQ_WORK 4u

KF_INLINE kf_u64 kf_pack_waking(kf_u64 dt, kf_u32 wakee, kf_u32 ctx, kf_u32 merged, kf_u32 cpu) {
  return kf_word_compact(KF_EV_WAKING, dt,
                         (kf_u64)wakee | (kf_u64)ctx << 22 | (kf_u64)merged << 24 | (kf_u64)cpu << 26);
}
KF_INLINE kf_u64 kf_pack_waking2(kf_u32 delay, kf_u32 waker_nr, kf_u32 prio, kf_u32 cause, kf_u32 detail,
                                 kf_u32 cause_words) {
  return (kf_u64)(delay & 0xfffff) | (kf_u64)(waker_nr & 0xfff) << 20 | (kf_u64)(prio & 0xff) << 32 |
         (kf_u64)(cause & 31) << 40 | (kf_u64)(detail & 0x1ffff) << 45 | (kf_u64)(cause_words & 3) << 62;
}
/* What sched_wakeup does to a WAKING already in the batch. */
#define KF_WAKING_CLEAR_CPU (~((1ULL << 48) | (KF_CPU_MASK << 50)))
KF_INLINE kf_u64 kf_merge_wakeup(kf_u64 w, kf_u32 cpu) {
  return (w & KF_WAKING_CLEAR_CPU) | 1ULL << 48 | (kf_u64)cpu << 50;
}
KF_INLINE kf_u64 kf_merge_delay(kf_u64 w2, kf_u64 delay) { return (w2 & ~0xfffffULL) | (delay & 0xfffff); }
KF_INLINE kf_u32 kf_waking_wakee(kf_u64 w) { return (kf_u32)(w >> 24 & KF_TID_MASK); }
KF_INLINE kf_u32 kf_waking_ctx(kf_u64 w) { return (kf_u32)(w >> 46 & 3); }
KF_INLINE kf_u32 kf_waking_merged(kf_u64 w) { return (kf_u32)(w >> 48 & 1); }
KF_INLINE kf_u32 kf_waking_cpu(kf_u64 w) { return (kf_u32)(w >> 50 & KF_CPU_MASK); }
KF_INLINE kf_u32 kf_waking2_delay(kf_u64 w) { return (kf_u32)(w & 0xfffff); }
KF_INLINE kf_u32 kf_waking2_waker_nr(kf_u64 w) { return (kf_u32)(w >> 20 & 0xfff); }
KF_INLINE kf_u32 kf_waking2_prio(kf_u64 w) { return (kf_u32)(w >> 32 & 0xff); }
KF_INLINE kf_u32 kf_waking2_cause(kf_u64 w) { return (kf_u32)(w >> 40 & 31); }
KF_INLINE kf_u32 kf_waking2_detail(kf_u64 w) { return (kf_u32)(w >> 45 & 0x1ffff); }
KF_INLINE kf_u32 kf_waking2_cause_words(kf_u64 w) { return (kf_u32)(w >> 62 & 3); }

/* ------------------------------------------------------------------ WAKEUP: 1 word
 * payload: wakee 22 | cpu 14 | new 1 | throttled 1 | unused 2. The enqueue: from here on the wakee waits on `cpu`.
 * new: first wakeup of a fresh thread; its waker is the lane's current task, the parent. */
KF_INLINE kf_u64 kf_pack_wakeup(kf_u64 dt, kf_u32 wakee, kf_u32 cpu, kf_u32 is_new, kf_u32 throttled) {
  return kf_word_compact(KF_EV_WAKEUP, dt,
                         (kf_u64)wakee | (kf_u64)cpu << 22 | (kf_u64)is_new << 36 | (kf_u64)throttled << 37);
}
KF_INLINE kf_u32 kf_wakeup_wakee(kf_u64 w) { return (kf_u32)(w >> 24 & KF_TID_MASK); }
KF_INLINE kf_u32 kf_wakeup_cpu(kf_u64 w) { return (kf_u32)(w >> 46 & KF_CPU_MASK); }
KF_INLINE kf_u32 kf_wakeup_new(kf_u64 w) { return (kf_u32)(w >> 60 & 1); }
KF_INLINE kf_u32 kf_wakeup_throttled(kf_u64 w) { return (kf_u32)(w >> 61 & 1); }

/* ------------------------------------------------------------------ SYSCALL: a finished call, 1..7 words
 * payload: nr 10 | duration 14 | result 12 (signed) | blocked 1 | follows 3
 * Written at sys_exit; the event's time is the exit, the call began `duration` ns earlier. The caller is the lane's
 * current task. A call that was switched out while in flight has `blocked` set: its SWITCH announced it.
 * follows, in this order: LONG one word duration 32 | result 32 (signed), the fields above are 0; WIDE two words,
 * duration and result in full; ARGS the call as in kf_put_sys (also when nr does not fit). Duration KF_DUR_UNKNOWN in a
 * WIDE pair: the entry was not seen. */
#define KF_SYSCALL_LONG 1u
#define KF_SYSCALL_WIDE 2u
#define KF_SYSCALL_ARGS 4u
#define KF_DUR_UNKNOWN (~0ULL)

KF_INLINE kf_u64 kf_pack_syscall(kf_u64 dt, kf_u32 nr, kf_u32 dur, kf_u32 ret12, kf_u32 blocked, kf_u32 follows) {
  return kf_word_compact(KF_EV_SYSCALL, dt,
                         (kf_u64)(nr & 1023) | (kf_u64)(dur & 0x3fff) << 10 | (kf_u64)(ret12 & 0xfff) << 24 |
                             (kf_u64)blocked << 36 | (kf_u64)follows << 37);
}
KF_INLINE kf_u32 kf_syscall_nr(kf_u64 w) { return (kf_u32)(w >> 24 & 1023); }
KF_INLINE kf_u32 kf_syscall_dur(kf_u64 w) { return (kf_u32)(w >> 34 & 0x3fff); }
KF_INLINE kf_s64 kf_syscall_ret(kf_u64 w) {
  kf_u32 r = (kf_u32)(w >> 48 & 0xfff);
  return r & 0x800 ? (kf_s64)r - 0x1000 : (kf_s64)r;
}
KF_INLINE kf_u32 kf_syscall_blocked(kf_u64 w) { return (kf_u32)(w >> 60 & 1); }
KF_INLINE kf_u32 kf_syscall_follows(kf_u64 w) { return (kf_u32)(w >> 61 & 7); }
/* Writes duration and result after out[0] where they do not fit, then out[0]; returns the words used so far. The
 * caller appends the ARGS words and sets KF_SYSCALL_ARGS through `args`. */
KF_INLINE kf_u32 kf_put_syscall(kf_u64 *out, kf_u64 dt, kf_u32 nr, kf_u64 dur, kf_s64 ret, kf_u32 blocked,
                                kf_u32 args) {
  kf_u32 n = 1;
  kf_u32 follows = args ? KF_SYSCALL_ARGS : 0;
  if (dur < (1ULL << 14) && ret >= -2048 && ret < 2048) {
    out[0] = kf_pack_syscall(dt, nr, (kf_u32)dur, (kf_u32)ret & 0xfff, blocked, follows);
    return n;
  }
  if (dur < (1ULL << 32) && ret >= -(1LL << 31) && ret < (1LL << 31)) {
    follows |= KF_SYSCALL_LONG;
    out[n++] = dur | (kf_u64)ret << 32;
  } else {
    follows |= KF_SYSCALL_WIDE;
    out[n++] = dur;
    out[n++] = (kf_u64)ret;
  }
  out[0] = kf_pack_syscall(dt, nr, 0, 0, blocked, follows);
  return n;
}

/* ------------------------------------------------------------------ generic kinds, first word's payload of 26 bits
 * MIGRATE (2 words): payload tid 22; word 1: orig cpu | dest cpu << 16. A queued or running task changes CPU; the move
 *   that is part of a wakeup is left out, its WAKING or WAKEUP names the new CPU.
 * FORK (6 words): payload child tid 22 | is_thread << 22; word 1: child tgid | parent tid << 32; word 2: child
 *   start_boottime in ns; word 3: cgroup id; words 4, 5: comm.
 * EXEC (3.. words): payload tid 22 after the exec; word 1: tid before it (differs when a thread that was not the leader
 *   called exec: it took over the leader's tid) | bytes of the file name << 32; word 2..3: comm; then the file name,
 *   padded with NUL to whole words.
 * EXIT (2 words): payload tid 22 | group_dead << 22; word 1: exit code as in wait(2) status, low 32 bits.
 * RENAME (3 words): payload tid 22; words 1, 2: comm.
 * SYSCALL_OPEN (3..6 words): payload 0; word 1: ns since the entry; then the call as in kf_put_sys. The lane's current task
 *   is in this call while a dump flushes the CPU; its SYSCALL event comes later, however short the call turns out.
 * STACK (3 or 4 words): payload tid 22 | role 2 | kernel stack lost 1 | user stack lost 1; word 1: id of its kernel stack;
 *   word 2: id of its user stack; 0: it has none. Role BLOCK follows the SWITCH with which tid left the CPU, at its
 *   time; role WAKER the WAKING by tid, at its time; role SAMPLE stands alone, tid runs. Role WAITED tells afterwards
 *   where tid has waited, of long waits in calls only, in two events, each with word 3: its kernel stack follows the
 *   SWITCH with which tid got a CPU again, word 3 is ns since it had left one; its user stack follows the SYSCALL of the
 *   call, word 3 is ns since the call's entry. The stacks themselves come as struct kf_stack, once each. */
#define KF_MIGRATE_WORDS 2
#define KF_FORK_WORDS 6
#define KF_FORK_IS_THREAD (1u << 22)
#define KF_EXIT_WORDS 2
#define KF_EXIT_GROUP_DEAD (1u << 22)
#define KF_RENAME_WORDS 3
#define KF_EXEC_WORDS_MIN 4
#define KF_STACK_WORDS 3 /* 4 of role WAITED */
#define KF_STACK_BLOCK 0u
#define KF_STACK_WAKER 1u
#define KF_STACK_SAMPLE 2u
#define KF_STACK_WAITED 3u
#define KF_STACK_LOST_KERNEL (1u << 24)
#define KF_STACK_LOST_USER (1u << 25)

/* ------------------------------------------------------------------ stacks
 * A stack is sent when its id is met for the first time, and again now and then. The id is a hash of all that makes it
 * what it is: the addresses, and of a user stack the address space. So equal ids mean equal stacks, nobody hands
 * numbers out, and a stack that is sent twice does no harm. */
#define KF_STACK_FRAMES 127   /* addresses of a stack, as many as the kernel gives unless it is told otherwise */
#define KF_STACK_TOP_WORDS 64 /* words at the top of the user stack that are searched for return addresses */
#define KF_STACK_TOPS 32      /* of which at most so many are kept */

/* kf_stack.flags */
#define KF_STACK_USER 1u
#define KF_STACK_TRUNCATED 2u /* it has more frames than there was room for */
#define KF_STACK_NEW_SPACE 4u /* the first one of its address space */

/* Then `frames` words, the innermost address first; of callers it is the return address. Then `tops` words: what may be
 * return addresses among the words at the stack pointer, for callers that the chain of frame pointers leaves out. */
struct kf_stack {
  kf_u64 id;       /* never 0 */
  kf_u64 sent_ns;
  kf_u32 tgid;     /* whose user stack; 0: a kernel stack */
  kf_u16 frames;
  kf_u8 tops;
  kf_u8 flags;     /* KF_STACK_* */
};
KF_ASSERT_SIZE(struct kf_stack, 24);

/* Names a stack: fed with its words one after the other, from `seed` on, which of a user stack is its address space. */
KF_INLINE kf_u64 kf_stack_mix(kf_u64 h, kf_u64 v) {
  h = (h ^ v) * 0x9fb21c651e98df25ULL;
  return h ^ h >> 32;
}

#define KF_STACK_LIBRARY_REACH (4ULL << 20) /* a library's code lies so close together */

KF_INLINE kf_u64 kf_pack_top(kf_u32 offset_words, kf_u64 address) {
  return (kf_u64)offset_words << 57 | (address & 0x1ffffffffffffffULL);
}
KF_INLINE kf_u32 kf_top_offset_words(kf_u64 w) { return (kf_u32)(w >> 57); }
KF_INLINE kf_u64 kf_top_address(kf_u64 w) { return w & 0x1ffffffffffffffULL; }

/* Generic kinds that go with the cause register (kf_config.causes): what a waking alone cannot say.
 * BLOCK (4 words), a step of a request to a block device: payload phase 2 (KF_BLOCK_*) | operation 8 (REQ_OP_*, low bits of
 *   cmd_flags) | context 2 | failed 1; word 1: address of the request, its identity while it is in flight; word 2: bytes 32
 *   | minor 20 | major 12; word 3: sector. In task context the lane's current task does it: at an insert, or an issue
 *   without one, the submitter. No more than KF_CAPPED_PER_SLICE of these and of SIGNAL per CPU and KF_CAP_SLICE_NS; the
 *   rest is counted (kf_cap.capped).
 * WORK (7 words), a kworker's work item that is about to wake somebody or to hand a request to a device, once per
 *   execution, just before that event; the kworker is the lane's current task: payload queuer tid 22 | context of the
 *   queuing 2 | queuing known 1; word 1: address of the work function; word 2: ns since the execution began; word 3: ns since
 *   it was queued; word 4: as kf_pack_waking2, of the queuing: its CPU instead of the delay, the queuer's syscall, cause kind,
 *   detail and words; words 5, 6: those cause words.
 * SIGNAL (2 words), sent, after whatever it woke: payload target tid 22 | context 2 | to the process 1; word 1: number 8 |
 *   result 8 (KF_SIGNAL_*) | unused 16 | target tgid 32. In task context the lane's current task is the sender.
 * LOCK_WAIT (2 words), just before the SWITCH of a task that blocks on a lock inside the kernel: payload owner tid 22 (0: not
 *   known) | lock kind 4 (KF_LOCK_*); word 1: address of the lock.
 * THROTTLE (3 words), just before the SWITCH of a task whose cgroup is out of CPU quota: payload 0; word 1: the group whose
 *   quota it is, as an address that only REFILL repeats; word 2: cgroup id.
 * REFILL (2 words), that group has quota again: payload 1 when some of its run queues have to wait on; word 1: the group.
 * INTERRUPTS (3 words), taken from the lane's current task in one turn on the CPU, once they come to KF_INTERRUPTS_TOLD_NS:
 *   device interrupts, the local timer's, and softirqs on the way back from them (those that a task serves in its own call,
 *   as a sender's over loopback, are its own work). Payload: what the longest was, as in WAKING: cause kind 4 | detail 16;
 *   word 1: ns since the first of them began; word 2: ns that they took together 40 | how many 24. */
#define KF_BLOCK_WORDS 4
#define KF_WORK_WORDS 7
#define KF_SIGNAL_WORDS 2
#define KF_LOCK_WAIT_WORDS 2
#define KF_THROTTLE_WORDS 3
#define KF_REFILL_WORDS 2
#define KF_INTERRUPTS_WORDS 3

#define KF_BLOCK_INSERT 0u    /* into the I/O scheduler's queue */
#define KF_BLOCK_ISSUE 1u     /* to the driver */
#define KF_BLOCK_COMPLETE 2u
#define KF_BLOCK_FAILED (1u << 12)
#define KF_WORK_QUEUE_KNOWN (1u << 24)
#define KF_SIGNAL_GROUP (1u << 24)
#define KF_SIGNAL_DELIVERED 0u /* enum of include/trace/events/signal.h */
#define KF_LOCK_MUTEX 1u
#define KF_LOCK_RT_MUTEX 2u    /* a PI futex, or any lock of a PREEMPT_RT kernel */
#define KF_LOCK_RWSEM 3u       /* a rw_semaphore, as that of an inode; its owner is known while it is locked for writing */
#define KF_LOCK_MMAP 4u        /* mmap_lock of the task's own address space, a rw_semaphore, too */

#define KF_INTERRUPTS_TOLD_NS 20000ULL
#define KF_INTERRUPTS_SPENT_BITS 40

#define KF_CAP_SLICE_NS 100000000ULL /* as long as a burst may be: hundreds of threads that end together */
#define KF_CAPPED_PER_SLICE 2000u

KF_INLINE kf_u64 kf_pack_block(kf_u64 dt, kf_u32 phase, kf_u32 op, kf_u32 context, kf_u32 failed) {
  return kf_word_generic(KF_GEN_BLOCK, KF_BLOCK_WORDS, dt, phase | (op & 0xff) << 2 | context << 10 | failed << 12);
}
KF_INLINE kf_u64 kf_block_device(kf_u32 bytes, kf_u32 major, kf_u32 minor) {
  return (kf_u64)bytes | (kf_u64)(minor & 0xfffff) << 32 | (kf_u64)(major & 0xfff) << 52;
}

/* ------------------------------------------------------------------ control ring
 * Rare records that need the recorder's attention at once. One fixed size, type first. */
#define KF_CTL_SYSCALL 1     /* a trigger rule matched a finished call of the target */
#define KF_CTL_RESOLVED 2    /* a call that a dump reported as in flight has returned */
#define KF_CTL_TARGET_EXIT 3 /* the last thread of a target process has exited; ret holds the exit code */
#define KF_CTL_EXEC 4        /* a process has a new name (exec, fork of a matched one, rename): --comm matches it */
#define KF_CTL_FORK 5        /* a target has a new child process; args[0] is the parent's tgid */
#define KF_CTL_CPU 6         /* CPU nr goes offline or comes back (rules: KF_CPU_*): the step begins, or with args[0] 1 it
                              * has ended, with the error in ret */
#define KF_CPU_GOES 0
#define KF_CPU_COMES 1

struct kf_ctl {
  kf_u32 type;
  kf_u32 rules;        /* KF_CTL_SYSCALL: bit set of the rules that matched; KF_CTL_CPU: KF_CPU_* */
  kf_u32 tid;
  kf_u32 tgid;
  kf_u32 nr;
  kf_u32 abi;
  kf_u64 enter_ns;     /* CLOCK_BOOTTIME; 0 where it does not apply */
  kf_u64 exit_ns;      /* the time of the record itself where there is no call */
  kf_s64 ret;
  kf_u64 args[6];      /* all arguments, in full */
  kf_u64 merged;       /* trigger matches counted instead of sent, since recording began (kf_counters.control_merged) */
  char comm[KF_COMM_BYTES];
};
KF_ASSERT_SIZE(struct kf_ctl, 120);

/* ------------------------------------------------------------------ task snapshot, one per thread of the system */

/* kf_task.flags */
#define KF_TASK_KTHREAD 1u
#define KF_TASK_ON_CPU 2u      /* was running when the snapshot passed it */
#define KF_TASK_ON_RQ 4u       /* runnable: on a run queue */
#define KF_TASK_HAS_SYS 8u     /* nr and args hold the call it is in */
#define KF_TASK_TARGET 16u
#define KF_TASK_ENTER_KNOWN 32u /* sys_enter_ns holds when the call began */

struct kf_task {
  kf_u32 tid;
  kf_u32 tgid;
  kf_u32 ppid;            /* tgid of the parent process */
  kf_u32 flags;
  kf_u32 state;           /* KF_ST_* */
  kf_u16 cpu;
  kf_u8 prio;             /* kernel priority, 0..139 */
  kf_u8 policy;           /* SCHED_* */
  kf_u32 nr;
  kf_u32 abi;
  kf_u64 args[6];
  kf_u64 sys_enter_ns;
  kf_u64 ts_ns;           /* CLOCK_BOOTTIME of this record */
  kf_u64 start_ns;        /* start_boottime: with the tid, the thread's identity */
  kf_u64 cgroup_id;
  kf_u64 nvcsw;           /* as in /proc/PID/status */
  kf_u64 nivcsw;
  kf_u64 run_ns;          /* sum_exec_runtime: schedstat field 1 */
  kf_u64 run_delay_ns;    /* schedstat field 2 */
  kf_u64 run_count;       /* schedstat field 3: times switched in */
  char comm[KF_COMM_BYTES];
};
KF_ASSERT_SIZE(struct kf_task, 168);

/* A thread of the target in a long wait whose stacks will be told when it ends (role WAITED), for a dump that is written
 * before: its kernel stack, and what it takes to read its user stack from outside. */
struct kf_waiter {
  kf_u32 tid;
  kf_u32 tgid;
  kf_u64 switches;        /* nvcsw + nivcsw: as long as it has not run, this is the same */
  kf_u64 out_ns;          /* it waits since then */
  kf_u64 kernel;          /* kf_stack.id; 0: none */
  kf_u64 space;           /* seed of user stacks' names */
  kf_u64 ip, sp, fp;      /* user registers */
  kf_u64 text, text_end;  /* addresses of the program's code */
};
KF_ASSERT_SIZE(struct kf_waiter, 80);

/* ------------------------------------------------------------------ load-time configuration (rodata of the BPF object) */

#define KF_SYSCALLS_OFF 0u      /* no syscall tracepoint; calls are seen at switch-outs ("blocked") */
#define KF_SYSCALLS_SLOW 1u     /* target's calls that last at least slow_floor_ns or were switched out */
#define KF_SYSCALLS_ALL 2u      /* every call of the target */

#define KF_STACKS_NONE 0u
#define KF_STACKS_BLOCKED 1u    /* of the target's threads when they block */
#define KF_STACKS_ALL 2u        /* and of whoever wakes one of them */

#define KF_RULES_MAX 8
#define KF_SYS_TABLE 512        /* native syscall numbers that per-call tables cover */

struct kf_rule {
  kf_u64 min_ns;    /* fires when duration >= min_ns ... */
  kf_u64 max_ns;    /* ... and < max_ns */
  kf_s64 ret;       /* ... and, with match_ret, the result is exactly this (a negative errno) */
  kf_u32 match_ret;
  kf_u32 futex_nr;  /* not 0: calls of this number that are futex waits with a timeout do not count */
};

struct kf_config {
  kf_u32 everyone;            /* all processes are targets */
  kf_u32 scope_target;        /* scheduling events of the target only */
  kf_u32 syscalls;            /* KF_SYSCALLS_* for the target */
  kf_u32 follow;              /* children of targets become targets */
  kf_u32 own_tgid;            /* the recorder: its syscalls are never recorded */
  kf_u32 watch_names;         /* send KF_CTL_EXEC for every new name, for --comm */
  kf_u32 n_rules;
  kf_u32 n_rings;             /* data rings; lane l goes to ring l / cpus_per_ring */
  kf_u32 cpus_per_ring;
  kf_u32 wake_bytes;          /* wake the consumer when this much waits in a ring */
  kf_u64 flush_age_ns;        /* a batch older than this leaves with the next event */
  kf_u64 slow_floor_ns;
  kf_u64 quick_ns;            /* a call that was shorter and never left its CPU is not recorded and fires nothing */
  kf_u64 stack_wait_ns;       /* stacks of a wait that lasted so long, told at its end; 0: of all waits, at once */
  kf_u32 has_prev_state;      /* kernel: sched_switch has prev_state as fourth argument */
  kf_u32 has_task_pt_regs;    /* kernel: bpf_task_pt_regs exists (5.15) */
  kf_u32 has_preempt_count;   /* kernel: preempt_count_delta is known, so a waker's context is */
  kf_u32 has_rdonly_cast;     /* kernel: bpf_rdonly_cast exists (6.2), memory is read without a helper call */
  kf_u32 causes;              /* keep the cause register */
  kf_u32 has_current_task;    /* kernel: current_task_delta is known */
  kf_u32 stacks;              /* KF_STACKS_* */
  kf_u32 parked_slots;        /* a power of two; 0: this kernel has no compare-and-swap in BPF (5.12), use the hash map */
  kf_u32 stack_frames;        /* as many as a stack may have here, at most KF_STACK_FRAMES */
  kf_u32 sample_hz;           /* on-CPU samples of the target per second and CPU; 0: none */
  kf_u32 block_has_queue;     /* kernel: block_rq_insert and block_rq_issue have the queue as first argument (before 5.11) */
  kf_u32 has_quotas;          /* kernel: it is known whether a task is out of CPU quota */
  kf_u32 has_blocked_on;      /* kernel: task_struct.blocked_on exists (6.18) */
  kf_u32 has_rt_mutex_owner;  /* kernel: the owner of an rt_mutex can be read */
  kf_u32 hardirq_shift;       /* kernel: where the preempt count counts hard interrupts; NMIs are in the 4 bits above */
  kf_u32 preemptible;         /* kernel: programs at system calls may be preempted (7.0) */
  kf_u32 softirqs_are_threads; /* kernel: PREEMPT_RT */
  /* Addresses of per-CPU variables minus that of the same CPU's run queue. */
  kf_s64 preempt_count_delta;
  kf_s64 current_task_delta;
  kf_u64 timer_functions[KF_TIMER_FUNCTIONS]; /* addresses of timer handlers by KF_TIMER_*, 0 where not known; then
                                                  process_timeout (SLEEP) and sched_cfs_slack_timer (QUOTA) */
  struct kf_rule rules[KF_RULES_MAX];
  kf_u8 sys_args[KF_SYS_TABLE];       /* KF_ARGS_* per native call */
  kf_u8 rules_of_nr[KF_SYS_TABLE];    /* bit set of the rules that apply to a native call */
};

/* ------------------------------------------------------------------ map values userspace reads */

/* The syscall the current task of a CPU is in, as long as it has not been switched out: a call that never blocks touches
 * no other map. Per CPU. */
struct kf_cpu_call {
  kf_u32 tid;            /* 0: none */
  kf_u32 nr;
  kf_u64 enter_ns;
  kf_u32 checked_tgid;   /* result of the last target look-up on this CPU ... */
  kf_u32 is_target;
  kf_u32 checked_gen;    /* ... valid while the generation of the target map is this */
  kf_u32 told;           /* low half of enter_ns of the last call that a SYSCALL_OPEN told of: its end is an event, too */
  kf_u64 run_queue;      /* address of this CPU's run queue, 0 until first needed */
};
KF_ASSERT_SIZE(struct kf_cpu_call, 40);

/* A call whose task was switched out. Lies in slot tid % kf_config.parked_slots of an array; while another live thread
 * holds that slot, in a hash map. Its life:
 *   sys_enter   notes the call with the CPU (kf_cpu_call), nothing here
 *   switch out  moves it here: nr, enter_ns; out_ns when it is a wait whose stacks are told if it is long. A thread that
 *               exits (PF_EXITING) leaves nothing here any more
 *   switch in   ends the wait (out_ns 0), after a long one notes `waited`
 *   sys_exit    takes the call (enter_ns 0); the place is kept for the thread's next call
 *   exec        notes that the user stack of the call's waits is gone; of a thread that took its leader's id, frees the old one
 *   exit, fork  free the place: at the end, and for whoever gets an id whose end was missed
 * The snapshot iterators read it meanwhile. */
struct kf_parked_call {
  kf_u32 tid;       /* who holds the slot; 0: nobody */
  kf_u32 nr;
  kf_u64 enter_ns;  /* 0: not in a call */
  kf_u64 out_ns;    /* it waits since then; 0: it does not, or its stacks are taken at once */
  kf_u64 user;      /* outside of a call: where its program began to wait */
  kf_u32 lost;      /* KF_STACK_LOST_USER, of that */
  kf_u16 waited;    /* a wait of this call was long enough for its user stack ... */
  kf_u16 exec;      /* ... which exec has thrown away */
};
KF_ASSERT_SIZE(struct kf_parked_call, 40);

/* Per CPU: how many capped events (BLOCK, SIGNAL) it may still write in this slice of time. */
struct kf_cap {
  kf_u64 slice_ns;  /* when the slice began */
  kf_u32 left;
  kf_u32 reserved;
  kf_u64 capped;    /* events left out so far */
};
KF_ASSERT_SIZE(struct kf_cap, 24);

/* Losses that are not a lane's: counted in the BPF object's memory, read by the recorder. */
struct kf_counters {
  kf_u64 control_lost;    /* control records without room */
  kf_u64 inflight_lost;   /* calls whose start found no room: their duration stays unknown */
  kf_u64 control_merged;  /* trigger matches that were counted instead of sent */
  kf_u64 stacks_lost;     /* stacks without room in their ring */
};

#endif
