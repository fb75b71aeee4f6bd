// SPDX-License-Identifier: Apache-2.0
//
// timeline_cases.hpp - for tests of the state machine's rules on traces written by hand: a thread 7 that runs on CPU 0
// from the beginning, the Timeline of such a trace, and questions to it. Times are in ns.
#pragma once

#include "model/timeline.hpp"
#include "support/timeline_expect.hpp"
#include "support/trace_builder.hpp"

namespace kflight::test {

inline constexpr std::uint64_t kBegin = 1'000, kEnd = 1'000'000;
inline constexpr SwitchSpec kAsleep{.state = KF_ST_SLEEP};

inline model::Timeline built(const TraceBuilder& t) {
  model::Timeline timeline = t.timeline(kBegin, kEnd);
  expect_partition(timeline);
  expect_cpus_agree(timeline);
  return timeline;
}

inline const model::Thread& thread(const model::Timeline& timeline, std::uint32_t tid, std::uint64_t at = kEnd) {
  return timeline.thread(timeline.find_thread(tid, at));
}

inline model::State state_at(const model::Timeline& timeline, std::uint32_t tid, std::uint64_t t) {
  return timeline.piece_at(timeline.find_thread(tid, t), t).state;
}

inline TraceBuilder on_cpu0() {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).cpu(0).at(10'000);
  return t;
}

}  // namespace kflight::test
