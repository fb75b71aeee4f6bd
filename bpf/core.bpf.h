/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * core.bpf.h - the event path inside the kernel: maps, configuration and the per-CPU batch.
 *
 * Every program does the same three things: kf_begin() finds this CPU's batch and the place for the next words, the
 * program packs them there with a kf_put_* of wire.h, kf_end() accounts for them. A full batch leaves as one ring-buffer
 * record. Nothing locks: a batch belongs to its CPU, and `busy` turns away whoever interrupts its owner. Interrupts nest
 * strictly, so a plain store after a plain load suffices; the interrupting event travels alone, in a record of its own.
 * About 450 lines, because everything inlined into every program is here.
 */
#ifndef KFLIGHT_CORE_BPF_H
#define KFLIGHT_CORE_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "kflight/name_matcher.h"
#include "kflight/wire.h"

#define barrier() asm volatile("" ::: "memory")
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Comparisons without a branch, for where the verifier would follow both ways of each of many. x < bound as 0 or 1; both are
 * signed: a negative x is not below. */
static __always_inline u64 is_below(u64 x, u64 bound) {
  u64 difference = x - bound;
  asm volatile("" : "+r"(difference)); /* the compiler would make it a branch */
  return (difference & ~x) >> 63;
}
static __always_inline u64 differs(u64 x, u64 y) {
  u64 difference = x ^ y;
  asm volatile("" : "+r"(difference));
  return (difference | -difference) >> 63;
}

/* Written by the loader before load: the verifier removes what is switched off. */
extern const volatile struct kf_config config;
extern const volatile struct kf_name_matcher names; /* config.watch_names: whose bearers are targets */

#define KF_BATCH_MASK 511 /* next power of two above KF_CHUNK_WORDS, minus one */
#define KF_BATCH_ROOM (KF_BATCH_MASK + 1 + KF_EVENT_WORDS_MAX)

#define TARGET_NOTES 8

struct batch {
  u32 busy;        /* somebody on this CPU is between kf_begin and kf_end */
  u32 n;           /* words used */
  u32 events;      /* in the batch */
  u32 hits;
  u32 seq;         /* of the chunk being filled */
  u32 running;     /* task that runs on this CPU, as the events so far tell */
  u32 wake_tid;    /* wakee of the last WAKING, while its wakeup may still be merged into it */
  u32 wake_at;     /* index of its first word */
  u64 wake_ns;
  u64 wake_ran;    /* how long the wakee had run by then */
  u64 last_ns;     /* time of the last event */
  u64 events_total;
  u64 nested_total;
  u64 target_notes[TARGET_NOTES]; /* which processes are targets: process 32 | generation 31 | answer 1 */
  u64 run_queue; /* address of this CPU's run queue, 0 until first needed */
  struct kf_chunk head; /* head and words stay together: they leave as one record */
  u64 words[KF_BATCH_ROOM];
};

struct nested {
  u32 busy;
  u32 reserved;
  struct kf_chunk head;
  u64 words[KF_EVENT_WORDS_MAX];
};

/* What a CPU is doing in interrupt context, one note per level, so that a hard interrupt does not wipe out what the softirq
 * it interrupted had noted. Kept by cause.bpf.c, copied by every waking. */
struct cause {
  u32 kind; /* KF_CAUSE_* */
  u32 detail;
  u32 words;
  u32 tid; /* of a softirq with PREEMPT_RT: the thread that serves it */
  u64 args[2];
};
enum { LEVEL_SOFT = 0, LEVEL_HARD = 1 };
/* What interrupts took from the task that the CPU runs, since they were told of last. */
struct taken {
  u64 began_ns; /* of the one that runs; 0: none, or one that does not count */
  u64 first_ns;
  u64 spent_ns;
  u64 longest_ns;
  u32 longest; /* payload of KF_GEN_INTERRUPTS */
  u32 count;
  u32 tid; /* from whom, in which turn */
  u32 turn;
  u32 lowest; /* low byte of the preempt count, of `ticks` ticks */
  u32 ticks;
};
struct cause_register {
  struct cause level[2];
  struct taken taken;
};

