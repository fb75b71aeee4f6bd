/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * stack.bpf.h - where a thread is: takes its stacks, names them by a hash and sends each one once.
 *
 * A filter of recently sent ids decides what is sent: two places per id, overwritten without ado. What falls out of it
 * is sent again, so nothing can be full, and the recorder has all of them sent again by counting `stack_epoch` up. Only
 * plain loads and stores: two CPUs that meet in a place at worst send a stack twice. Nothing here is run for threads
 * that are not the target's.
 *
 * A stack costs microseconds, which the many short waits of a busy service would pay for nothing. A stack stays the same
 * while its thread waits: the kernel's until it runs again, the user's until the call ends. So with config.stack_wait_ns
 * they are taken only when the wait turned out to be long: the kernel's by tell_wait() at the switch that ends it, the
 * user's by tell_user_side() at the end of a call that is timed. Of waits outside of such calls the user's, which is the
 * cheaper of the two, is taken when they begin, look_before_wait().
 */
#ifndef KFLIGHT_STACK_BPF_H
#define KFLIGHT_STACK_BPF_H

#include "compat.bpf.h"
#include "core.bpf.h"

#define STACK_FILTER_SLOTS 65536
#define STACK_WORDS_MAX (KF_STACK_FRAMES + KF_STACK_TOPS)
#define STACK_WORDS_MASK 255       /* next power of two above STACK_WORDS_MAX, minus one */

struct stack_scratch {
  struct kf_stack head; /* head and words stay together: they leave as one record */
  u64 words[STACK_WORDS_MASK + 1];
  u64 top[KF_STACK_TOP_WORDS];
  /* What the STACK event will say: kept here because the verifier does not follow values in maps. */
  u64 kernel;
  u64 user;
  u64 lost; /* KF_STACK_LOST_* */
  u64 text; /* of the program: where its code begins, and how long it is */
  u64 text_bytes;
  u64 tops; /* found so far */
};
enum { SCRATCH_TASK = 0, SCRATCH_SAMPLE = 1, SCRATCH_ITER = 2 };

struct stack_scratch_map { /* for what tasks do, for the sample's interrupt and the iterator that may meet it */
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 3);
  __type(key, u32);
  __type(value, struct stack_scratch);
};
struct stack_filter_map {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, STACK_FILTER_SLOTS);
  __type(key, u32);
  __type(value, u64);
};
struct stack_ring_map {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1024 * 1024);
};
extern struct stack_scratch_map stack_scratches SEC(".maps");
extern struct stack_filter_map stack_filter SEC(".maps");
extern struct stack_ring_map stack_ring SEC(".maps");

/* Not static, so that the verifier looks at them once and not once for each way that leads to them. Numbers only: pointers
 * to such functions need a 5.12 kernel. */
u64 kf_hash_stack(u32 scratch, u64 seed, u32 words);
u32 kf_put_tops(u32 scratch, u32 frames, u64 sp, u64 ip);
int kf_put_stack(u32 scratch, u64 now, u32 running, u32 tid, u32 role);
int kf_put_waited(u64 now, u32 tid, u64 since_ns);

extern kf_u64 stack_epoch; /* counted up by the recorder: every stack in use is sent again */

static __always_inline u64 tag_of(u64 id) { return id ^ stack_epoch * 0x9e3779b97f4a7c15ULL; }
static __always_inline u64 *filter_slot(u32 index) {
  index &= STACK_FILTER_SLOTS - 1;
  return bpf_map_lookup_elem(&stack_filter, &index);
}
static __always_inline bool was_sent(u64 id) {
  u64 tag = tag_of(id);
  u64 *first = filter_slot(tag), *second = filter_slot(tag >> 32);
  return first && second && (*first == tag || *second == tag);
}
static __always_inline void note_sent(u64 id) {
  u64 tag = tag_of(id);
  u64 *first = filter_slot(tag), *second = filter_slot(tag >> 32);
  if (first && second) *(*first == 0 || (*second != 0 && tag >> 63) ? first : second) = tag;
}

/* Names the stack in s->words and sends it when the recorder does not have it. 0: lost. The seed of a user stack is the
 * name of its address space. */
