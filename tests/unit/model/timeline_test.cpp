// SPDX-License-Identifier: Apache-2.0
//
// The rules of the state machine one by one: which state each event leads to. What calls become of them is in
// timeline_calls_test.cpp, of missing events in timeline_loss_test.cpp.
#include <gmock/gmock.h>

#include "support/timeline_cases.hpp"

namespace kflight::test {
namespace {

using model::Interval;
using model::RunnableWhy;
using model::State;
using model::ThreadId;
using model::Timeline;

std::vector<State> states(const Timeline& timeline, std::uint32_t tid) {
  std::vector<State> out;
  for (const Interval& interval : thread(timeline, tid).intervals) out.push_back(interval.state);
  return out;
}

Interval after_switch_out(const SwitchSpec& spec) {
  TraceBuilder t = on_cpu0();
  t.switch_to(0, spec);
  return thread(built(t), 7).intervals.back();
}

TEST(TimelineSwitchOut, StateFollowsTheRulesInOrder) {
  EXPECT_EQ(after_switch_out({.state = KF_ST_DEAD}).state, State::kExited);
  EXPECT_EQ(after_switch_out({.state = KF_ST_RUNNING, .throttled = true}).state, State::kThrottled);
  EXPECT_EQ(after_switch_out({.state = KF_ST_SLEEP, .preempt = true, .throttled = true}).state, State::kThrottled);
  EXPECT_EQ(after_switch_out({.state = KF_ST_SLEEP, .throttled = true}).state, State::kBlocked);
  EXPECT_EQ(after_switch_out({.state = KF_ST_SLEEP}).state, State::kBlocked);
  EXPECT_EQ(after_switch_out({.state = KF_ST_PARKED}).state, State::kBlocked);
  EXPECT_EQ(after_switch_out({.state = KF_ST_STOPPED}).state, State::kStopped);
  EXPECT_EQ(after_switch_out({.state = KF_ST_TRACED}).state, State::kStopped);
}

TEST(TimelineSwitchOut, PreemptedOnItsWayToSleepStaysRunnable) {
  const Interval interval = after_switch_out({.state = KF_ST_SLEEP, .preempt = true});
  EXPECT_EQ(interval.state, State::kRunnable);
  EXPECT_EQ(interval.why(), RunnableWhy::kPreempted);
}

TEST(TimelineSwitchOut, YieldIsNotPreemption) {
  EXPECT_EQ(after_switch_out({.call = "sched_yield"}).why(), RunnableWhy::kYielded);
  EXPECT_EQ(after_switch_out({.call = "read"}).why(), RunnableWhy::kPreempted);
}

TEST(TimelineWake, WakingEndsTheSleepAndTheEnqueuePlacesIt) {
  TraceBuilder t = on_cpu0();
  t.switch_to(0, kAsleep).at(20'000).cpu(1).waking(7).at(20'500).wakeup(7, 3).at(21'000).cpu(3).switch_to(7);
  const Timeline timeline = built(t);
  EXPECT_THAT(states(timeline, 7),
              testing::ElementsAre(State::kRunning, State::kBlocked, State::kRunnable, State::kRunning));
  const model::Wake& wake = timeline.wake(thread(timeline, 7).intervals[1].wake);
  EXPECT_EQ(timeline.thread(wake.waker).tid, 8u);
  EXPECT_EQ(wake.enqueued_ns, 20'500u);
  EXPECT_EQ(thread(timeline, 7).intervals[2].cpu, 3);
}

TEST(TimelineWake, OfARunningOrQueuedThreadIsOnlyCounted) {
  TraceBuilder t = on_cpu0();
  t.cpu(1).waking(7).cpu(0).switch_to(0, {.preempt = true}).cpu(1).waking(7);
  const Timeline timeline = built(t);
  EXPECT_EQ(timeline.counters().spurious_wakings, 2u);
  EXPECT_EQ(state_at(timeline, 7, 20'000), State::kRunnable);
}

TEST(TimelineWake, MovesToOtherQueuesAreKept) {
  TraceBuilder t = on_cpu0();
  t.switch_to(0, {.preempt = true}).at(11'000).cpu(1).migrate(7, 2).at(12'000).migrate(7, 3);
  const Timeline timeline = built(t);
  const Interval& runnable = thread(timeline, 7).intervals.back();
  auto queues = timeline.queues(runnable, 10'500, 13'000);
  std::vector<std::pair<std::uint64_t, std::uint16_t>> seen;
  for (model::QueuePiece piece; queues.next(piece);) seen.emplace_back(piece.begin_ns, piece.cpu);
  using At = std::pair<std::uint64_t, std::uint16_t>;
  EXPECT_THAT(seen, testing::ElementsAre(At(10'500, 0), At(11'000, 2), At(12'000, 3)));
}

// The waker runs ahead of the sleeper's switch-out.
TraceBuilder early_waking() {
  TraceBuilder t = on_cpu0();
  t.at(9'900).cpu(1).waking(7).at(10'000).cpu(0).switch_to(0, kAsleep);
  return t;
}

TEST(TimelineEarlyWake, DecidedByTheEnqueue) {
  TraceBuilder t = early_waking();
  t.at(10'300).cpu(1).wakeup(7, 0);
  const Timeline timeline = built(t);
  EXPECT_EQ(timeline.counters().early_wakes, 1u);
  EXPECT_EQ(state_at(timeline, 7, 10'000), State::kRunnable);
}

TEST(TimelineEarlyWake, DecidedByTheSwitchIn) {
  TraceBuilder t = early_waking();
  t.at(10'300).cpu(0).switch_to(7);
  const Timeline timeline = built(t);
  EXPECT_EQ(timeline.counters().early_wakes, 1u);
  EXPECT_EQ(timeline.counters().no_wakes, 0u);
  EXPECT_EQ(timeline.wake(thread(timeline, 7).intervals[2].wake).waker, timeline.find_thread(8, 0));
}

TEST(TimelineEarlyWake, DecidedByItsOwnMergedEnqueue) {
  TraceBuilder t = on_cpu0();
  t.at(9'900).cpu(1).waking(7, {.enqueued_ns = 10'200, .queue_cpu = 2}).at(10'000).cpu(0).switch_to(0, kAsleep);
  const Timeline timeline = built(t);
  EXPECT_EQ(state_at(timeline, 7, 10'000), State::kRunnable);
  EXPECT_EQ(thread(timeline, 7).intervals.back().cpu, 2);
}

TEST(TimelineEarlyWake, VoidWhenAnotherWakingFollows) {
  TraceBuilder t = early_waking();
  t.at(30'000).cpu(1).waking(7);
  const Timeline timeline = built(t);
  EXPECT_EQ(timeline.counters().early_wakes, 0u);
  EXPECT_EQ(state_at(timeline, 7, 29'999), State::kBlocked);
}

TEST(TimelineEarlyWake, VoidWhenItsEnqueueFoundTheThreadAwake) {
  TraceBuilder t = on_cpu0();
  t.at(9'000).cpu(1).waking(7).at(9'100).wakeup(7, 0).at(10'000).cpu(0).switch_to(0, kAsleep).at(20'000).switch_to(7);
  EXPECT_EQ(built(t).counters().no_wakes, 1u);
}

TEST(TimelineEarlyWake, VoidAfterTheNextSwitchIn) {
  TraceBuilder t = on_cpu0();
  t.at(9'000).cpu(1).waking(7).cpu(0).at(10'000).switch_to(0, {.preempt = true}).at(11'000).switch_to(7);
  t.at(12'000).switch_to(0, kAsleep).at(20'000).switch_to(7);
  const Timeline timeline = built(t);
  EXPECT_EQ(timeline.counters().early_wakes, 0u);
  EXPECT_EQ(timeline.counters().no_wakes, 1u);
}

// What a window had no room for is a gap in the numbers of chunks as well: the same events must not be counted twice.
// Stopped before its first switch-out that was seen: since its birth it has not merely waited for a CPU.
TEST(TimelineMisfit, ThreadThatTurnsUpElsewhereLeavesItsOldCpu) {
  TraceBuilder t = on_cpu0();
  t.at(20'000).cpu(1).switch_to(7, kAsleep).at(30'000).cpu(0).waking(9).at(40'000).switch_to(0, kAsleep);
  const Timeline timeline = built(t);
  EXPECT_GE(timeline.counters().misfits, 1u);
  EXPECT_EQ(state_at(timeline, 7, 40'000), State::kBlocked);
}

TEST(TimelineMisfit, ContradictingBaseFactsKeepOneThreadPerCpu) {
  TraceBuilder t;
  for (std::uint32_t tid : {5u, 6u}) {
    kf_base_task& task = t.base_tasks().emplace_back();
    task.tid = tid;
    task.in_ns = 100 + tid;
    task.in_cpu = 2;
  }
  const Timeline timeline = built(t);
  EXPECT_EQ(state_at(timeline, 5, 5'000), State::kUnknown);
  EXPECT_EQ(state_at(timeline, 6, 5'000), State::kRunning);
}

TEST(TimelineLife, ForkedThreadIsNewUntilItRuns) {
  TraceBuilder t = on_cpu0();
  t.fork(20, 20).at(10'100).wakeup(20, 1, true).at(12'000).cpu(1).switch_to(20, kAsleep);
  const Timeline timeline = built(t);
  EXPECT_EQ(state_at(timeline, 20, 9'000), State::kNotBorn);
  EXPECT_EQ(thread(timeline, 20).intervals[0].why(), RunnableWhy::kNew);
  EXPECT_EQ(timeline.wake(thread(timeline, 20).intervals[0].wake).enqueued_ns, 10'100u);
  EXPECT_EQ(timeline.thread(thread(timeline, 20).parent).tid, 7u);
}

// The fork is the last event before the window, the child's enqueue the first one in it.
TEST(TimelineLife, ThreadForkedJustBeforeTheWindow_IsWokenWhereItsParentRan) {
  TraceBuilder t;
  t.runs(1, 7);
  kf_base_task& child = t.base_tasks().emplace_back();
  child.tid = child.tgid = 20;
  child.parent_tid = 7;
  child.known = KF_BASE_IDENTITY;
  child.fork_ns = kBegin;
  child.waking_cpu = 1;
  t.at(kBegin + 100).cpu(1).wakeup(20, 0, true).at(12'000).switch_to(0, kAsleep);
  const Timeline timeline = built(t);
  const model::Wake& wake = timeline.wake(thread(timeline, 20).intervals.front().wake);
  EXPECT_EQ(wake.ts_ns, kBegin);
  EXPECT_EQ(wake.cpu, 1);
  EXPECT_EQ(timeline.thread(wake.waker).tid, 7u);
  EXPECT_EQ(timeline.piece_at(timeline.find_thread(7, kBegin), kBegin).state, State::kRunning);
}

TEST(TimelineLife, ReusedTidIsAnotherThread) {
  TraceBuilder t = on_cpu0();
  t.switch_to(8, {.state = KF_ST_DEAD}).at(20'000).fork(7, 7).wakeup(7, 0, true).at(21'000).switch_to(7, kAsleep);
  const Timeline timeline = built(t);
  const ThreadId first = timeline.find_thread(7, 5'000), second = timeline.find_thread(7, 30'000);
  EXPECT_NE(first, second);
  EXPECT_EQ(timeline.piece_at(first, 500'000).state, State::kExited);
  EXPECT_EQ(timeline.piece_at(second, 500'000).state, State::kRunning);
}

TEST(TimelineLife, ReusedTidWithoutItsForkIsAnotherThreadToo) {
  TraceBuilder t = on_cpu0();
  t.switch_to(0, {.state = KF_ST_DEAD}).at(20'000).switch_to(7);
  const Timeline timeline = built(t);
  EXPECT_NE(timeline.find_thread(7, 5'000), timeline.find_thread(7, 30'000));
  EXPECT_EQ(state_at(timeline, 7, 30'000), State::kRunning);
}

TEST(TimelineLife, ExecOfANonLeaderTakesTheLeadersTid) {
  TraceBuilder t;
  t.sleeps(70).runs(0, 71).cpu(0).at(10'000).exec(70, 71, "new").at(20'000).switch_to(0, kAsleep);
  const Timeline timeline = built(t);
  const ThreadId leader = timeline.find_thread(70, 5'000), caller = timeline.find_thread(71, 5'000);
  EXPECT_EQ(timeline.piece_at(leader, 10'000).state, State::kExited);
  EXPECT_EQ(timeline.thread(caller).tid, 70u);
  EXPECT_EQ(timeline.thread(caller).former_tid, 71u);
  EXPECT_EQ(timeline.piece_at(caller, 30'000).state, State::kBlocked);
  EXPECT_EQ(timeline.thread(caller).name_at(15'000), "new");
}

TEST(TimelineLife, ExecOfANonLeader_EachTidMeansWhoeverHadItThen) {
  for (const bool leader_first : {true, false}) {
    TraceBuilder t;
    t.sleeps(leader_first ? 70 : 71).sleeps(leader_first ? 71 : 70);
    t.at(5'000).cpu(0).switch_to(71).at(10'000).exec(70, 71, "new").at(20'000).switch_to(0, kAsleep);
    const Timeline timeline = built(t);
    const ThreadId leader = timeline.find_thread(70, 6'000), caller = timeline.find_thread(71, 6'000);
    EXPECT_EQ(state_at(timeline, 70, 6'000), State::kBlocked);
    EXPECT_EQ(state_at(timeline, 71, 6'000), State::kRunning);
    EXPECT_NE(leader, caller);
    EXPECT_EQ(timeline.find_thread(70, 10'000), caller);
    EXPECT_EQ(timeline.find_thread(70, 15'000), caller);
    EXPECT_EQ(timeline.find_thread(71, 15'000), caller) << "nobody else had it";
  }
}

TEST(TimelineLife, ExecOfANonLeader_GoesByTheLeadersTidBeforeItIsAnnounced) {
  TraceBuilder t;
  t.runs(0, 70).cpu(0).at(5'000).fork(71, 70).wakeup(71, 0, true).at(6'000).switch_to(71, {.state = KF_ST_DEAD});
  t.at(8'000).waking(9);
  std::get<WakingEvent>(t.events().back()).tid = 70;
  t.at(10'000).exec(70, 71, "new").at(20'000).switch_to(0, kAsleep);
  std::get<ExecEvent>(t.events()[t.events().size() - 2]).tid = 70;
  const Timeline timeline = built(t);
  const ThreadId caller = timeline.find_thread(71, 5'500);
  EXPECT_EQ(timeline.thread(caller).tid, 70u);
  EXPECT_EQ(timeline.piece_at(caller, 7'000).state, State::kRunning);
  EXPECT_EQ(timeline.piece_at(caller, 9'000).state, State::kRunning);
  EXPECT_EQ(timeline.piece_at(caller, 30'000).state, State::kBlocked);
  EXPECT_EQ(timeline.thread(caller).name_at(15'000), "new");
  EXPECT_EQ(timeline.counters().misfits, 0u);
  EXPECT_TRUE(timeline.losses().all().empty());
}

// A thread that no snapshot lists and that was never seen leaving: what its interrupts do is not seen either.
// Its last switches are not seen: whom it ran last is unknown until it is off, and then it runs nobody.
TEST(TimelineEdge, FirstEventOfACpuSaysWhoHasRunSinceTheBeginning) {
  TraceBuilder t;
  t.cpu(0).unseen_switch_to(7).cpu(1).at(5'000).waking(7).cpu(0).at(10'000).switch_to(0, kAsleep);
  const Timeline timeline = built(t);
  EXPECT_EQ(state_at(timeline, 7, kBegin), State::kRunning);
  EXPECT_EQ(state_at(timeline, 7, 7'000), State::kRunning);  // the waking found it awake
}

TEST(TimelineEdge, SleeperFromLongBeforeKnowsSinceWhenAndInWhat) {
  TraceBuilder t;
  t.sleeps(7, {.state = KF_ST_SLEEP, .call = "epoll_wait", .enter_ns = 1, .args = {5, 0, 0, 0}});
  const Timeline timeline = built(t);
  const Interval& interval = thread(timeline, 7).intervals.front();
  EXPECT_EQ(interval.begin_ns, 1u);
  EXPECT_EQ(thread(timeline, 7).calls[interval.call()].arg0, 5u);
  EXPECT_EQ(state_at(timeline, 7, kEnd - 1), State::kBlocked);
}

TEST(TimelineEdge, SnapshotCountsOnlyForThreadsWithoutEvents) {
  TraceBuilder t = on_cpu0();
  for (std::uint32_t tid : {7u, 9u}) {
    kf_base_task& task = t.base_tasks().emplace_back();
    task.tid = tid;
    task.known = KF_BASE_SNAPSHOT;
    task.snapshot_ns = 50'000;
    task.out_state = KF_ST_DISK;
  }
  t.at(60'000).switch_to(0, kAsleep);
  const Timeline timeline = built(t);
  EXPECT_EQ(state_at(timeline, 7, 55'000), State::kRunning);
  EXPECT_EQ(state_at(timeline, 9, kBegin), State::kBlocked);
}

TEST(TimelineEdge, EventsBehindTheWindowAreLeftOut) {
  TraceBuilder t = on_cpu0();
  t.at(kEnd + 1).switch_to(0, kAsleep);
  EXPECT_EQ(built(t).thread(0).intervals.back().state, State::kRunning);
}

}  // namespace
}  // namespace kflight::test
