/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
 *
 * name_matcher.h - whether a process's name fits one of some patterns, decided where the name appears: a program that
 * blocks in its first call is a target before it gets there. The patterns are one automaton: a bit per element that has
 * been met, and per character the elements it can be. record/name_patterns.cpp makes it; kernel and recorder both ask it.
 */
#ifndef KFLIGHT_NAME_MATCHER_H
#define KFLIGHT_NAME_MATCHER_H

#include "kflight/wire.h"

#define KF_NAME_LANES 4 /* automata of 64 bits, each holding whole patterns */

struct kf_name_lane {
  kf_u64 steps[256]; /* by character: bit i is set where element i accepts it, which leads to bit i + 1 */
  kf_u64 start;      /* nothing of a pattern has been met yet */
  kf_u64 stays;      /* a '*' stands here: any character leads to where one is */
  kf_u64 ends;       /* all of a pattern has been met */
};

struct kf_name_matcher {
  struct kf_name_lane lanes[KF_NAME_LANES];
};

/* `comm` has KF_COMM_BYTES; what follows its NUL does not count. */
static inline kf_u32 kf_name_matches(const volatile struct kf_name_matcher *matcher, const char *comm) {
  for (kf_u32 n = 0; n < KF_NAME_LANES; n++) {
    const volatile struct kf_name_lane *lane = &matcher->lanes[n];
    kf_u64 at = lane->start;
    for (kf_u32 i = 0; i < KF_COMM_BYTES - 1 && at && comm[i]; i++)
      at = (at & lane->steps[(kf_u8)comm[i]]) << 1 | (at & lane->stays);
    if (at & lane->ends) return 1;
  }
  return 0;
}

#endif