struct causes_map {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct cause_register);
};
struct batches_map {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct batch);
};
struct nested_map {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct nested);
};
struct calls_map {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct kf_cpu_call);
};
struct parked_map {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct kf_parked_call);
};
struct open_calls_map { /* calls whose slot in `parked` is taken by another thread */
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 16384);
  __type(key, u32);
  __type(value, struct kf_parked_call);
};
struct targets_map { /* tgid -> 1 */
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 65536);
  __type(key, u32);
  __type(value, u32);
};
struct watched_map { /* tid -> enter_ns of a call that a dump reported as in flight */
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, u32);
  __type(value, u64);
};
struct control_map {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 256 * 1024);
};
struct ring_map { /* shape only: the loader makes the rings */
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 8 * 1024 * 1024);
};
struct rings_map { /* one data ring per config.cpus_per_ring CPUs */
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 1);
  __type(key, u32);
  __array(values, struct ring_map);
};

extern struct batches_map batches SEC(".maps");
extern struct causes_map causes SEC(".maps");
extern struct nested_map nesteds SEC(".maps");
extern struct calls_map calls SEC(".maps");
extern struct parked_map parked SEC(".maps");
extern struct open_calls_map open_calls SEC(".maps");
extern struct targets_map targets SEC(".maps");
extern struct watched_map watched SEC(".maps");
extern struct control_map control SEC(".maps");
extern struct rings_map rings SEC(".maps");

/* Read and written by userspace while the programs run. */
extern kf_u32 target_gen;    /* changes whenever targets does */
extern kf_u32 watched_count;
extern kf_u64 regs_offset;    /* user registers of a task lie this far above task_struct.stack; 0: ask the helper */
extern struct kf_counters counters;

/* ------------------------------------------------------------------ preemption */

/* From 7.0 on programs may be preempted unless their tracepoint lies where the kernel itself cannot be, and what one has
 * begun to say of this CPU would have to wait until its thread runs again. They stay on their CPU, so between events nothing
 * needs this. Nests. Of stack.bpf.c and sample.bpf.c the callers cannot be preempted. */
#ifdef KF_FAST_READS /* one object only, see compat.bpf.h */
extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;
static __always_inline void forbid_preemption(void) {
  if (config.preemptible) bpf_preempt_disable();
}
static __always_inline void allow_preemption(void) {
  if (config.preemptible) bpf_preempt_enable();
}
#else
static __always_inline void forbid_preemption(void) {}
static __always_inline void allow_preemption(void) {}
#endif

/* ------------------------------------------------------------------ the batch */

static __always_inline struct batch *this_batch(void) {
  u32 zero = 0;
  return bpf_map_lookup_elem(&batches, &zero);
}

/* Hands the batch over and starts the next one. Caller has set busy. A full ring loses the chunk, and the answer is not 0;
 * the gap in seq and the jump of events_before say so to the reader, with the times around it. */
static __noinline int kf_send(struct batch *b, u32 flags) {
  long error = 0;
  u32 lane = bpf_get_smp_processor_id();
  u32 group = config.n_rings > 1 ? lane / (config.cpus_per_ring ? config.cpus_per_ring : 1) : 0;
  u32 n = b->n;
  if (n > KF_BATCH_ROOM) n = KF_BATCH_ROOM; /* cannot be; tells the verifier */
  b->head.magic = KF_CHUNK_MAGIC;
  b->head.flags = flags;
  b->head.lane = lane;
  b->head.n_words = n;
  b->head.seq = b->seq;
  b->head.last_ns = b->last_ns;
  b->head.events_before = b->events_total - b->events;
  b->head.nested_before = b->nested_total;
  b->head.n_events = b->events;
  b->head.n_hits = b->hits;
  void *ring = bpf_map_lookup_elem(&rings, &group);
  if (ring) {
    u64 wake = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) >= config.wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
    error = bpf_ringbuf_output(ring, &b->head, sizeof(struct kf_chunk) + (u64)n * 8, wake);
  }
  b->seq++;
  b->n = 0;
  b->events = 0;
  b->hits = 0;
  b->wake_tid = 0;
  return error != 0;
}

static __always_inline struct cause_register *this_causes(void) {
  u32 zero = 0;
  return bpf_map_lookup_elem(&causes, &zero);
}

