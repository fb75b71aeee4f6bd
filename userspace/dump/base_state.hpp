// SPDX-License-Identifier: Apache-2.0
//
// base_state.hpp - what is still known about threads and CPUs after their chunks have left the window.
//
// The consumer folds every evicted chunk into it (one hash look-up and a few stores per event, no allocation but for a
// thread never seen before); a dump copies it out. It keeps last facts, not states: the Timeline replays them through
// its state machine (see dump_format.h). Single-threaded: the owner of the window calls it under the window's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dump/thread_table.hpp"
#include "kflight/dump_format.h"
#include "kflight/event.hpp"

namespace kflight::dump {

class BaseState {
 public:
  // A snapshot record of iter/task. Facts from folded events of the same thread win over it.
  void add_snapshot(const kf_task& task);
  // `words` are chunk.n_words words that follow `chunk`. Trusted input: it comes from our own BPF program; still never
  // reads beyond words. Nested chunks may come before the chunk they were nested in. Lanes may be folded in any order
  // relative to each other: the result is the same.
  void fold(const kf_chunk& chunk, std::span<const kf_u64> words);

  std::vector<kf_base_task> tasks() const;    // sorted by tid
  std::vector<kf_base_lane> lanes() const;    // sorted by lane
  std::vector<kf_base_stack> stacks() const;  // of threads that have not run since, sorted by tid
  std::size_t thread_count() const;
  // Forgets threads that exited (KF_BASE_EXITED) and whose last event is before `before_ns`.
  void forget_exited(std::uint64_t before_ns);

 private:
  struct Lane {
    bool seen = false;
    kf_base_lane facts{};
  };
  // The thread that runs on the CPU whose chunk is being folded: most events concern it.
  struct Running {
    std::uint32_t tid = 0;
    std::uint32_t place = 0;
  };

  void apply(const SwitchEvent& e);
  void apply(const WakingEvent& e);
  void apply(const WakeupEvent& e);
  void apply(const MigrateEvent& e);
  void apply(const ForkEvent& e);
  void apply(const ExecEvent& e);
  void apply(const ExitEvent& e);
  void apply(const RenameEvent& e);
  void apply(const SyscallEvent& e);
  void apply(const SyscallOpenEvent& e);
  void apply(const StackEvent& e);
  template <class E>
  void apply(const E&) {}  // the other kinds are no facts about a thread
  void look_ahead(std::span<const kf_u64> words, std::size_t& looked_at, std::size_t upto) const;
  ThreadFacts& running(std::uint32_t tid);
  void advance_lane(const kf_chunk& chunk, std::uint32_t cur_tid);

  ThreadTable threads_;
  Running running_;
  std::vector<Lane> lanes_;  // by CPU number
};

}  // namespace kflight::dump