static __noinline u64 name_and_send(struct stack_scratch *s, u32 scratch, u64 seed, u32 words) {
  u64 id = kf_hash_stack(scratch, seed, words);
  if (was_sent(id)) return id;
  if (words > STACK_WORDS_MAX) words = STACK_WORDS_MAX; /* cannot be; tells the verifier */
  bool is_new_space = s->head.flags & KF_STACK_USER && !was_sent(seed);
  if (is_new_space) s->head.flags |= KF_STACK_NEW_SPACE;
  s->head.id = id;
  s->head.sent_ns = bpf_ktime_get_boot_ns();
  /* The recorder reads a process's mappings at its first stack, while the process is there. */
  u64 wake = is_new_space || bpf_ringbuf_query(&stack_ring, BPF_RB_AVAIL_DATA) > 256 * 1024
                 ? BPF_RB_FORCE_WAKEUP
                 : BPF_RB_NO_WAKEUP;
  if (bpf_ringbuf_output(&stack_ring, &s->head, sizeof(struct kf_stack) + (u64)words * 8, wake)) {
    __sync_fetch_and_add(&counters.stacks_lost, 1);
    return 0;
  }
  note_sent(id);
  if (is_new_space) note_sent(seed);
  return id;
}

static __always_inline u32 stack_flags(u32 frames) { return frames >= config.stack_frames ? KF_STACK_TRUNCATED : 0; }

/* Names the address space; exec maps everything anew. */
static __always_inline u64 space_of(struct task_struct *task) {
  struct task_struct *leader = field(task, group_leader);
  return kf_stack_mix(kf_stack_mix(field(task, tgid), field(leader, start_boottime)), field(task, self_exec_id));
}

static __always_inline void take_user_stack(void *ctx, struct stack_scratch *s, u32 scratch,
                                            struct task_struct *task) {
  struct mm_struct *mm = field(task, mm);
  if (!mm) return;
  s64 bytes = bpf_get_stack(ctx, s->words, config.stack_frames * 8, BPF_F_USER_STACK);
  if (bytes < 8 || bytes > KF_STACK_FRAMES * 8) return;
  u32 frames = (u32)bytes / 8, tgid = field(task, tgid);
  u64 space = space_of(task);
  struct pt_regs *regs = scratch == SCRATCH_TASK ? task_user_regs(task) : NULL; /* samples are about the function itself */
  s->text = field(mm, start_code);
  s->text_bytes = field(mm, end_code) - s->text;
  u32 tops = regs ? kf_put_tops(scratch, frames, regs_sp(regs), regs_ip(regs)) : 0;
  s->head.tgid = tgid;
  s->head.frames = frames;
  s->head.tops = tops;
  s->head.flags = stack_flags(frames) | KF_STACK_USER;
  s->user = name_and_send(s, scratch, space, frames + tops);
  if (!s->user) s->lost |= KF_STACK_LOST_USER;
}

static __always_inline void keep_kernel_stack(struct stack_scratch *s, u32 scratch, s64 bytes) {
  if (bytes < 8 || bytes > KF_STACK_FRAMES * 8) return;
  u32 frames = (u32)bytes / 8;
  s->head.tgid = 0;
  s->head.frames = frames;
  s->head.tops = 0;
  s->head.flags = stack_flags(frames);
  s->kernel = name_and_send(s, scratch, 1, frames);
  if (!s->kernel) s->lost |= KF_STACK_LOST_KERNEL;
}

/* Stacks of the current task, for kf_put_stack() and kf_put_waited(). Not between kf_begin() and kf_end(), so that the batch
 * is not busy for long. */
static __always_inline struct stack_scratch *take_user_side(void *ctx, u32 scratch, struct task_struct *task) {
  struct stack_scratch *s = bpf_map_lookup_elem(&stack_scratches, &scratch);
  if (!s) return NULL;
  s->kernel = s->user = s->lost = 0;
  take_user_stack(ctx, s, scratch, task);
  return s;
}

static __always_inline bool take_stacks(void *ctx, u32 scratch, struct task_struct *task) {
  struct stack_scratch *s = take_user_side(ctx, scratch, task);
  if (!s) return false;
  keep_kernel_stack(s, scratch, bpf_get_stack(ctx, s->words, config.stack_frames * 8, 0));
  return true;
}

#endif
