/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * handoff.bpf.h - what several programs need to tell how work went from one to the next: the cause that runs on this CPU,
 * the cap on events nobody waits for, and the event of a kworker's work item.
 */
#ifndef KFLIGHT_HANDOFF_BPF_H
#define KFLIGHT_HANDOFF_BPF_H

#include "compat.bpf.h"
#include "core.bpf.h"

/* A work item that was queued, by whom and why. */
struct queued_work {
  u64 work; /* address; 0: nothing here */
  u64 queued_ns;
  u32 queuer;
  u32 context; /* KF_CTX_* */
  u32 cpu;
  u32 queuer_nr;
  struct cause cause;
};
/* A work item in execution, by the kworker's tid. */
struct running_work {
  u32 tid; /* 0: nothing here */
  u32 told; /* its event is written */
  u64 function;
  u64 started_ns;
  struct queued_work queued;
};
#define QUEUED_WORKS 4096 /* powers of two; a collision loses who queued the older one */
#define RUNNING_WORKS 1024

struct caps_map {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, u32);
  __type(value, struct kf_cap);
};
struct queued_works_map {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, QUEUED_WORKS);
  __type(key, u32);
  __type(value, struct queued_work);
};
struct running_works_map {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, RUNNING_WORKS);
  __type(key, u32);
  __type(value, struct running_work);
};
struct work_functions_map { /* of the WORK events so far: the recorder looks up their names */
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, u64);
  __type(value, u32);
};

extern struct caps_map caps SEC(".maps");
extern struct queued_works_map queued_works SEC(".maps");
extern struct running_works_map running_works SEC(".maps");
extern struct work_functions_map work_functions SEC(".maps");

/* To the verifier an address is a pointer, of which it allows no arithmetic but the distance to another one; depending on
 * how the compiler takes half of a register it would refuse the program. */
static __always_inline u64 as_number(u64 address) {
  u64 distance = address - (u64)&config;
  asm volatile("" : "+r"(distance));
  return distance;
}

/* The level that runs now: a hard interrupt hides the softirq below it. */
static __always_inline struct cause *running(struct cause_register *r) {
  if (r->level[LEVEL_HARD].kind) return &r->level[LEVEL_HARD];
  if (r->level[LEVEL_SOFT].kind) return &r->level[LEVEL_SOFT];
  return NULL;
}

/* Half a million requests per second must not push everything else out of the window. */
static __always_inline bool within_cap(u64 now) {
  u32 zero = 0;
  struct kf_cap *cap = bpf_map_lookup_elem(&caps, &zero);
  if (!cap) return false;
  if (now - cap->slice_ns >= KF_CAP_SLICE_NS) {
    cap->slice_ns = now;
    cap->left = KF_CAPPED_PER_SLICE;
  }
  if (unlikely(!cap->left)) {
    cap->capped++;
    return false;
  }
  cap->left--;
  return true;
}

static __always_inline struct running_work *running_work_of(u32 tid) {
  u32 index = tid & (RUNNING_WORKS - 1);
  struct running_work *work = bpf_map_lookup_elem(&running_works, &index);
  return work && work->tid == tid ? work : NULL;
}

static __always_inline void put_work_event(struct running_work *work, u32 tid) {
  struct queued_work *q = &work->queued;
  u64 now = bpf_ktime_get_boot_ns();
  struct batch *b = this_batch();
  struct slot s;
  if (!b || !kf_begin_at(&s, b, tid, now)) return;
  u32 known = q->work ? KF_WORK_QUEUE_KNOWN : 0;
  s.out[0] = kf_word_generic(KF_GEN_WORK, KF_WORK_WORDS, s.dt, q->queuer | (q->context & 3) << 22 | known);
  s.out[1] = work->function;
  s.out[2] = s.now - work->started_ns;
  s.out[3] = s.now - q->queued_ns;
  s.out[4] = kf_pack_waking2(q->cpu, q->queuer_nr, 0, q->cause.kind, q->cause.detail, q->cause.words);
  s.out[5] = q->cause.args[0];
  s.out[6] = q->cause.args[1];
  kf_end(&s, KF_WORK_WORDS);
}

/* Says once per execution which work item the kworker executes, before the event that makes it matter: items that wake
 * nobody and start no request leave no event, so a storm of them costs a note each and no room. Returns the address of the
 * work function, 0 when there is none. */
static __noinline __attribute__((unused)) u64 tell_work(u32 tid) {
  struct running_work *work = running_work_of(tid);
  if (!work) return 0;
  u64 function = work->function;
  if (work->told) return function;
  work->told = 1;
  if (!bpf_map_lookup_elem(&work_functions, &function)) {
    u32 one = 1;
    bpf_map_update_elem(&work_functions, &function, &one, BPF_NOEXIST);
  }
  put_work_event(work, tid);
  return function;
}

#endif
