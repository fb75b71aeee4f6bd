// SPDX-License-Identifier: Apache-2.0
//
// Round trips of simulated runs: the states that Perfetto's rules make of an export are the Timeline's, to the
// nanosecond, with their wakers, in whatever order CPUs of one instant are read.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/sinks.hpp"
#include "export/perfetto.hpp"
#include "support/perfetto_reader.hpp"
#include "support/simulator.hpp"

namespace kflight::test {
namespace {

using model::State;
using model::ThreadId;
using model::Timeline;

struct Row {
  std::uint32_t tid;
  std::uint64_t begin_ns, end_ns;
  std::string state;
  std::optional<std::uint32_t> waker;
  bool by_interrupt;
  friend auto operator<=>(const Row&, const Row&) = default;  // NOLINT(modernize-use-nullptr): there is none
  friend void PrintTo(const Row& row, std::ostream* out) {
    *out << row.tid << " [" << row.begin_ns << ", " << row.end_ns << ") " << row.state;
    if (row.waker) *out << " woken by " << (row.by_interrupt ? "interrupt in " : "") << *row.waker;
  }
};

std::string letter(const model::Interval& interval) {
  switch (interval.state) {
    case State::kRunning:
      return "Running";
    case State::kRunnable:
      return interval.why() == model::RunnableWhy::kPreempted ? "R+" : "R";
    case State::kBlocked:
      return interval.detail == KF_ST_DISK ? "D" : "S";
    default:
      return "?";
  }
}

// What Perfetto is to show. A sleep that a waking overtook lasts 1 ns.
std::vector<Row> wanted(const Timeline& timeline) {
  std::vector<Row> rows;
  for (const model::Thread& thread : timeline.threads()) {
    std::uint64_t shifted_to_ns = 0;
    for (std::size_t i = 0; i < thread.intervals.size(); ++i) {
      const model::Interval& interval = thread.intervals[i];
      std::uint64_t end_ns = timeline.interval_end_ns(thread, i);
      Row row{thread.tid, std::max({interval.begin_ns, timeline.begin_ns(), shifted_to_ns}),
              end_ns,     letter(interval),
              {},         false};
      if (interval.state == State::kBlocked && interval.begin_ns == end_ns) row.end_ns = shifted_to_ns = end_ns + 1;
      const bool woken = interval.state == State::kRunnable && interval.wake != model::kNone;
      if (woken && interval.begin_ns > timeline.begin_ns()) {
        const model::Wake& wake = timeline.wake(interval.wake);
        row.by_interrupt = wake.ctx != KF_CTX_TASK;
        row.waker = wake.waker < model::kIdleThread ? timeline.thread(wake.waker).tid : 0;
      }
      if (interval.state != State::kUnknown) rows.push_back(row);  // only before a thread is first seen
    }
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::vector<Row> got(const PfTrace& trace, const Timeline& timeline, bool highest_cpu_first) {
  std::vector<Row> rows;
  for (const PfThread& thread : trace.replay(highest_cpu_first)) {
    for (const PfState& state : thread.states) {
      const std::uint64_t end_ns = state.end_ns == PfState::kOpen ? timeline.end_ns() : state.end_ns;
      if (state.state == "Running" && state.begin_ns == end_ns) continue;  // passed over at the beginning
      rows.push_back({thread.tid, state.begin_ns, end_ns, state.state, state.waker, state.flags.value_or(0) != 0});
    }
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

class Simulated : public testing::TestWithParam<std::uint64_t> {};

TEST_P(Simulated, StatesAndWakersSurviveTheRoundTrip) {
  const std::uint64_t seed = GetParam();
  Simulator run(seed, 20'000);
  run.run();
  const std::uint64_t begin_ns = seed % 2 ? 5'000'000 + seed * 1'003 : 0;
  const model::Trace trace(record(run, {.seed = seed, .begin_ns = begin_ns}).timeline);
  MemorySink sink;
  ASSERT_TRUE(exports::export_perfetto(trace, sink, {}));
  const PfTrace read(sink.bytes());
  const std::vector<Row> expected = wanted(trace.timeline());
  for (bool highest_cpu_first : {false, true}) {
    const std::vector<Row> rows = got(read, trace.timeline(), highest_cpu_first);
    const auto [mine, theirs] = std::mismatch(rows.begin(), rows.end(), expected.begin(), expected.end());
    ASSERT_EQ(rows.size(), expected.size());
    ASSERT_TRUE(mine == rows.end()) << "row " << mine - rows.begin() << ": " << testing::PrintToString(*mine)
                                    << " is to be " << testing::PrintToString(*theirs);
  }
}

TEST_P(Simulated, LossesNeverMakeAnUnreadableTrace) {
  const std::uint64_t seed = GetParam();
  Simulator run(seed, 20'000);
  run.run();
  const model::Trace trace(
      record(run, {.seed = seed, .begin_ns = 2'000'000, .lost_stretches = 0.002, .lost_silently = 0.001}).timeline);
  MemorySink sink;
  ASSERT_TRUE(exports::export_perfetto(trace, sink, {}));
  const PfTrace read(sink.bytes());
  // Time on CPUs is told as far as it is known, and no further.
  std::map<std::uint32_t, std::uint64_t> known, told;
  for (const model::Thread& thread : trace.timeline().threads())
    for (std::size_t i = 0; i < thread.intervals.size(); ++i)
      if (thread.intervals[i].state == State::kRunning)
        known[thread.tid] += trace.timeline().interval_end_ns(thread, i) -
                             std::max(thread.intervals[i].begin_ns, trace.timeline().begin_ns());
  for (const PfThread& thread : read.replay(false, false))
    for (const PfState& state : thread.states)
      if (state.state == "Running" && thread.tid < 0x400000)
        told[thread.tid] +=
            (state.end_ns == PfState::kOpen ? trace.timeline().end_ns() : state.end_ns) - state.begin_ns;
  for (const auto& [tid, ns] : known) {
    EXPECT_LE(told[tid], ns) << "thread " << tid;
    EXPECT_LE(ns - told[tid], 64u) << "thread " << tid << ": at most a ns where another CPU took it away";
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Simulated, testing::Range<std::uint64_t>(0, 40));

}  // namespace
}  // namespace kflight::test