/* Where the next event's words go. */
struct slot {
  struct batch *batch;
  struct nested *nested; /* not NULL: this event travels alone */
  u64 *out;              /* room for KF_EVENT_WORDS_MAX words */
  u64 now;
  u64 dt;
};

static __always_inline bool kf_begin_nested(struct slot *s, struct batch *b, u32 running, u64 now) {
  u32 zero = 0;
  u64 number = b->nested_total++;
  struct nested *nest = bpf_map_lookup_elem(&nesteds, &zero);
  if (!nest || nest->busy) { /* interrupt in interrupt in program: the number is its gravestone */
    allow_preemption();
    return false;
  }
  nest->busy = 1;
  barrier();
  nest->head.nested_before = number;
  nest->head.cur_tid = running;
  s->nested = nest;
  s->out = nest->words;
  s->now = now;
  s->dt = 0;
  return true;
}

/* `running` is the task on this CPU, the one that is about to leave at a switch; `now` was read by the caller. False: the
 * event is lost, accounted. */
static __always_inline bool kf_begin_at(struct slot *s, struct batch *b, u32 running, u64 now) {
  s->batch = b;
  s->nested = NULL;
  forbid_preemption(); /* until kf_end() */
  if (unlikely(b->busy)) return kf_begin_nested(s, b, running, now);
  b->busy = 1;
  barrier();
  if (unlikely(now < b->last_ns)) now = b->last_ns; /* the fast clock may step back by < 1 us */
  u32 n = b->n;
  if (n >= KF_CHUNK_WORDS || (n && now - b->head.base_ns > config.flush_age_ns)) {
    kf_send(b, n >= KF_CHUNK_WORDS ? 0 : KF_CHUNK_FLUSHED);
    n = 0;
  }
  u64 dt = now - b->last_ns;
  if (n == 0) {
    b->head.base_ns = now;
    b->head.cur_tid = running;
    dt = 0;
  } else {
    if (unlikely(b->running != running)) {
      b->words[n & KF_BATCH_MASK] = kf_pack_current(running);
      n++;
    }
    if (dt > KF_DT_MASK) {
      b->words[n & KF_BATCH_MASK] = kf_pack_time(dt);
      n++;
      dt = 0;
    }
    b->n = n;
  }
  b->running = running;
  s->now = now;
  s->dt = dt;
  s->out = &b->words[n & KF_BATCH_MASK];
  return true;
}

static __always_inline bool kf_begin(struct slot *s, u32 running) {
  struct batch *b = this_batch();
  return b && kf_begin_at(s, b, running, bpf_ktime_get_boot_ns());
}

static __always_inline void kf_end(struct slot *s, u32 words) {
  struct batch *b = s->batch;
  if (unlikely(s->nested != NULL)) {
    struct nested *nest = s->nested;
    u32 lane = bpf_get_smp_processor_id();
    u32 group = config.n_rings > 1 ? lane / (config.cpus_per_ring ? config.cpus_per_ring : 1) : 0;
    if (words > KF_EVENT_WORDS_MAX) words = KF_EVENT_WORDS_MAX;
    nest->head.magic = KF_CHUNK_MAGIC;
    nest->head.flags = KF_CHUNK_NESTED;
    nest->head.lane = lane;
    nest->head.n_words = words;
    nest->head.seq = 0;
    nest->head.base_ns = s->now;
    nest->head.last_ns = s->now;
    nest->head.events_before = 0;
    nest->head.n_events = 1;
    nest->head.n_hits = 1;
    void *ring = bpf_map_lookup_elem(&rings, &group);
    if (ring)
      bpf_ringbuf_output(ring, &nest->head, sizeof(struct kf_chunk) + (u64)words * 8, BPF_RB_NO_WAKEUP);
    barrier();
    nest->busy = 0;
    allow_preemption();
    return;
  }
  b->n += words;
  b->last_ns = s->now;
  b->events++;
  b->hits++;
  b->events_total++;
  barrier();
  b->busy = 0;
  allow_preemption();
}

/* ------------------------------------------------------------------ targets */

