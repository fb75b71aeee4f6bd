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

}  // namespace
}  // namespace kflight::test
