// SPDX-License-Identifier: Apache-2.0
//
// Which events are of one system call: its switch-outs, its return, and what must not split or merge calls.
#include <gtest/gtest.h>

#include "support/timeline_cases.hpp"

namespace kflight::test {
namespace {

using model::Timeline;

TEST(TimelineCalls, SwitchOutsAndTheReturnAreOneCall) {
  TraceBuilder t = on_cpu0();
  const SwitchSpec poll{.state = KF_ST_SLEEP, .call = "poll", .enter_ns = 9'000};
  t.switch_to(0, poll).at(11'000).switch_to(7).at(12'000).switch_to(0, poll).at(13'000).switch_to(7);
  t.at(14'000).returns("poll", 9'000, 1);
  const Timeline timeline = built(t);
  ASSERT_EQ(thread(timeline, 7).calls.size(), 1u);
  EXPECT_EQ(thread(timeline, 7).calls[0].end_ns, 14'000u);
  EXPECT_EQ(timeline.call_at(thread(timeline, 7), 13'999), 0u);
  EXPECT_EQ(timeline.call_at(thread(timeline, 7), 14'000), model::kNone);
  EXPECT_EQ(timeline.call_at(thread(timeline, 7), 8'999), model::kNone);
}

TEST(TimelineCalls, EnteredAfterItWasSeen_IsAnotherOne) {
  TraceBuilder t = on_cpu0();
  t.at(10'000).switch_to(0, {.state = KF_ST_SLEEP, .call = "poll"}).at(12'500).switch_to(7);
  t.at(16'000).returns("poll", 15'000, 1);
  const Timeline timeline = built(t);
  ASSERT_EQ(thread(timeline, 7).calls.size(), 2u);
  EXPECT_FALSE(thread(timeline, 7).calls[0].returned());
  EXPECT_EQ(thread(timeline, 7).calls[1].begin_ns, 15'000u);
}

TEST(TimelineCalls, OnlyTheFirstSwitchOutTellsOfTheEntry) {
  TraceBuilder t = on_cpu0();
  t.at(10'000).switch_to(0, {.state = KF_ST_SLEEP, .call = "poll", .enter_ns = 9'000}).at(11'000).switch_to(7);
  t.at(12'000).switch_to(0, {.state = KF_ST_SLEEP, .call = "poll"}).at(13'000).switch_to(7);
  t.at(14'000).returns("poll", 9'000, 1);
  const Timeline timeline = built(t);
  ASSERT_EQ(thread(timeline, 7).calls.size(), 1u);
  EXPECT_EQ(thread(timeline, 7).calls[0].begin_ns, 9'000u);
  EXPECT_EQ(thread(timeline, 7).calls[0].end_ns, 14'000u);
}

TEST(TimelineCalls, ReturnTellsWhenTheCallWasEntered) {
  TraceBuilder t = on_cpu0();
  t.at(10'000).switch_to(0, {.state = KF_ST_SLEEP, .call = "poll"}).at(12'500).switch_to(7);
  t.at(13'000).returns("poll", 9'000, 1);
  const Timeline timeline = built(t);
  ASSERT_EQ(thread(timeline, 7).calls.size(), 1u);
  EXPECT_EQ(thread(timeline, 7).calls[0].begin_ns, 9'000u);
}

TEST(TimelineCalls, WithoutEntryTimesEqualOnesShareARecord) {
  TraceBuilder t = on_cpu0();
  for (std::uint64_t arg : {3, 3, 4}) {
    t.at(10'000 + arg * 1000).switch_to(0, {.state = KF_ST_SLEEP, .call = "read", .args = {arg}});
    t.at(10'500 + arg * 1000).switch_to(7);
  }
  EXPECT_EQ(thread(built(t), 7).calls.size(), 2u);
}

TEST(TimelineCalls, PreemptionOnTheWayBackDoesNotSplitACall) {
  TraceBuilder t = on_cpu0();
  t.at(20'000).switch_to(0, {.state = KF_ST_SLEEP, .call = "read", .enter_ns = 15'000}).at(30'000).waking(7);
  t.at(31'000).switch_to(7).at(32'000).switch_to(9, {.preempt = true}).at(33'000).switch_to(7, {.preempt = true});
  t.at(34'000).returns("read", 15'000, 0);
  const Timeline timeline = built(t);
  const auto& calls = thread(timeline, 7).calls;
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0].begin_ns, 15'000u);
  EXPECT_EQ(calls[0].end_ns, 34'000u);
}

TEST(TimelineCalls, PreemptionOfAThrottledThreadDoesNotSplitACall) {
  TraceBuilder t = on_cpu0();
  t.at(20'000).switch_to(0, {.state = KF_ST_SLEEP, .call = "read", .enter_ns = 15'000}).at(30'000).waking(7);
  t.at(31'000).switch_to(7).at(32'000).switch_to(9, {.preempt = true, .throttled = true}).at(33'000);
  t.switch_to(7, {.preempt = true}).at(34'000).returns("read", 15'000, 0);
  EXPECT_EQ(thread(built(t), 7).calls.size(), 1u);
}

// The base state keeps the call of a thread that was preempted in it last.
TEST(TimelineCalls, PreemptedInACallSinceBeforeTheWindow) {
  TraceBuilder t;
  t.runs(0, 8).queued(7, 0);
  t.base_tasks().back().out_flags |= 8;
  t.base_tasks().back().sys = call_named("read", {3});
  t.base_tasks().back().call_enter_ns = 1;
  t.at(20'000).cpu(0).switch_to(7).at(30'000).switch_to(8, {.preempt = true}).at(40'000).switch_to(7, {.preempt = true});
  t.at(50'000).returns("read", 1, 0);
  const Timeline timeline = built(t);
  ASSERT_EQ(thread(timeline, 7).calls.size(), 1u);
  EXPECT_EQ(timeline.call_at(thread(timeline, 7), 45'000), 0u);
  EXPECT_EQ(timeline.call_at(thread(timeline, 7), 50'000), model::kNone);
}

// Until when a call whose return is missing is known to have gone on.
TEST(TimelineCalls, LostReturn_EndsTheCallWhereItWasLastSeen) {
  TraceBuilder t = on_cpu0();
  t.at(20'000).switch_to(0, {.state = KF_ST_SLEEP, .call = "read", .enter_ns = 15'000}).at(30'000).waking(7);
  t.at(31'000).switch_to(7);
  EXPECT_EQ(built(t).call_at(thread(built(t), 7), kEnd - 1), 0u) << "in flight, as far as is known";
  TraceBuilder returns = t;
  t.at(40'000).switch_to(0, kAsleep).at(50'000).waking(7).switch_to(7);  // in no call
  returns.at(40'000).returns("getppid", 39'000, 1);
  for (const TraceBuilder& later : {t, returns}) {
    const Timeline timeline = built(later);
    EXPECT_FALSE(Timeline::in_flight(thread(timeline, 7), 0));
    EXPECT_EQ(timeline.call_end_ns(thread(timeline, 7), 0), 31'000u);
    EXPECT_EQ(timeline.call_at(thread(timeline, 7), 30'999), 0u);
    EXPECT_EQ(timeline.call_at(thread(timeline, 7), 31'000), model::kNone);
    EXPECT_EQ(timeline.call_at(thread(timeline, 7), kEnd - 1), model::kNone);
  }
}

SyscallOpenEvent found_in_call(std::uint32_t tid, std::uint64_t enter_ns, std::uint16_t cpu = 0) {
  SyscallOpenEvent e;
  static_cast<EventHead&>(e) = {kEnd + 50'000, tid, cpu, false};
  e.sys = call_named("getrandom", {1, 2});
  e.enter_ns = enter_ns;
  return e;
}

// The flush of the dump comes after its window's end was set.
TEST(TimelineCalls, FlushBehindTheEndTellsOfACallWithoutASwitch) {
  TraceBuilder t = on_cpu0();
  t.at(20'000).waking(9);
  t.events().push_back(found_in_call(7, 30'000));
  const Timeline timeline = built(t);
  ASSERT_EQ(thread(timeline, 7).calls.size(), 1u);
  EXPECT_EQ(thread(timeline, 7).calls[0].begin_ns, 30'000u);
  EXPECT_EQ(timeline.call_at(thread(timeline, 7), 29'999), model::kNone);
  EXPECT_EQ(timeline.call_at(thread(timeline, 7), kEnd - 1), 0u);
  EXPECT_EQ(state_at(timeline, 7, kEnd - 1), model::State::kRunning);
}

TEST(TimelineCalls, FlushBehindTheEndAndTheReturnAreOneCall) {
  TraceBuilder t = on_cpu0();
  t.at(20'000).waking(9);
  t.events().push_back(found_in_call(7, 30'000));
  t.at(kEnd + 60'000).returns("getrandom", 30'000, 5);
  const Timeline timeline = built(t);
  ASSERT_EQ(thread(timeline, 7).calls.size(), 1u);
  EXPECT_EQ(thread(timeline, 7).calls[0].end_ns, kEnd + 60'000);
}

TEST(TimelineCalls, FlushBehindTheEndSaysNothingOfLaterCallsAndThreads) {
  TraceBuilder t = on_cpu0();
  t.at(20'000).waking(9).cpu(1).at(30'000).switch_to(0, {.state = KF_ST_DEAD});
  t.events().push_back(found_in_call(7, kEnd + 1));
  t.events().push_back(found_in_call(7, 0));
  t.events().push_back(found_in_call(7, 30'000, 1));  // not where it runs
  t.events().push_back(found_in_call(8, 40'000, 1));  // it had ended: another one has its tid
  t.events().push_back(found_in_call(77, 40'000, 2));
  const Timeline timeline = built(t);
  EXPECT_TRUE(thread(timeline, 7).calls.empty());
  EXPECT_TRUE(thread(timeline, 8).calls.empty());
  EXPECT_EQ(timeline.find_thread(77, kEnd), model::kNoThread);
}

}  // namespace
}  // namespace kflight::test
