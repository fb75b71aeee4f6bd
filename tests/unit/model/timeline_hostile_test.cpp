// SPDX-License-Identifier: Apache-2.0
//
// Dumps made up to take long. Nothing here measures time: each takes ten seconds to many minutes if a rule walks all
// there is for each event, and a fraction of a second as it should.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "support/timeline_cases.hpp"

namespace kflight::test {
namespace {

using model::State;
using model::Timeline;

constexpr std::uint32_t kMany = 200'000;

TraceBuilder on_three_cpus(std::uint32_t first = 7, std::uint32_t second = 8) {
  TraceBuilder t;
  t.runs(0, first).runs(1, second).runs(2, 0);
  return t;
}

TEST(TimelineHostile, ManyLossesOfAnotherCpu) {
  TraceBuilder t = on_three_cpus();
  for (std::uint32_t i = 0; i < kMany; ++i) t.at(10'000 + 2 * i).cpu(1).loss(10'000 + 2 * i - 1, 1);
  const Timeline timeline = t.timeline(kBegin, kEnd);
  std::uint64_t blind_ns = 0;
  for (std::uint32_t i = 0; i < kMany; ++i) {
    const std::uint64_t at_ns = 10'000 + 2 * i;
    ASSERT_FALSE(timeline.losses().any_in(0, 5'000, at_ns));
    ASSERT_TRUE(timeline.losses().any_in(1, at_ns - 1, at_ns));
    blind_ns += timeline.losses().blind_ns(at_ns - 1, at_ns + 1);
  }
  EXPECT_EQ(blind_ns, kMany);
}

TEST(TimelineHostile, ManyNamesOfOneThread) {
  TraceBuilder t = on_three_cpus();
  for (std::uint32_t i = 0; i < kMany; ++i) {
    RenameEvent e;
    static_cast<EventHead&>(e) = {10'000 + i, 7, 0, false};
    e.renamed_tid = 7;
    e.comm = Comm::from(std::to_string(i));
    t.events().push_back(e);
  }
  const Timeline timeline = t.timeline(kBegin, kEnd);
  const model::Thread& thread = test::thread(timeline, 7);
  for (std::uint32_t i = 0; i < kMany; ++i) ASSERT_EQ(thread.name_at(10'000 + i), std::to_string(i));
  EXPECT_EQ(thread.name_at(0), "0");
}

TEST(TimelineHostile, ManyThrottledThreadsAndRefillsOfOtherGroups) {
  TraceBuilder t = on_three_cpus();
  for (std::uint32_t i = 0; i < kMany; ++i)
    t.at(10'000 + i).cpu(0).throttle(1'000 + i).switch_to(1'000 + i, {.preempt = true, .throttled = true});
  for (std::uint32_t i = 0; i < kMany; ++i) t.at(300'000 + i).cpu(2).refill(1'000'000 + i);
  t.at(600'000).refill(1'000 + kMany - 1);
  const Timeline timeline = t.timeline(kBegin, kEnd);
  EXPECT_EQ(state_at(timeline, 1'000, 599'000), State::kThrottled);
  EXPECT_EQ(state_at(timeline, 1'000 + kMany - 2, 599'999), State::kThrottled);
  EXPECT_EQ(state_at(timeline, 1'000 + kMany - 2, 600'000), State::kRunnable);
}

TEST(TimelineHostile, ManyThreadsThrottledWithoutANoteAndManyRefills) {
  TraceBuilder t = on_three_cpus();
  t.at(9'000).cpu(2).throttle(1);
  std::get<ThrottleEvent>(t.events().back()).cgroup_id = 77;
  for (std::uint32_t i = 0; i < kMany; ++i)
    t.at(10'000 + i).cpu(0).switch_to(1'000 + i, {.preempt = true, .throttled = true});
  for (std::uint32_t i = 0; i < kMany; ++i) t.at(300'000 + i).cpu(2).refill(1 + i % 2);
  const Timeline timeline = t.timeline(kBegin, kEnd);
  EXPECT_EQ(state_at(timeline, 1'000, kEnd - 1), State::kThrottled);
  EXPECT_EQ(thread(timeline, 1'000).intervals.size(), 4u);  // unknown, running, throttled, throttled with a doubt
}

// The snapshot says 200,000 times of the thread that it has been switched out unseen.
TEST(TimelineHostile, SnapshotThatNamesOneThreadManyTimes) {
  std::vector<kf_task> tasks(kMany);
  for (kf_task& task : tasks) {
    task.tid = task.tgid = 7;
    task.start_ns = 1;
    task.ts_ns = 90'000'000;
    task.nvcsw = 100;
  }
  const std::vector<kf_base_lane> lanes{{0, 1, 7, 1, 0, 0, 0, 0}};
  model::TimelineBuilder builder({kBegin, 100'000'000, {}, lanes, tasks, {}});
  SwitchEvent out;
  static_cast<EventHead&>(out) = {10'000, 7, 0, false};
  out.nsw = 1;
  out.prev_state = KF_ST_SLEEP;
  builder.add(out);
  for (std::uint32_t i = 0; i < kMany; ++i) {  // woken and asleep again, without a switch
    WakingEvent waking;
    static_cast<EventHead&>(waking) = {20'000 + 2 * i, 0, 0, false};
    waking.wakee = 7;
    builder.add(waking);
    ThrottleEvent unused;
    static_cast<EventHead&>(unused) = {20'001 + 2 * i, i % 2 ? 0u : 7u, 0, false};
    builder.add(unused);
  }
  const Timeline timeline = std::move(builder).finish();
  EXPECT_GT(thread(timeline, 7).intervals.size(), kMany);
  EXPECT_EQ(timeline.counters().lost_switches, 99u);
  EXPECT_EQ(state_at(timeline, 7, 30'000), State::kUnknown);
}

// On each of many CPUs a hidden thread came last, and the snapshot lists many others.
TEST(TimelineHostile, ManyHiddenThreadsAndALongSnapshot) {
  constexpr std::uint16_t kBusyCpus = 16'000;
  TraceBuilder t;
  for (std::uint32_t i = 0; i < kMany; ++i) t.named(1'000'000 + i, "listed");
  for (std::uint16_t cpu = 0; cpu < kBusyCpus; ++cpu) t.at(10'000 + cpu).cpu(cpu).switch_to(1'000u + cpu);
  t.named(1'000, "listed");
  const Timeline timeline = t.timeline(kBegin, kEnd);
  EXPECT_FALSE(timeline.losses().any_in(0, 20'000, 30'000));
  EXPECT_TRUE(timeline.losses().any_in(1, 20'000, 30'000));
  EXPECT_TRUE(timeline.losses().any_in(kBusyCpus - 1, 30'000, 40'000));
}

// Who stopped it is noted when all is read, each time between two notes that are there already.
TEST(TimelineHostile, ManyStopsOfOneThread) {
  TraceBuilder t = on_three_cpus();
  t.at(9'000).cpu(1).signal(7, 19, 7);
  for (std::uint32_t i = 0; i < kMany; ++i) {
    const std::uint64_t at_ns = 10'000 + 4 * i;
    t.at(at_ns).cpu(0).lock_wait(8).switch_to(0, {.state = KF_ST_DISK}).at(at_ns + 1).cpu(1).waking(7).wakeup(7, 0);
    t.cpu(0).switch_to(7).at(at_ns + 2).switch_to(0, {.state = KF_ST_STOPPED});
    t.at(at_ns + 3).cpu(1).waking(7).wakeup(7, 0).cpu(0).switch_to(7);
  }
  const Timeline timeline = t.timeline(kBegin, kEnd);
  const model::Thread& thread = test::thread(timeline, 7);
  ASSERT_EQ(thread.notes.size(), 2u * kMany);
  for (std::uint32_t i = 0; i < kMany; ++i) {
    ASSERT_EQ(thread.notes[2 * i].kind, model::IntervalNote::Kind::kMutex);
    ASSERT_EQ(thread.notes[2 * i + 1].kind, model::IntervalNote::Kind::kStop);
  }
}

// Of each thread a switch is missing, so what it seemed to do on a CPU long ago is taken back.
TEST(TimelineHostile, ManyTurnsOnACpuThatAreTakenBackLater) {
  constexpr std::uint64_t kLater = 10'000 + 5 * kMany;
  TraceBuilder t = on_three_cpus(0, 0);
  for (std::uint32_t i = 0; i < kMany; ++i) {
    const std::uint64_t at_ns = 10'000 + 5 * i;
    t.at(at_ns).cpu(0).switch_to(1'000 + i).at(at_ns + 1).switch_to(0, kAsleep).at(at_ns + 2).switch_to(1'000 + i);
    t.at(at_ns + 3).returns("getppid", at_ns + 2, 1).unseen_switch_to(0);
  }
  for (std::uint32_t i = 0; i < kMany; ++i)
    t.at(kLater + 2 * i).cpu(1).switch_to(1'000 + i).at(kLater + 2 * i + 1).switch_to(0, kAsleep);
  const Timeline timeline = t.timeline(kBegin, 10 * kEnd);
  EXPECT_EQ(timeline.counters().lost_switches, kMany);
  for (std::uint32_t i = 0; i < kMany; i += 997) {
    ASSERT_EQ(timeline.piece_at(timeline.find_thread(1'000 + i, kLater), 10'000 + 5 * i + 2).state, State::kUnknown);
    model::OccupantPiece piece;
    timeline.occupants(0, 10'000 + 5 * i + 2, 10'000 + 5 * i + 3).next(piece);
    ASSERT_EQ(piece.thread, model::kNoThread);
  }
}

}  // namespace
}  // namespace kflight::test
