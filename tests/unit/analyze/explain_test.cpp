// SPDX-License-Identifier: Apache-2.0
//
// Explanations of hand-written traces: the worked example to the nanosecond, and each rule about special wakers.
#include "analyze/explain.hpp"

#include <gmock/gmock.h>

#include <cerrno>
#include <map>

#include "support/explained.hpp"
#include "support/worked_example.hpp"

namespace kflight::test {
namespace {

using analyze::Category;
using analyze::Explanation;
using analyze::Leaf;
using analyze::Quality;
using model::CauseKind;
using model::ThreadId;
using model::Trace;

TEST(ExplainWorked, EveryNumber) {
  using W = WorkedExample;
  const Explained e = explain(W::trace(), W::T, W::us(0), W::us(31500), W::us(40000));
  EXPECT_EQ(e.sum(Category::kDiskQueue), 100'000u);
  EXPECT_EQ(e.sum(Category::kDiskService), 17'150'000u);
  EXPECT_EQ(e.sum(Category::kDiskCompletion), 50'000u);
  EXPECT_EQ(e.sum(Category::kDiskBeforeSubmit), 0u);
  EXPECT_EQ(e.sum(Category::kCpu, W::S), 5'800'000u);
  EXPECT_EQ(e.sum(Category::kCpu, W::H), 1'900'000u);
  EXPECT_EQ(e.sum(Category::kCpu, W::T), 1'300'000u);
  EXPECT_EQ(e.sum(Category::kCpu, W::J), 500'000u);
  EXPECT_EQ(e.sum(Category::kContention, W::Z2), 4'000'000u);
  EXPECT_EQ(e.sum(Category::kContention, W::Z), 200'000u);
  EXPECT_EQ(e.sum(Category::kContention, W::M), 200'000u);
  EXPECT_EQ(e.sum(Category::kWakeLatency), 300'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 31'500'000u);
  EXPECT_EQ(e.explanation.cycles, 0u);
  EXPECT_EQ(e.explanation.deepest, 3u);
}

TEST(ExplainWorked, ShiftingAllTimesChangesNothing) {
  using W = WorkedExample;
  TraceBuilder shifted = W::trace();
  constexpr std::uint64_t kShift = 123'456'789'000;
  for (Event& event : shifted.events()) std::visit([](auto& e) { e.ts_ns += kShift; }, event);
  // Causes and requests keep their times, so the disk is left out of the comparison.
  const Explained a = explain(W::trace(), W::S, W::us(22000), W::us(31000), W::us(40000));
  const Explained b = explain(shifted, W::S, W::us(22000) + kShift, W::us(31000) + kShift, W::us(40000) + kShift);
  ASSERT_EQ(a.explanation.leaves.size(), b.explanation.leaves.size());
  for (std::size_t i = 0; i < a.explanation.leaves.size(); ++i) {
    EXPECT_EQ(a.explanation.leaves[i].begin_ns + kShift, b.explanation.leaves[i].begin_ns);
    EXPECT_EQ(a.explanation.leaves[i].category, b.explanation.leaves[i].category);
  }
}

TEST(ExplainWorked, UnrelatedProcessOnAnIdleCpuChangesNothing) {
  using W = WorkedExample;
  TraceBuilder busy = W::trace();
  busy.runs(4, 0);
  TraceBuilder with = busy;
  with.at(W::us(31300)).cpu(4).waking(777, {.ctx = KF_CTX_HARDIRQ}).wakeup(777, 4).switch_to(777);
  const Explained a = explain(busy, W::T, W::us(0), W::us(31500), W::us(40000));
  const Explained b = explain(with, W::T, W::us(0), W::us(31500), W::us(40000));
  ASSERT_EQ(a.explanation.leaves.size(), b.explanation.leaves.size());
  for (std::size_t i = 0; i < a.explanation.leaves.size(); ++i)
    EXPECT_EQ(a.explanation.leaves[i].end_ns, b.explanation.leaves[i].end_ns);
}

// One thread that blocks in a call from 10 us to 50 us on CPU 0, and how that ends.
TraceBuilder sleeper(const SwitchSpec& wait) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).switch_to(0, wait).at(50'000);
  return t;
}

Explained explain_sleeper(const TraceBuilder& t) { return explain(t, 7, 10'000, 50'000, 100'000); }

// The thread's numbers say that it slept all that time, and the call that nobody cut it short.
TEST(ExplainWakes, SleepWhoseWakingIsLost_IsATimerAllTheSame) {
  auto t = sleeper({.state = KF_ST_SLEEP, .call = "nanosleep", .enter_ns = 9'000});
  t.loss(45'000, 2).at(51'000).switch_to(7).at(52'000).returns("nanosleep", 9'000, 0);
  t.at(60'000).switch_to(0, {.state = KF_ST_SLEEP});
  const Explained e = explain_sleeper(t);
  EXPECT_EQ(e.sum(Category::kTimer, 7), 40'000u);
  EXPECT_EQ(e.sum(Quality::kInferred), 40'000u);
}

TEST(ExplainWakes, NotedTimer) {
  auto t = sleeper({.state = KF_ST_SLEEP, .call = "nanosleep"});
  t.waking(7, {.ctx = KF_CTX_HARDIRQ, .cause = CauseKind::kTimer});
  const Explained e = explain_sleeper(t);
  EXPECT_EQ(e.sum(Category::kTimer, 7), 40'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 40'000u);
}

TEST(ExplainWakes, NotedTimerThatWasLate) {
  auto t = sleeper({.state = KF_ST_SLEEP, .call = "nanosleep"});
  t.waking(7, {.ctx = KF_CTX_HARDIRQ, .cause = CauseKind::kTimer, .cause_ref = 3'000});
  const Explained e = explain_sleeper(t);
  EXPECT_EQ(e.sum(Category::kTimer), 37'000u);
  EXPECT_EQ(e.sum(Category::kTimerOvershoot), 3'000u);
}

TEST(ExplainWakes, SleepEndedByAnInterruptNobodyNotedIsInferredToBeATimer) {
  auto t = sleeper({.state = KF_ST_SLEEP, .call = "clock_nanosleep"});
  t.waking(7, {.ctx = KF_CTX_HARDIRQ});
  const Explained e = explain_sleeper(t);
  EXPECT_EQ(e.sum(Category::kTimer), 40'000u);
  EXPECT_EQ(e.sum(Quality::kInferred), 40'000u);
}

TEST(ExplainWakes, FutexTimeoutByItsResult) {
  auto t = sleeper({.state = KF_ST_SLEEP, .call = "futex", .enter_ns = 9'000});
  t.waking(7, {.ctx = KF_CTX_HARDIRQ}).at(51'000).switch_to(7).at(52'000).returns("futex", 9'000, -ETIMEDOUT);
  const Explained e = explain_sleeper(t);
  EXPECT_EQ(e.sum(Category::kTimer), 40'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 40'000u);
}

TEST(ExplainWakes, FutexWokenByAnInterruptAndNotTimedOutStaysUnattributed) {
  auto t = sleeper({.state = KF_ST_SLEEP, .call = "futex", .enter_ns = 9'000});
  t.waking(7, {.ctx = KF_CTX_HARDIRQ}).at(51'000).switch_to(7).at(52'000).returns("futex", 9'000, 0);
  const Explained e = explain_sleeper(t);
  EXPECT_EQ(e.sum(Category::kKernelUnattributed), 40'000u);
  EXPECT_EQ(e.sum(Quality::kInferred), 40'000u);
}

TEST(ExplainWakes, PollTimeoutWithOvershoot) {
  TraceBuilder t;
  t.runs(0, 7).at(10'000).cpu(0);
  t.switch_to(0, {.state = KF_ST_SLEEP, .call = "epoll_wait", .enter_ns = 9'000, .args = {4, 0, 8, 2}});
  t.at(2'100'000).waking(7, {.ctx = KF_CTX_HARDIRQ}).switch_to(7).at(2'200'000).returns("epoll_wait", 9'000, 0);
  const Explained e = explain(t, 7, 10'000, 2'100'000, 3'000'000);
  EXPECT_EQ(e.sum(Category::kTimer), 2'009'000u - 10'000u);
  EXPECT_EQ(e.sum(Category::kTimerOvershoot), 2'100'000u - 2'009'000u);
}

TEST(ExplainWakes, DiskWithoutANotedRequestIsInferred) {
  auto t = sleeper({.state = KF_ST_DISK, .iowait = true, .call = "fsync"});
  t.waking(7, {.ctx = KF_CTX_SOFTIRQ});
  EXPECT_EQ(explain_sleeper(t).sum(Category::kDiskService), 40'000u);
}

TEST(ExplainWakes, LoopbackSenderIsFollowed) {
  auto t = sleeper({.state = KF_ST_SLEEP, .call = "recvfrom", .args = {5}});
  t.cpu(1).waking(7, {.ctx = KF_CTX_SOFTIRQ, .call = "sendto", .cause = CauseKind::kNetRx});
  const Explained e = explain_sleeper(t);
  EXPECT_EQ(e.sum(Category::kCpu, 8), 40'000u);
  EXPECT_EQ(e.sum(Quality::kInferred), 40'000u);
}

TEST(ExplainWakes, ReceivedFromOutsideIsTheNetwork) {
  auto t = sleeper({.state = KF_ST_SLEEP, .call = "recvfrom", .args = {5}});
  t.cpu(1).waking(7, {.ctx = KF_CTX_SOFTIRQ, .call = "futex", .cause = CauseKind::kNetRx});
  const Explained e = explain_sleeper(t);
  EXPECT_EQ(e.sum(Category::kNetwork), 40'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 40'000u);
}

TEST(ExplainWakes, PacketFromAnotherHostIsTheNetworkWhateverItInterrupted) {
  auto t = sleeper({.state = KF_ST_SLEEP, .call = "recvfrom", .args = {5}});
  t.cpu(1).waking(7, {.ctx = KF_CTX_SOFTIRQ, .call = "sendto", .cause = CauseKind::kNetRx, .cause_ref = KF_NET_REMOTE});
  EXPECT_EQ(explain_sleeper(t).sum(Category::kNetwork), 40'000u);
}

TEST(ExplainWakes, NotWokenInTheWindow) {
  const Explained e = explain_sleeper(sleeper({.state = KF_ST_SLEEP, .call = "futex"}));
  EXPECT_EQ(e.sum(Category::kStillBlocked, 7), 40'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 40'000u);
}

TEST(ExplainWakes, EnqueueWithoutItsWakingIsUnknown) {
  auto t = sleeper({.state = KF_ST_SLEEP, .call = "futex"});
  t.wakeup(7, 0);
  EXPECT_EQ(explain_sleeper(t).sum(Quality::kUnknown), 40'000u);
}

TEST(ExplainWakes, SignalPendingMeansThereWasNoSleep) {
  auto t = sleeper({.state = KF_ST_SLEEP, .call = "futex"});
  t.switch_to(7);
  const Explained e = explain_sleeper(t);
  EXPECT_EQ(e.sum(Category::kWakeLatency), 40'000u);
}

// Woken twice without leaving the call: the second waker is the cause of the whole wait.
TEST(ExplainWakes, FalseWakeupInsideOneCall) {
  const SwitchSpec wait{.state = KF_ST_SLEEP, .call = "poll", .enter_ns = 9'000};
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).runs(2, 9).at(10'000).cpu(0).switch_to(0, wait);
  t.at(20'000).cpu(2).waking(7).wakeup(7, 0).cpu(0).switch_to(7).at(21'000).switch_to(0, wait);
  t.at(50'000).cpu(1).waking(7);
  const Explained e = explain_sleeper(t);
  EXPECT_EQ(e.sum(Category::kCpu, 8), 39'000u);
  EXPECT_EQ(e.sum(Category::kCpu, 9), 0u);
  EXPECT_EQ(e.explanation.false_wakeups, 1u);
}

// The first wait of the call was ended by a thread, only the second by the timeout the call returned with.
TEST(ExplainWakes, TimeoutEndsOnlyTheLastWaitOfTheCall) {
  const SwitchSpec wait{.state = KF_ST_SLEEP, .call = "poll", .enter_ns = 9'000, .args = {0, 1, 250'000}};
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).switch_to(0, wait).at(50'000).cpu(1).waking(7).wakeup(7, 0);
  t.cpu(0).switch_to(7).at(150'000).switch_to(0, wait).at(300'000).waking(7, {.ctx = KF_CTX_HARDIRQ}).switch_to(7);
  t.at(301'000).returns("poll", 9'000, 0);
  const Explained e = explain(t, 7, 10'000, 300'000, 400'000);
  EXPECT_EQ(e.sum(Category::kCpu, 8), 40'000u);
  EXPECT_EQ(e.sum(Category::kTimer), 150'000u);
}

// Two sleepers that woke each other: only contradicting facts can say so. No endless walk, no made-up cause.
TEST(ExplainWakes, CircleEndsInUnknown) {
  TraceBuilder t;
  for (std::uint32_t tid : {7u, 8u}) {
    kf_base_task& task = t.base_tasks().emplace_back();
    task.tid = tid;
    task.out_ns = 10'000;
    task.out_state = KF_ST_SLEEP;
    task.waking_ns = 50'000;
    task.waker_tid = 15 - tid;
  }
  const Explained e = explain_sleeper(t);
  EXPECT_EQ(e.sum(Quality::kUnknown), 40'000u);
  EXPECT_EQ(e.explanation.cycles, 1u);
  EXPECT_EQ(e.explanation.deepest, 1u);
}

TEST(ExplainStates, ThrottledIsTheQuotaNotAWait) {
  auto t = sleeper({.state = KF_ST_RUNNING, .preempt = true, .throttled = true});
  t.switch_to(7);
  EXPECT_EQ(explain_sleeper(t).sum(Category::kCpuQuota), 40'000u);
}

TEST(ExplainStates, StoppedBySignal) {
  auto t = sleeper({.state = KF_ST_STOPPED});
  t.cpu(1).waking(7);
  EXPECT_EQ(explain_sleeper(t).sum(Category::kStopped), 40'000u);
}

TEST(ExplainStates, BeforeItsBirthAThreadIsWhatItsParentDid) {
  TraceBuilder t;
  t.runs(0, 8).at(30'000).cpu(0).fork(7, 7).wakeup(7, 1, true).at(31'000).cpu(1).switch_to(7);
  const Explained e = explain_sleeper(t);
  EXPECT_EQ(e.sum(Category::kCpu, 8), 20'000u);
  EXPECT_EQ(e.sum(Category::kWakeLatency), 1'000u);
  EXPECT_EQ(e.sum(Category::kCpu, 7), 19'000u);
}

TEST(ExplainStates, OutsideTheWindowNothingIsKnown) {
  TraceBuilder t;
  t.runs(0, 7).at(10'000).cpu(0).switch_to(0);
  const Explained e = explain(t, 7, 0, 200'000, 100'000);
  EXPECT_EQ(e.sum(Category::kUnknown), 1'000u + 100'000u);
  EXPECT_EQ(e.explanation.leaves.back().begin_ns, 100'000u);
}

TEST(ExplainStates, CpuTimeIsSplitByCalls) {
  DumpMeta meta;
  meta.config.syscalls = "all";
  meta.config.everyone = true;
  TraceBuilder t;
  t.runs(0, 7).at(30'000).cpu(0).returns("getppid", 20'000, 1);
  const Trace trace(t.timeline(1000, 100'000), meta);
  const Explanation e = analyze::explain(trace, trace.timeline().find_thread(7, 0), 10'000, 50'000);
  ASSERT_EQ(e.leaves.size(), 3u);
  EXPECT_EQ(e.leaves[0].category, Category::kCpuUser);
  EXPECT_EQ(e.leaves[1].category, Category::kCpuSys);
  EXPECT_EQ(e.leaves[1].begin_ns, 20'000u);
  EXPECT_EQ(e.leaves[1].end_ns, 30'000u);
  EXPECT_EQ(e.leaves[2].category, Category::kCpuUser);
}

// The read's return is missing: from its last wait on it may have been in it, or not, until the next call.
TEST(ExplainStates, CallWhoseReturnIsLost_EndsWhereItWasLastSeen) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read", .enter_ns = 9'000});
  t.at(20'000).cpu(1).waking(7).wakeup(7, 0).cpu(0).switch_to(7);
  t.at(30'000).switch_to(0, {.state = KF_ST_SLEEP}).at(31'000).cpu(1).waking(7).wakeup(7, 0).cpu(0).switch_to(7);
  const Explained last = explain(t, 7, 8'000, 100'000, 100'000, all_calls());
  EXPECT_EQ(last.sum(Category::kCpuSys, 7), 1'000u);
  EXPECT_EQ(last.sum(Category::kCpuUser, 7), 1'000u) << "before it";
  EXPECT_EQ(last.sum(Category::kCpu, 7), 10'000u + 69'000u);
  EXPECT_EQ(last.sum(Quality::kInferred), 79'000u);
  t.at(60'000).returns("getppid", 50'000, 1);
  const Explained e = explain(t, 7, 8'000, 100'000, 100'000, all_calls());
  EXPECT_EQ(e.sum(Category::kCpuSys, 7), 1'000u + 10'000u);
  EXPECT_EQ(e.sum(Category::kCpuUser, 7), 1'000u + 40'000u);
  EXPECT_EQ(e.sum(Category::kCpu, 7), 10'000u + 19'000u);
}

TEST(ExplainStates, CallInFlight_GoesOnToTheWindowsEnd) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read", .enter_ns = 9'000});
  t.at(20'000).cpu(1).waking(7).wakeup(7, 0).cpu(0).switch_to(7);
  t.at(30'000).switch_to(9, {.preempt = true}).at(40'000).switch_to(7, {.preempt = true});
  EXPECT_EQ(explain(t, 7, 9'000, 100'000, 100'000, all_calls()).sum(Category::kCpuSys, 7), 71'000u);
}

DumpMeta scope_target() {
  DumpMeta meta;
  meta.config.scope = "target";
  return meta;
}

// 7 is the target and waits from 10 us to 50 us for 8, which is seen at both ends of its time on the CPU only.
TEST(ExplainScope, WhatAStrangerDidIsNotKnown) {
  for (const std::uint32_t of_waker : {0u, static_cast<std::uint32_t>(KF_TASK_TARGET)}) {
    TraceBuilder t = sleeper({.state = KF_ST_SLEEP, .call = "futex"});
    t.named(7, "seven", KF_TASK_TARGET).named(8, "eight", of_waker).cpu(1).waking(7);
    const Explained e = explain(t, 7, 10'000, 50'000, 100'000, scope_target());
    EXPECT_EQ(e.sum(Category::kUnknown, 8), of_waker ? 0u : 40'000u);
    EXPECT_EQ(e.sum(Quality::kExact), of_waker ? 40'000u : 0u);
    EXPECT_THAT(e.text(), testing::HasSubstr("--scope target left out what other processes did"));
  }
}

TEST(ExplainScope, WhoHadTheCpuIsAGuessWhereItSeemsAStrangerOrNobody) {
  for (const std::uint32_t occupant : {9u, 0u, 5u}) {
    TraceBuilder t;
    t.named(7, "seven", KF_TASK_TARGET).named(5, "five", KF_TASK_TARGET).named(9, "nine").runs(0, 7);
    t.at(10'000).cpu(0).switch_to(occupant, {.preempt = true}).at(50'000).switch_to(7, {.preempt = true});
    const Explained e = explain(t, 7, 10'000, 50'000, 100'000, scope_target());
    EXPECT_EQ(e.sum(occupant == 0 ? Category::kWakeLatency : Category::kContention), 40'000u);
    EXPECT_EQ(e.sum(Quality::kExact), occupant == 5 ? 40'000u : 0u) << occupant;
  }
}

// Calls may be missing from what it did on that CPU, and so may interrupts.
TEST(ExplainStates, CpuTimeInWhichEventsAreMissingIsNotSaidToBeUsers) {
  DumpMeta meta;
  meta.config.syscalls = "all";
  meta.config.everyone = true;
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(5'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP}).at(10'000);
  t.waking(7, {.ctx = KF_CTX_HARDIRQ}).wakeup(7, 0).switch_to(7).at(30'000).loss(20'000, 2);
  t.at(35'000).returns("getppid", 31'000, 1).at(50'000).switch_to(0, {.state = KF_ST_SLEEP});
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000, meta);
  EXPECT_EQ(e.sum(Category::kCpu, 7), 36'000u);
  EXPECT_EQ(e.sum(Category::kCpuSys, 7), 4'000u);
  EXPECT_EQ(e.sum(Quality::kInferred), 40'000u);
  const Explained part = explain(t, 7, 40'000, 50'000, 100'000, meta);
  EXPECT_EQ(part.sum(Category::kCpu, 7), 10'000u) << "a part is explained like the whole";
  EXPECT_EQ(explain(t, 8, 10'000, 50'000, 100'000, meta).sum(Category::kCpuUser, 8), 40'000u) << "on another CPU";
}

}  // namespace
}  // namespace kflight::test
