// SPDX-License-Identifier: Apache-2.0
//
// What is one wait and what are two, which waking ended it, whose timer, and what it is called.
#include <gmock/gmock.h>

#include "support/explained.hpp"

namespace kflight::test {
namespace {

using analyze::Category;
using analyze::Quality;
using model::CauseKind;

constexpr std::uint32_t kVda = 254u << 9;  // as the cause register has it

// The lock was taken by somebody faster: the second waiting is the same wait.
TEST(ExplainFalseWakeups, BargingOnAFutex) {
  const auto wait = [](std::uint64_t enter_ns) {
    return SwitchSpec{.state = KF_ST_SLEEP, .call = "futex", .enter_ns = enter_ns, .args = {0x1000, 128, 2, 0}};
  };
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).runs(2, 9).at(10'000).cpu(0).switch_to(0, wait(9'000));
  t.at(20'000).cpu(2).waking(7).wakeup(7, 0).cpu(0).switch_to(7).at(21'000).returns("futex", 9'000, 0);
  t.at(22'000).switch_to(0, wait(21'500)).at(50'000).cpu(1).waking(7).wakeup(7, 0).cpu(0).switch_to(7);
  t.at(51'000).returns("futex", 21'500, 0);
  const Explained all = explain(t, 7, 10'000, 50'000, 100'000, all_calls());
  EXPECT_EQ(all.sum(Category::kCpuUser, 9), 0u);
  EXPECT_EQ(all.sum(Category::kCpuUser, 8), 38'000u);
  EXPECT_EQ(all.explanation.false_wakeups, 1u);
  // Where short calls may be missing it may have had the lock in between.
  EXPECT_EQ(explain(t, 7, 10'000, 50'000, 100'000).sum(Category::kCpu, 9), 10'000u);
}

TEST(ExplainFalseWakeups, WhoCalledSomethingInBetweenHadWhatItWanted) {
  const SwitchSpec wait{.state = KF_ST_SLEEP, .call = "futex", .enter_ns = 9'000, .args = {0x1000, 128, 2, 0}};
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).runs(2, 9).at(10'000).cpu(0).switch_to(0, wait);
  t.at(20'000).cpu(2).waking(7).wakeup(7, 0).cpu(0).switch_to(7).at(21'000).returns("futex", 9'000, 0);
  t.at(21'500).returns("futex", 21'200, 1);
  SwitchSpec again = wait;
  again.enter_ns = 21'600;
  t.at(22'000).switch_to(0, again).at(50'000).cpu(1).waking(7);
  EXPECT_EQ(explain(t, 7, 10'000, 50'000, 100'000, all_calls()).sum(Category::kCpuUser, 9), 10'000u);
}

// A write waits for the inode's lock, and with that for the disk: two waits of one call.
TEST(ExplainFalseWakeups, LockAndThenDiskInOneCallAreTwoWaits) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).lock_wait(8, KF_LOCK_RWSEM);
  t.switch_to(0, {.state = KF_ST_DISK, .call = "write", .enter_ns = 9'000, .args = {3}});
  t.at(210'000).cpu(1).waking(7).wakeup(7, 0).cpu(0).switch_to(7);
  t.at(230'000).switch_to(0, {.state = KF_ST_DISK, .iowait = true, .call = "write", .args = {3}});
  t.at(250'000).caused_waking(7, KF_CTX_HARDIRQ, KF_CAUSE_BLOCK, kVda, {220'000, 221'000}).wakeup(7, 0).switch_to(7);
  t.at(260'000).returns("write", 9'000, 4096);
  const Explained e = explain(t, 7, 10'000, 250'000, 400'000);
  EXPECT_EQ(e.sum(Category::kCpu, 8), 200'000u);
  EXPECT_EQ(e.sum(Category::kDiskService), 20'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 240'000u);
  EXPECT_EQ(e.explanation.false_wakeups, 0u);
}

// Having waited for its own pages, 7 wakes the journal's thread and waits for that.
TEST(ExplainFalseWakeups, DataAndThenTheJournalInOneFsyncAreTwoWaits) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 0).sleeps(60).named(60, "jbd2", KF_TASK_KTHREAD).at(10'000).cpu(0);
  t.switch_to(0, {.state = KF_ST_DISK, .iowait = true, .call = "fsync", .enter_ns = 9'000, .args = {3}});
  t.at(30'000).caused_waking(7, KF_CTX_HARDIRQ, KF_CAUSE_BLOCK, kVda, {8'000, 9'000}).wakeup(7, 0).switch_to(7);
  t.at(31'000).waking(60).wakeup(60, 1);
  t.at(32'000).switch_to(0, {.state = KF_ST_DISK, .call = "fsync", .args = {3}}).cpu(1).switch_to(60);
  t.at(50'000).waking(7).wakeup(7, 0).cpu(0).switch_to(7).at(52'000).returns("fsync", 9'000, 0);
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kDiskService), 20'000u);
  EXPECT_EQ(e.sum(Category::kCpu, 60), 18'000u);
  EXPECT_EQ(e.explanation.cycles, 0u);
  EXPECT_EQ(e.sum(Quality::kUnknown), 0u);
}

// It was woken, and another one had the lock already: the address shows that it is the same.
TEST(ExplainFalseWakeups, TheSameLockAgainIsTheSameWait) {
  for (const bool same : {true, false}) {
    const SwitchSpec wait{.state = KF_ST_DISK, .call = "write", .enter_ns = 9'000, .args = {3}};
    TraceBuilder t;
    t.runs(0, 7).runs(1, 8).runs(2, 9).at(10'000).cpu(0).lock_wait(9, KF_LOCK_RWSEM).switch_to(0, wait);
    t.at(20'000).cpu(2).waking(7).wakeup(7, 0).cpu(0).switch_to(7).at(21'000).lock_wait(8, KF_LOCK_RWSEM);
    if (!same) std::get<LockWaitEvent>(t.events().back()).lock += 64;
    t.switch_to(0, wait).at(50'000).cpu(1).waking(7).wakeup(7, 0).cpu(0).switch_to(7);
    const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
    EXPECT_EQ(e.explanation.false_wakeups, same ? 1u : 0u);
    EXPECT_EQ(e.sum(Category::kCpu, 9), same ? 0u : 10'000u);
    EXPECT_EQ(e.sum(Category::kCpu, 8), same ? 39'000u : 29'000u);
  }
}

// What ended the wait is told of the whole, also where its longer part was ended by a false wakeup.
TEST(ExplainFalseWakeups, EvidenceNamesWhoEndedTheWait) {
  const SwitchSpec wait{.state = KF_ST_SLEEP, .call = "pause", .enter_ns = 9'000};
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).runs(2, 9).named(8, "waker").named(9, "prodder").at(10'000).cpu(0).switch_to(0, wait);
  t.at(40'000).cpu(2).waking(7).signal(7, 12, 7).wakeup(7, 0).cpu(0).switch_to(7).at(41'000).switch_to(0, wait);
  t.at(50'000).cpu(1).waking(7).signal(7, 10, 7).wakeup(7, 0).cpu(0).switch_to(7);
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.explanation.false_wakeups, 1u);
  const std::string text = e.text();
  EXPECT_THAT(text, testing::HasSubstr("woken at +40 us by waker")) << text;
  EXPECT_THAT(text, testing::HasSubstr("pause (signal SIGUSR1)"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("prodder")));
}

TEST(ExplainTimers, AFutexThatReturnsWokenWasNotEndedByItsTimer) {
  TraceBuilder t;
  t.runs(0, 7).at(10'000).cpu(0);
  t.switch_to(0, {.state = KF_ST_SLEEP, .call = "futex", .enter_ns = 9'000, .args = {0x1000, 128, 2, 1}});
  t.at(50'000).waking(7, {.ctx = KF_CTX_HARDIRQ, .cause = CauseKind::kTimer}).at(51'000).switch_to(7);
  t.at(52'000).returns("futex", 9'000, 0);
  EXPECT_EQ(explain(t, 7, 10'000, 50'000, 100'000).sum(Quality::kInferred), 40'000u);
}

TEST(ExplainTimers, AnyTimerSetForATimeCanBeLate) {
  for (const std::uint32_t timer : {KF_TIMER_SLEEP, KF_TIMER_TIMERFD, KF_TIMER_POSIX, KF_TIMER_ITIMER}) {
    TraceBuilder t;
    t.runs(0, 7).at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read"});
    constexpr std::uint32_t kMonotonic = 1;
    t.at(50'000).caused_waking(7, KF_CTX_HARDIRQ, KF_CAUSE_HRTIMER, timer | kMonotonic << 4, {46'000, 0});
    EXPECT_EQ(explain(t, 7, 10'000, 50'000, 100'000).sum(Category::kTimerOvershoot), 4'000u) << timer;
  }
}

// A driver that wakes by a timer of its own, for one.
TEST(ExplainTimers, OneThatNoProcessSetsIsAGuess) {
  for (const auto& [cause, timer] : {std::pair{KF_CAUSE_HRTIMER, KF_TIMER_OTHER}, {KF_CAUSE_TIMER, KF_TIMER_OTHER},
                                     {KF_CAUSE_HRTIMER, KF_TIMER_QUOTA}, {KF_CAUSE_TIMER, KF_TIMER_WORK}}) {
    TraceBuilder t;
    t.runs(0, 7).at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read"});
    t.at(50'000).caused_waking(7, KF_CTX_SOFTIRQ, static_cast<std::uint8_t>(cause), timer);
    const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
    EXPECT_EQ(e.sum(Category::kTimer), 40'000u);
    EXPECT_EQ(e.sum(Quality::kInferred), 40'000u) << timer;
  }
  TraceBuilder t;
  t.runs(0, 7).at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read"});
  t.at(50'000).caused_waking(7, KF_CTX_SOFTIRQ, KF_CAUSE_TIMER, KF_TIMER_SLEEP);
  EXPECT_EQ(explain(t, 7, 10'000, 50'000, 100'000).sum(Quality::kExact), 40'000u);
}

TEST(ExplainNames, AFutexMovedByARequeue) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8);
  for (std::uint32_t tid : {7u, 8u}) {
    kf_base_task& task = t.base_tasks().emplace_back();
    task.tid = tid;
    task.tgid = 7;
    task.start_ns = 1;
    task.known = KF_BASE_IDENTITY;
    task.in_ns = 1;
    task.in_cpu = static_cast<kf_u16>(tid - 7);
  }
  t.at(10'000).cpu(0);
  t.switch_to(0, {.state = KF_ST_SLEEP, .call = "futex", .enter_ns = 9'000, .args = {0x1000, 128, 2, 0}});
  t.at(50'000).cpu(1).waking(7, {.call = "futex"});
  SyscallEvent wake;
  static_cast<EventHead&>(wake) = {51'000, 8, 1, false};
  wake.sys = call_named("futex", {0x2000, 129, 1, 0});
  wake.nr = wake.sys.nr;
  wake.has_args = true;
  wake.enter_ns = 49'000;
  wake.ret = 1;
  t.events().push_back(wake);
  EXPECT_THAT(explain(t, 7, 10'000, 50'000, 100'000).text(), testing::HasSubstr("moved to futex 0x2000"));
}

TEST(ExplainNames, AChildThatExited) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "wait4", .args = {8}});
  t.at(50'000).cpu(1).waking(7, {.call = "exit_group"});
  EXPECT_THAT(explain(t, 7, 10'000, 50'000, 100'000).text(), testing::HasSubstr("wait4 pid 8 (it exited)"));
}

}  // namespace
}  // namespace kflight::test
