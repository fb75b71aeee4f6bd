// SPDX-License-Identifier: Apache-2.0
//
// base_state.hpp - what is still known about threads and CPUs after their chunks have left the window.
//
// The consumer folds every evicted chunk into it (one hash look-up and a few stores per event, no allocation but for a
// thread never seen before); a dump copies it out. It keeps last facts, not states: the Timeline replays them through
// its state machine (see dump_format.h). Single-threaded: the owner of the window calls it under the window's lock.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "kflight/dump_format.h"

namespace kflight::dump {

class BaseState {
 public:
  // A snapshot record of iter/task. Facts from folded events of the same thread win over it.
  void add_snapshot(const kf_task& task);
  // `words` are chunk.n_words words that follow `chunk`. Trusted input: it comes from our own BPF program; still never
  // reads beyond words. Nested chunks may come before the chunk they were nested in.
  void fold(const kf_chunk& chunk, std::span<const kf_u64> words);

  std::vector<kf_base_task> tasks() const;   // sorted by tid
  std::vector<kf_base_lane> lanes() const;   // sorted by lane
  std::size_t thread_count() const;
  // Forgets threads that exited (KF_BASE_EXITED) and whose last event is before `before_ns`.
  void forget_exited(std::uint64_t before_ns);
};

}  // namespace kflight::dump
