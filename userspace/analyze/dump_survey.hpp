// SPDX-License-Identifier: Apache-2.0
//
// dump_survey.hpp - what the invariants need to know about a dump before they look at its events: where it is blind,
// which time can be judged, which threads are recorded in full. One pass over the chunks, CPU by CPU, without merging.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "analyze/check.hpp"
#include "analyze/loss_index.hpp"
#include "kflight/dump.hpp"

namespace kflight::analyze {

struct DumpSurvey {
  explicit DumpSurvey(const Dump& dump);

  const Dump& dump;
  LossIndex losses;
  // Every CPU's events are there in [begin_ns, end_ns), but for losses.
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;

  std::uint64_t events = 0;
  std::uint64_t chunks = 0;
  std::uint64_t lost_in_rings = 0;  // as the chunks' numbers tell
  std::uint64_t lost_nested = 0;
  // Events were lost before the window: what the base state says of a thread's last switch-out may not have been the last.
  bool base_may_lag = false;
  std::uint64_t duplicate_chunks = 0;
  std::uint64_t hidden_stays = 0;          // times a CPU was given to a thread that the kernel hides from BPF programs
  std::vector<Evidence> number_problems;   // of chunk numbers and counts
  std::vector<Evidence> content_problems;  // of chunks that do not hold what their header says

  bool system_scope = true;                   // scheduling of every thread is recorded
  std::unordered_set<std::uint32_t> covered;  // otherwise of these
  // exec gave one thread the id of another: their events cannot be told apart without a model of threads.
  std::unordered_set<std::uint32_t> renamed;

  // All scheduling events about this thread are in the window, and they are about one thread.
  bool judges(std::uint32_t tid) const {
    return tid != 0 && (system_scope || covered.contains(tid)) && (renamed.empty() || !renamed.contains(tid));
  }

 private:
  class ThreadSurvey;

  void survey_chunks();
  void compare_neighbours(const kf_chunk& before, const kf_chunk& head);
  void survey_events(const dump::ChunkRef& chunk, ThreadSurvey& threads);
  void find_hidden_threads(const ThreadSurvey& threads);
  void note_losses();
  void set_interval();
};

}  // namespace kflight::analyze
