// SPDX-License-Identifier: Apache-2.0
//
// The Timeline of simulated runs against the simulator's own truth, and its invariants under losses.
#include <gtest/gtest.h>

#include "support/simulator.hpp"
#include "support/timeline_expect.hpp"

namespace kflight::test {
namespace {

using model::Piece;
using model::State;
using model::ThreadId;
using model::Timeline;

constexpr std::uint64_t kRunUs = 3000;

Simulator simulate(std::uint64_t seed) {
  Simulator run(seed, kRunUs);
  run.run();
  return run;
}

// Compares with the truth at the edges and in the middle of each of its stretches; `tolerate` accepts a difference.
template <class F>
std::size_t compare_with_truth(const Simulator& run, const Timeline& timeline, F&& tolerate) {
  std::size_t compared = 0;
  for (const auto& [tid, states] : run.truth()) {
    const ThreadId id = timeline.find_thread(tid, timeline.begin_ns());
    if (id == model::kNoThread) continue;
    for (std::size_t i = 0; i < states.size(); ++i) {
      const std::uint64_t from = std::max(states[i].since_ns, timeline.begin_ns());
      const std::uint64_t to = i + 1 < states.size() ? states[i + 1].since_ns : run.end_ns();
      if (from >= to) continue;
      for (std::uint64_t t : {from, from + (to - from) / 2, to - 1}) {
        const Piece piece = timeline.piece_at(id, t);
        ++compared;
        if (piece.state == states[i].state || tolerate(id, piece)) continue;
        ADD_FAILURE() << "thread " << tid << " at " << t << ": " << int(piece.state) << ", in truth "
                      << int(states[i].state);
        return compared;
      }
    }
  }
  return compared;
}

bool inferred(const Timeline& timeline, ThreadId id, const Piece& piece) {
  return piece.index != model::kNone && (timeline.thread(id).intervals[piece.index].flags & model::kIntervalInferred);
}

// The window ends before an early waking could be decided upon.
bool undecided(const Timeline& timeline, ThreadId id, const Piece& piece) {
  return inferred(timeline, id, piece) && piece.index + 1 == timeline.thread(id).intervals.size();
}

TEST(TimelineSimulated, StatesEqualTheTruth) {
  std::size_t compared = 0;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    const Simulator run = simulate(seed);
    const Recording recording = record(run, {.seed = seed});
    expect_partition(recording.timeline);
    expect_cpus_agree(recording.timeline);
    EXPECT_EQ(recording.timeline.counters().misfits, 0u);
    EXPECT_EQ(recording.timeline.counters().lost_wakings, 0u);
    EXPECT_EQ(recording.timeline.counters().no_wakes, 0u);
    EXPECT_EQ(recording.timeline.counters().lost_switches, 0u);
    compared += compare_with_truth(run, recording.timeline, [&](ThreadId id, const Piece& piece) {
      const bool not_heard_of = piece.state == State::kUnknown && piece.begin_ns == 0;
      return not_heard_of || undecided(recording.timeline, id, piece);
    });
    if (HasFailure()) break;
  }
  EXPECT_GT(compared, 50'000u);
}

TEST(TimelineSimulated, WindowThatBeginsLateKnowsAllStates) {
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    const Simulator run = simulate(seed);
    const Recording recording = record(run, {.seed = seed, .begin_ns = 700'000 + seed * 1'001});
    expect_partition(recording.timeline);
    expect_cpus_agree(recording.timeline);
    EXPECT_EQ(recording.timeline.counters().misfits, 0u);
    EXPECT_EQ(recording.timeline.counters().lost_wakings, 0u);
    compare_with_truth(run, recording.timeline,
                       [&](ThreadId id, const Piece& piece) { return undecided(recording.timeline, id, piece); });
    if (HasFailure()) break;
  }
}

TEST(TimelineSimulated, ReportedLossesMakeStatesDoubtfulNotWrong) {
  std::size_t compared = 0, unknown = 0, doubtful = 0;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    const Simulator run = simulate(seed);
    const Recording recording =
        record(run, {.seed = seed, .begin_ns = seed % 2 ? 700'000u : 0u, .lost_stretches = 0.005});
    const Timeline& timeline = recording.timeline;
    expect_partition(timeline);
    expect_cpus_agree(timeline);
    compared += compare_with_truth(run, timeline, [&](ThreadId id, const Piece& piece) {
      if (piece.state == State::kUnknown) return ++unknown, true;
      if (inferred(timeline, id, piece) || timeline.may_miss_events(timeline.thread(id), piece.index))
        return ++doubtful, true;
      return false;
    });
    if (HasFailure()) break;
  }
  EXPECT_LT(unknown, compared / 2);
  EXPECT_LT(doubtful, compared / 20);
}

TEST(TimelineSimulated, SilentLossesKeepTheInvariants) {
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    const Recording recording = record(simulate(seed), {.seed = seed, .lost_silently = 0.02});
    expect_partition(recording.timeline);
    expect_cpus_agree(recording.timeline);
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace kflight::test
