// SPDX-License-Identifier: Apache-2.0
//
// What the state machine makes of missing events: what it doubts, and what it still knows.
#include <gmock/gmock.h>

#include "support/timeline_cases.hpp"

namespace kflight::test {
namespace {

using model::Interval;
using model::State;
using model::Timeline;

TEST(TimelineLoss, SleepWithoutAWakeAcrossALossIsUnknown) {
  TraceBuilder t = on_cpu0();
  t.switch_to(0, kAsleep).at(30'000).cpu(1).loss(15'000, 3).at(40'000).cpu(0).switch_to(7);
  const Timeline timeline = built(t);
  EXPECT_EQ(timeline.counters().no_wakes, 0u);
  EXPECT_EQ(state_at(timeline, 7, 20'000), State::kUnknown);
  EXPECT_EQ(timeline.losses().events(), 3u);
  EXPECT_EQ(timeline.losses().blind_ns(0, 20'000), 5'000u);
}

TEST(TimelineLoss, OfTheWindowCountsOnce) {
  TraceBuilder t = on_cpu0();
  t.at(30'000).cpu(1).loss(15'000, 3);
  t.losses().push_back({KF_LOSS_WINDOW, 1, 15'000, 30'000, 3});
  t.losses().push_back({KF_LOSS_RECURSION, 1, 40'000, 50'000, 2});
  const Timeline timeline = built(t);
  EXPECT_EQ(timeline.losses().events(), 5u);
  EXPECT_TRUE(timeline.losses().any_in(1, 20'000, 21'000));
}

TEST(TimelineLoss, MissedSwitchShowsAtTheNextEventOfTheCpu) {
  TraceBuilder t = on_cpu0();
  t.waking(9).at(20'000).unseen_switch_to(5).at(30'000).waking(10);
  const Timeline timeline = built(t);
  EXPECT_EQ(timeline.counters().misfits, 1u);
  EXPECT_TRUE(timeline.losses().any_in(0, 15'000, 16'000));  // nobody reported it
  EXPECT_EQ(state_at(timeline, 7, 9'999), State::kRunning);
  EXPECT_EQ(state_at(timeline, 7, 15'000), State::kUnknown);
  EXPECT_EQ(state_at(timeline, 5, 15'000), State::kUnknown);
  EXPECT_EQ(state_at(timeline, 5, 30'000), State::kRunning);
}

TEST(TimelineLoss, GapInTheThreadsOwnSequenceMakesItsTimeUnknown) {
  TraceBuilder t = on_cpu0();
  t.switch_to(0, kAsleep).at(11'000).switch_to(7).unseen_switch_to(0).unseen_switch_to(7);
  t.at(20'000).switch_to(0, kAsleep);
  const Timeline timeline = built(t);
  EXPECT_EQ(timeline.counters().lost_switches, 1u);
  EXPECT_EQ(state_at(timeline, 7, 15'000), State::kUnknown);
  EXPECT_EQ(state_at(timeline, 7, 20'000), State::kBlocked);
}

TEST(TimelineLoss, GapSinceTheBirthMakesTheTimeUnknown) {
  TraceBuilder t = on_cpu0();
  t.fork(20, 20).at(10'100).wakeup(20, 1, true).at(12'000).cpu(1).unseen_switch_to(20).unseen_switch_to(0);
  t.at(30'000).waking(20).at(31'000).switch_to(20).at(40'000).switch_to(0, kAsleep);
  const Timeline timeline = built(t);
  EXPECT_EQ(timeline.counters().lost_switches, 1u);
  EXPECT_EQ(state_at(timeline, 20, 20'000), State::kUnknown);
  EXPECT_EQ(state_at(timeline, 20, 41'000), State::kBlocked);
}

TEST(TimelineLoss, EnqueueAloneTellsOfALostWaking) {
  TraceBuilder t = on_cpu0();
  t.switch_to(0, kAsleep).at(20'000).cpu(1).wakeup(7, 1);
  const Timeline timeline = built(t);
  EXPECT_EQ(timeline.counters().lost_wakings, 1u);
  EXPECT_EQ(state_at(timeline, 7, 20'000), State::kRunnable);
}

TEST(TimelineLoss, ACpuGivenToAHiddenThread_IsAHoleUntilTheEnd) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 0).named(7, "seven").cpu(0).at(10'000).switch_to(70, kAsleep);
  t.cpu(1).at(30'000).wakeup(7, 1).at(31'000).switch_to(7);
  const Timeline timeline = built(t);
  EXPECT_TRUE(timeline.losses().any_in(0, 20'000, 21'000));
  EXPECT_FALSE(timeline.losses().any_in(1, 20'000, 21'000));
}

// What CPUs ran when the window began is known from the base state alone.
TEST(TimelineLoss, ACpuOfAHiddenThreadAtTheBegin_IsAHoleUntilSomebodyElseActs) {
  TraceBuilder t;
  t.named(7, "seven").runs(0, 70).runs(1, 71).cpu(0).at(30'000).unseen_switch_to(7).waking(9);
  for (kf_u16 cpu = 0; cpu < 2; ++cpu)
    t.base_lanes().push_back({.lane = cpu, .known = 1, .cur_tid = 70u + cpu, .through_ns = kBegin / 2});
  const Timeline timeline = built(t);
  EXPECT_TRUE(timeline.losses().any_in(0, 20'000, 21'000));
  EXPECT_FALSE(timeline.losses().any_in(0, 30'001, 31'000));
  EXPECT_TRUE(timeline.losses().any_in(1, 40'000, 41'000));
  EXPECT_EQ(state_at(timeline, 7, 20'000), State::kUnknown);
}

TEST(TimelineLoss, ACpuGivenToAThreadThatTheSnapshotLists_IsNone) {
  TraceBuilder t;
  t.runs(0, 7).named(7, "seven").named(8, "eight").cpu(0).at(10'000).switch_to(8, kAsleep);
  EXPECT_TRUE(built(t).losses().all().empty());
}

TEST(TimelineLoss, WakingInAHole_LeavesTheSleepASleep) {
  TraceBuilder t;
  t.runs(0, 7).cpu(0).at(10'000).switch_to(0, {.state = KF_ST_SLEEP, .call = "nanosleep", .enter_ns = 9'000});
  t.at(50'000).loss(49'000, 2).at(51'000).switch_to(7).at(52'000).returns("nanosleep", 9'000, 0);
  t.at(60'000).switch_to(0, kAsleep);
  const Timeline timeline = built(t);
  const model::Piece sleep = timeline.piece_at(timeline.find_thread(7, 20'000), 20'000);
  EXPECT_EQ(sleep.state, State::kBlocked);
  const Interval& interval = timeline.thread(timeline.find_thread(7, 20'000)).intervals[sleep.index];
  EXPECT_TRUE(timeline.wake(interval.wake).flags & model::kWakeLost);
  EXPECT_TRUE(interval.flags & model::kIntervalInferred);
}

TEST(TimelineLoss, SnapshotCountsMoreSwitches_NothingIsKnownSinceTheLastOne) {
  TraceBuilder t;
  t.runs(0, 7).named(7, "seven").cpu(0).at(10'000).switch_to(0, kAsleep);
  for (const std::uint64_t counted : {1, 2}) {
    std::vector<kf_task> tasks(1);
    tasks[0].tid = 7;
    tasks[0].ts_ns = 900'000'000;
    tasks[0].nvcsw = counted;
    model::TimelineBuilder builder({kBegin, 1'000'000'000, {}, {}, tasks, {}});
    for (const Event& event : t.events()) builder.add(event);
    const Timeline timeline = std::move(builder).finish();
    const State state = timeline.piece_at(timeline.find_thread(7, 20'000), 20'000).state;
    EXPECT_EQ(state, counted == 1 ? State::kBlocked : State::kUnknown);
  }
}

TEST(TimelineLoss, NotInTheSnapshot_NothingIsKnownSinceTheLastSwitchBeforeTheLoss) {
  for (const bool lossy : {false, true}) {
    TraceBuilder t;
    t.runs(0, 7).named(7, "seven").cpu(0).at(10'000).switch_to(8, kAsleep);
    if (lossy) t.at(50'000).loss(40'000, 2);
    std::vector<kf_task> tasks(1);
    tasks[0].tid = 8;
    tasks[0].ts_ns = 900'000'000;
    model::TimelineBuilder builder({kBegin, 1'000'000'000, {}, {}, tasks, {}});
    for (const Event& event : t.events()) builder.add(event);
    const Timeline timeline = std::move(builder).finish();
    const State state = timeline.piece_at(timeline.find_thread(7, 20'000), 20'000).state;
    EXPECT_EQ(state, lossy ? State::kUnknown : State::kBlocked);
  }
}

TEST(TimelineLoss, CpuThatGoesOffline_RunsNobodyFromThenOn) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).cpu(1).at(10'000).waking(7).at(90'000).cpu(0).switch_to(9, kAsleep);
  const kf_loss gone{.kind = KF_LOSS_OFFLINE, .lane = 1, .from_ns = 8'000, .to_ns = 20'000, .count = 0};
  model::TimelineBuilder builder({kBegin, 100'000, t.base_tasks(), t.base_lanes(), {}, {&gone, 1}});
  for (const Event& event : t.events()) builder.add(event);
  const Timeline timeline = std::move(builder).finish();
  const auto state_at = [&](std::uint32_t tid, std::uint64_t ns) {
    return timeline.piece_at(timeline.find_thread(tid, ns), ns).state;
  };
  EXPECT_EQ(state_at(8, 9'000), State::kRunning);
  EXPECT_EQ(state_at(8, 15'000), State::kUnknown);
  EXPECT_EQ(state_at(8, 50'000), State::kUnknown);
  EXPECT_EQ(state_at(7, 50'000), State::kRunning) << "on a CPU that stayed";
  auto occupants = timeline.occupants(1, 15'000, 50'000);
  model::OccupantPiece piece;
  ASSERT_TRUE(occupants.next(piece));
  EXPECT_EQ(piece.thread, model::kNoThread);
  ASSERT_TRUE(occupants.next(piece));
  EXPECT_EQ(piece.thread, model::kIdleThread);
  EXPECT_EQ(piece.begin_ns, 20'000u);
  EXPECT_TRUE(timeline.losses().any_in(1, 15'000, 16'000));
  EXPECT_FALSE(timeline.losses().any_in(1, 30'000, 40'000)) << "while it is off, nothing can be missing";
}

}  // namespace
}  // namespace kflight::test
