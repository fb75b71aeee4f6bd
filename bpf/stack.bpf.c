// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* stack.bpf.c - owns the maps that stack.bpf.h declares, turns a stack into its name and stacks into an event. */
#include "stack.bpf.h"

struct stack_scratch_map stack_scratches SEC(".maps");
struct stack_filter_map stack_filter SEC(".maps");
struct stack_ring_map stack_ring SEC(".maps");
kf_u64 stack_epoch = 0;

/* The name of the first words of a scratch; never 0 unless there is no scratch. */
__noinline u64 kf_hash_stack(u32 scratch, u64 seed, u32 words) {
  struct stack_scratch *s = bpf_map_lookup_elem(&stack_scratches, &scratch);
  if (!s) return 0;
  for (u32 i = 0; i < STACK_WORDS_MAX; i++) {
    if (i >= words) break;
    seed = kf_stack_mix(seed, s->words[i & STACK_WORDS_MASK]);
  }
  return seed ? seed : 1;
}

/* What looks like a return address near the stack pointer: into the program or into the library the call is made from.
 * The chain of frame pointers leaves out the caller of a function without a frame, such as most of the C library; the
 * reader finds it among these words with the library's own unwind information. They follow the frames; returns how many. */
__noinline u32 kf_put_tops(u32 scratch, u32 frames, u64 sp, u64 ip) {
  struct stack_scratch *s = bpf_map_lookup_elem(&stack_scratches, &scratch);
  if (!s || bpf_probe_read_user(s->top, sizeof(s->top), (void *)sp)) return 0;
  u64 text = s->text, text_bytes = s->text_bytes;
  s->tops = 0;
  for (u32 i = 0; i < KF_STACK_TOP_WORDS; i++) {
    u64 word = s->top[i];
    if (!is_below(word - text, text_bytes) && word - (ip - KF_STACK_LIBRARY_REACH) >= 2 * KF_STACK_LIBRARY_REACH) continue;
    s->words[(frames + s->tops) & STACK_WORDS_MASK] = kf_pack_top(i, word);
    s->tops++;
  }
  return s->tops < KF_STACK_TOPS ? s->tops : KF_STACK_TOPS;
}

/* The event of a stack that is told afterwards: of tid, which runs here, since then. */
__noinline int kf_put_waited(u64 now, u32 tid, u64 since_ns) {
  u32 scratch = SCRATCH_TASK;
  struct stack_scratch *taken = bpf_map_lookup_elem(&stack_scratches, &scratch);
  struct batch *b = this_batch();
  struct slot s;
  if (!taken || !b || !kf_begin_at(&s, b, tid, now)) return 0;
  s.out[0] = kf_word_generic(KF_GEN_STACK, KF_STACK_WORDS + 1, s.dt, tid | KF_STACK_WAITED << KF_TID_BITS | taken->lost);
  s.out[1] = taken->kernel;
  s.out[2] = taken->user;
  s.out[3] = s.now - since_ns;
  kf_end(&s, KF_STACK_WORDS + 1);
  if (!s.nested) b->hits--; /* part of another event's hit */
  return 0;
}

/* An event of what take_stacks() left in a scratch. `running` is the task on this CPU. */
__noinline int kf_put_stack(u32 scratch, u64 now, u32 running, u32 tid, u32 role) {
  struct stack_scratch *taken = bpf_map_lookup_elem(&stack_scratches, &scratch);
  struct batch *b = this_batch();
  struct slot s;
  if (!taken || !b || !kf_begin_at(&s, b, running, now)) return 0;
  s.out[0] = kf_word_generic(KF_GEN_STACK, KF_STACK_WORDS, s.dt, tid | role << KF_TID_BITS | taken->lost);
  s.out[1] = taken->kernel;
  s.out[2] = taken->user;
  kf_end(&s, KF_STACK_WORDS);
  if (!s.nested && role != KF_STACK_SAMPLE) b->hits--; /* part of another event's hit */
  return 0;
}
