// SPDX-License-Identifier: Apache-2.0
//
// timeline_expect.hpp - what holds of every Timeline, whatever events it was built from.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "model/timeline.hpp"

namespace kflight::test {

// Each thread is in exactly one state at each instant of the window.
inline void expect_partition(const model::Timeline& timeline) {
  for (model::ThreadId id = 0; id < timeline.threads().size(); ++id) {
    std::uint64_t at = timeline.begin_ns();
    auto cursor = timeline.pieces(id, timeline.begin_ns(), timeline.end_ns());
    for (model::Piece piece; cursor.next(piece); at = piece.end_ns) {
      ASSERT_EQ(piece.begin_ns, at);
      ASSERT_LT(piece.begin_ns, piece.end_ns);
    }
    ASSERT_EQ(at, timeline.end_ns());
  }
}

// A thread runs on a CPU exactly while the CPU says so.
inline void expect_cpus_agree(const model::Timeline& timeline) {
  std::uint64_t running = 0, busy = 0;
  for (model::ThreadId id = 0; id < timeline.threads().size(); ++id) {
    const model::Thread& thread = timeline.thread(id);
    for (std::size_t i = 0; i < thread.intervals.size(); ++i) {
      if (thread.intervals[i].state != model::State::kRunning) continue;
      const std::uint64_t from = std::max(thread.intervals[i].begin_ns, timeline.begin_ns());
      const std::uint64_t to = timeline.interval_end_ns(thread, i);
      running += to - from;
      auto occupants = timeline.occupants(thread.intervals[i].cpu, from, to);
      for (model::OccupantPiece piece; occupants.next(piece);) ASSERT_EQ(piece.thread, id) << from << " " << to;
    }
  }
  for (std::uint16_t cpu = 0; cpu < timeline.cpus(); ++cpu) {
    auto occupants = timeline.occupants(cpu, timeline.begin_ns(), timeline.end_ns());
    for (model::OccupantPiece piece; occupants.next(piece);)
      if (piece.thread < model::kIdleThread) busy += piece.end_ns - piece.begin_ns;
  }
  ASSERT_EQ(running, busy);
}

}  // namespace kflight::test