/* At most one hash look-up per change of process on a CPU. */
static __always_inline bool is_target_now(struct kf_cpu_call *c, u32 tgid) {
  if (config.everyone) return tgid != config.own_tgid;
  u32 gen = *(volatile kf_u32 *)&target_gen; /* read once: an answer is not newer than its generation */
  if (c->checked_tgid != tgid || c->checked_gen != gen) {
    c->is_target = bpf_map_lookup_elem(&targets, &tgid) != NULL && tgid != config.own_tgid;
    c->checked_gen = gen;
    c->checked_tgid = tgid;
  }
  return c->is_target;
}

/* The same for what happens at every switch: two processes that take turns on a CPU need no look-up either. A note is one
 * word, so that an interrupt's answer cannot mix with the one it interrupts. */
static __always_inline bool is_target_noted(struct batch *b, u32 tgid) {
  if (config.everyone) return tgid != config.own_tgid;
  u64 *note = &b->target_notes[tgid & (TARGET_NOTES - 1)];
  u64 known = *note;
  u64 fresh = (u64)tgid << 32 | (u64)(target_gen & 0x7fffffff) << 1;
  if ((known & ~1ULL) != fresh) {
    known = fresh | (bpf_map_lookup_elem(&targets, &tgid) != NULL && tgid != config.own_tgid);
    *note = known;
  }
  return known & 1;
}

static __always_inline bool is_target(u32 tgid) {
  return config.everyone || bpf_map_lookup_elem(&targets, &tgid) != NULL;
}

/* ------------------------------------------------------------------ calls and waits of switched-out tasks */

static __always_inline bool parks(void) { return config.syscalls != KF_SYSCALLS_OFF || config.stack_wait_ns; }

/* The place of this thread's call, NULL if it has none yet. */
static __always_inline struct kf_parked_call *find_parked(u32 tid) {
  if (config.parked_slots) {
    u32 index = tid & (config.parked_slots - 1);
    struct kf_parked_call *slot = bpf_map_lookup_elem(&parked, &index);
    if (slot && slot->tid == tid) return slot;
  }
  return bpf_map_lookup_elem(&open_calls, &tid);
}

static __always_inline bool take_if_free(u32 *place, u32 tid) {
#ifdef KF_OLD_KERNEL /* config.parked_slots is 0 there */
  return false;
#else
  return __sync_val_compare_and_swap(place, 0, tid) == 0;
#endif
}

/* As above, and makes one. NULL: no room. Whoever has a place in the map keeps it, also when the slot has become free. */
static __always_inline struct kf_parked_call *place_to_park(u32 tid) {
  struct kf_parked_call *slot = NULL;
  if (config.parked_slots) {
    u32 index = tid & (config.parked_slots - 1);
    slot = bpf_map_lookup_elem(&parked, &index);
    if (slot && slot->tid == tid) return slot;
  }
  struct kf_parked_call *place = bpf_map_lookup_elem(&open_calls, &tid);
  if (place) return place;
  if (slot && take_if_free(&slot->tid, tid)) return slot;
  struct kf_parked_call fresh = {.tid = tid};
  bpf_map_update_elem(&open_calls, &tid, &fresh, BPF_ANY);
  return bpf_map_lookup_elem(&open_calls, &tid);
}

static __always_inline void park(u32 tid, u32 nr, u64 enter_ns) {
  struct kf_parked_call *place = place_to_park(tid);
  if (place) {
    place->nr = nr;
    place->enter_ns = enter_ns;
  } else {
    __sync_fetch_and_add(&counters.inflight_lost, 1);
  }
}

static __always_inline void forget_parked(u32 tid) {
  if (config.parked_slots) {
    u32 index = tid & (config.parked_slots - 1);
    struct kf_parked_call *slot = bpf_map_lookup_elem(&parked, &index);
    if (slot && slot->tid == tid) {
      slot->enter_ns = slot->out_ns = 0; /* nothing of this thread may be taken for the next one's */
      slot->waited = slot->exec = 0;
      barrier();
      slot->tid = 0;
      return;
    }
  }
  bpf_map_delete_elem(&open_calls, &tid);
}

/* ------------------------------------------------------------------ control ring */

static __always_inline struct kf_ctl *control_reserve(void) {
  struct kf_ctl *r = bpf_ringbuf_reserve(&control, sizeof(*r), 0);
  if (!r) {
    __sync_fetch_and_add(&counters.control_lost, 1);
    return NULL;
  }
  __builtin_memset(r, 0, sizeof(*r));
  return r;
}

#endif
