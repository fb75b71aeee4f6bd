// SPDX-License-Identifier: Apache-2.0
//
// Who is behind a wait where the waking alone does not tell: submitters of disk requests, work items, signals, locks of
// the kernel, CPU quotas, ksoftirqd.
#include <gmock/gmock.h>

#include <cerrno>

#include "support/explained.hpp"

namespace kflight::test {
namespace {

using analyze::Category;
using analyze::Quality;
using analyze::Who;
using model::CauseKind;

constexpr std::uint64_t kRequest = 0xffff888000aa0000, kFunction = 0xffffffff81b00c80;
constexpr std::uint32_t kVda = 254u << 9;  // as the cause register has it

constexpr SwitchSpec kDiskWait{.state = KF_ST_DISK, .iowait = true, .call = "fsync", .args = {3}};

// ------------------------------------------------------------------------------------------------------ disks

TEST(ExplainDisk, SubmittedByTheSleeper) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 0).at(9'000).cpu(0).block(KF_BLOCK_INSERT, kRequest);
  t.at(10'000).switch_to(0, kDiskWait);
  t.at(15'000).cpu(1).block(KF_BLOCK_ISSUE, kRequest, {.ctx = KF_CTX_SOFTIRQ});
  t.at(45'000).cpu(0).block(KF_BLOCK_COMPLETE, kRequest, {.ctx = KF_CTX_HARDIRQ});
  t.at(50'000).caused_waking(7, KF_CTX_HARDIRQ, KF_CAUSE_BLOCK, kVda, {8'000, 15'000});
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kDiskBeforeSubmit), 0u);
  EXPECT_EQ(e.sum(Category::kDiskQueue), 5'000u);
  EXPECT_EQ(e.sum(Category::kDiskService), 30'000u);
  EXPECT_EQ(e.sum(Category::kDiskCompletion), 5'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 40'000u);
  EXPECT_THAT(e.text(), testing::HasSubstr("write of 4 KiB"));
}

TEST(ExplainDisk, UntilItWasSubmittedItIsWhatTheSubmitterDid) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 50).at(10'000).cpu(0).switch_to(0, kDiskWait);
  t.at(30'000).cpu(1).block(KF_BLOCK_INSERT, kRequest).at(31'000).block(KF_BLOCK_ISSUE, kRequest);
  t.at(49'000).cpu(0).block(KF_BLOCK_COMPLETE, kRequest, {.ctx = KF_CTX_HARDIRQ});
  t.at(50'000).caused_waking(7, KF_CTX_HARDIRQ, KF_CAUSE_BLOCK, kVda, {30'000, 31'000});
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kCpu, 50), 20'000u);
  EXPECT_EQ(e.sum(Category::kDiskQueue), 1'000u);
  EXPECT_EQ(e.sum(Category::kDiskService), 18'000u);
  EXPECT_EQ(e.sum(Category::kDiskCompletion), 1'000u);
}

// Of a request whose completion was not seen nothing is left to the next one at its address.
TEST(ExplainDisk, RequestWithoutACompletionLendsNothingToTheNext) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(8'000).cpu(1).block(KF_BLOCK_INSERT, kRequest, {.op = 1, .bytes = 128 << 10});
  t.at(9'000).block(KF_BLOCK_ISSUE, kRequest, {.op = 1, .bytes = 128 << 10});
  t.at(20'000).cpu(0).block(KF_BLOCK_ISSUE, kRequest, {.op = 0}).at(21'000).switch_to(0, kDiskWait);
  t.at(45'000).block(KF_BLOCK_COMPLETE, kRequest, {.op = 0, .ctx = KF_CTX_HARDIRQ});
  t.at(50'000).caused_waking(7, KF_CTX_HARDIRQ, KF_CAUSE_BLOCK, kVda, {19'000, 20'000});
  const Explained e = explain(t, 7, 21'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kDiskQueue), 0u);
  EXPECT_EQ(e.sum(Category::kDiskService), 24'000u);
  EXPECT_EQ(e.sum(Category::kDiskCompletion), 5'000u);
  EXPECT_THAT(e.text(), testing::HasSubstr("read of 4 KiB"));
  const auto& requests = e.trace.timeline().block_requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(e.trace.timeline().thread(requests[1].submitter).tid, 7u);
}

TEST(ExplainDisk, CompletionOfAnotherKindIsOfAnotherRequest) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(9'000).cpu(1).block(KF_BLOCK_ISSUE, kRequest, {.op = 1, .bytes = 128 << 10});
  t.at(21'000).cpu(0).switch_to(0, kDiskWait);
  t.at(45'000).block(KF_BLOCK_COMPLETE, kRequest, {.op = 0, .ctx = KF_CTX_HARDIRQ});
  t.at(50'000).caused_waking(7, KF_CTX_HARDIRQ, KF_CAUSE_BLOCK, kVda, {19'000, 20'000});
  const Explained e = explain(t, 7, 21'000, 50'000, 100'000);
  EXPECT_THAT(e.text(), testing::HasSubstr("read of 4 KiB"));
  const auto& requests = e.trace.timeline().block_requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[1].submitter, model::kNoThread);
  EXPECT_EQ(requests[1].issued_ns, 20'000u);
}

// Between its insert and its issue others are merged into a request; a device that is busy has it issued again.
TEST(ExplainDisk, RequestThatGrewAndWasIssuedAgainIsStillTheSame) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 0).at(9'000).cpu(0).block(KF_BLOCK_INSERT, kRequest).at(10'000).switch_to(0, kDiskWait);
  t.at(15'000).cpu(1).block(KF_BLOCK_ISSUE, kRequest, {.ctx = KF_CTX_SOFTIRQ, .bytes = 8192});
  t.at(20'000).block(KF_BLOCK_ISSUE, kRequest, {.ctx = KF_CTX_SOFTIRQ, .bytes = 8192});
  t.at(45'000).cpu(0).block(KF_BLOCK_COMPLETE, kRequest, {.ctx = KF_CTX_HARDIRQ, .bytes = 8192});
  t.at(50'000).caused_waking(7, KF_CTX_HARDIRQ, KF_CAUSE_BLOCK, kVda, {8'000, 20'000});
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  ASSERT_EQ(e.trace.timeline().block_requests().size(), 1u);
  EXPECT_EQ(e.sum(Category::kDiskQueue), 10'000u);
  EXPECT_THAT(e.text(), testing::HasSubstr("write of 8 KiB"));
}

// Events of requests are capped: then the times that the waking carries must do.
TEST(ExplainDisk, WithoutItsEventsTheWakingsOwnTimesCount) {
  TraceBuilder t;
  t.runs(0, 7).at(10'000).cpu(0).switch_to(0, kDiskWait);
  t.at(20'000).block(KF_BLOCK_COMPLETE, 1, {.ctx = KF_CTX_HARDIRQ});  // another request, done before ours was issued
  t.at(50'000).caused_waking(7, KF_CTX_HARDIRQ, KF_CAUSE_BLOCK, kVda, {12'000, 25'000});
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kDiskBeforeSubmit), 2'000u);
  EXPECT_EQ(e.sum(Category::kDiskQueue), 13'000u);
  EXPECT_EQ(e.sum(Category::kDiskService), 25'000u);
}

TEST(ExplainDisk, AnIoLimitHeldItBack) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 0).sleeps(60, {.state = KF_ST_IDLE}).named(60, "kworker/1:1", KF_TASK_KTHREAD);
  t.at(10'000).cpu(0).switch_to(0, kDiskWait);
  t.at(29'000).cpu(1).waking(60, {.ctx = KF_CTX_SOFTIRQ}).wakeup(60, 1).switch_to(60);
  t.at(30'000).work(kFunction, 29'500, {.at_ns = 29'000, .cpu = 1, .ctx = KF_CTX_SOFTIRQ, .cause = KF_CAUSE_TIMER});
  t.block(KF_BLOCK_INSERT, kRequest).at(31'000).block(KF_BLOCK_ISSUE, kRequest);
  t.at(49'000).cpu(0).block(KF_BLOCK_COMPLETE, kRequest, {.ctx = KF_CTX_HARDIRQ});
  t.at(50'000).caused_waking(7, KF_CTX_HARDIRQ, KF_CAUSE_BLOCK, kVda, {30'000, 31'000});
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000, {},
                              {.functions = {{kFunction, kFunction + 64, "blk_throtl_dispatch_work_fn", ""}}});
  EXPECT_EQ(e.sum(Category::kDiskQueue), 21'000u);
  EXPECT_EQ(e.sum(Category::kDiskService), 18'000u);
  EXPECT_THAT(e.text(), testing::HasSubstr("held back by an I/O limit"));
}

// Drivers without statistics do not tell when a request was issued.
TEST(ExplainDisk, WithoutTheTimeOfItsIssueWhatWasQueueIsAGuess) {
  TraceBuilder t;
  t.runs(0, 7).at(10'000).cpu(0).switch_to(0, kDiskWait);
  t.at(50'000).caused_waking(7, KF_CTX_HARDIRQ, KF_CAUSE_BLOCK, kVda, {12'000, 0});
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kDiskService), 38'000u);
  EXPECT_EQ(e.sum(Quality::kInferred), 38'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 2'000u);
}

// ------------------------------------------------------------------------------------------------------ work items

// 7 waits from 10 us to 50 us; kworker 60 runs an item from 40 us on that wakes it; the item was queued at 30 us.
TraceBuilder work_wait(const QueueSpec& queued) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).runs(2, 0).sleeps(60, {.state = KF_ST_IDLE}).named(60, "kworker/2:1", KF_TASK_KTHREAD);
  t.at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "io_getevents"});
  t.at(30'000).cpu(1).waking(60).wakeup(60, 2).at(39'000).cpu(2).switch_to(60);
  t.at(50'000).work(kFunction, 40'000, queued).caused_waking(7, KF_CTX_TASK, KF_CAUSE_WORK, 0, {kFunction, 0});
  return t;
}

TEST(ExplainWork, QueuerDelayAndWorker) {
  const Explained e = explain(work_wait({.at_ns = 30'000, .by = 8, .cpu = 1}), 7, 10'000, 50'000, 100'000, {},
                              {.functions = {{kFunction, kFunction + 64, "dio_aio_complete_work", ""}}});
  EXPECT_EQ(e.sum(Category::kCpu, 8), 20'000u);
  EXPECT_EQ(e.sum(Category::kWorkqueue), 10'000u);
  EXPECT_EQ(e.sum(Category::kCpu, 60), 10'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 40'000u);
  EXPECT_THAT(e.text(), testing::HasSubstr("work item dio_aio_complete_work"));
}

TEST(ExplainWork, QueuedWhenADiskWasDone) {
  auto t = work_wait({.at_ns = 30'000,
                      .by = 8,
                      .cpu = 1,
                      .ctx = KF_CTX_HARDIRQ,
                      .cause = KF_CAUSE_BLOCK,
                      .detail = kVda,
                      .args = {12'000, 13'000}});
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kDiskBeforeSubmit), 2'000u);
  EXPECT_EQ(e.sum(Category::kDiskQueue), 1'000u);
  EXPECT_EQ(e.sum(Category::kDiskService), 17'000u);
  EXPECT_EQ(e.sum(Category::kWorkqueue), 10'000u);
  EXPECT_EQ(e.sum(Category::kCpu, 60), 10'000u);
}

// The item is queued at 20 us while its kworker, in another one, waits for a disk until 38 us.
TEST(ExplainWork, BehindAnotherItemThatWaitsForADisk) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).runs(2, 60).named(60, "kworker/u8:4", KF_TASK_KTHREAD);
  t.at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "fsync"});
  t.at(15'000).cpu(2).switch_to(0, {.state = KF_ST_DISK});
  t.at(38'000).caused_waking(60, KF_CTX_HARDIRQ, KF_CAUSE_BLOCK, kVda, {16'000, 18'000}).wakeup(60, 2).switch_to(60);
  t.at(50'000).work(kFunction, 40'000, {.at_ns = 20'000, .by = 8, .cpu = 1});
  t.caused_waking(7, KF_CTX_TASK, KF_CAUSE_WORK, 0, {kFunction, 0});
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kDiskService), 18'000u);
  EXPECT_EQ(e.sum(Category::kWorkqueue), 2'000u);
  EXPECT_EQ(e.sum(Category::kCpu, 60), 10'000u);
}

TEST(ExplainWork, NobodySawItQueued) {
  const Explained e = explain(work_wait({}), 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kWorkqueue), 30'000u);
  EXPECT_EQ(e.sum(Category::kCpu, 60), 10'000u);
  EXPECT_EQ(e.sum(Quality::kInferred), 30'000u);
}

// Only a made-up dump has such a chain; each item took a stack frame once.
TEST(ExplainWork, AnyNumberOfItemsThatQueueOneAnother) {
  constexpr std::uint32_t kItems = 200'000;
  TraceBuilder t;
  t.runs(0, 7).runs(1, 60).named(60, "kworker/1:1", KF_TASK_KTHREAD);
  t.at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "io_getevents"}).cpu(1);
  for (std::uint32_t i = 1; i <= kItems; ++i)
    t.at(20'000 + i).work(kFunction, 20'000 + i,
                          {.at_ns = 20'000 + i - 1, .by = 60, .cpu = 1, .cause = KF_CAUSE_WORK, .args = {kFunction, 0}});
  t.at(400'000).caused_waking(7, KF_CTX_TASK, KF_CAUSE_WORK, 0, {kFunction, 0});
  const Explained e = explain(t, 7, 10'000, 400'000, 500'000);
  EXPECT_EQ(e.sum(Category::kCpu, 60), 390'000u - 1);
  EXPECT_EQ(e.sum(Category::kWorkqueue), 1u);
}

TEST(ExplainWork, ByATimer) {
  auto t = work_wait(
      {.at_ns = 30'000, .by = 8, .cpu = 1, .ctx = KF_CTX_SOFTIRQ, .cause = KF_CAUSE_TIMER, .detail = KF_TIMER_WORK});
  EXPECT_EQ(explain(t, 7, 10'000, 50'000, 100'000).sum(Category::kWorkqueue), 30'000u);
}

// ------------------------------------------------------------------------------------------------------ signals

TEST(ExplainSignals, NamedInTheWait) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "pause"});
  t.at(50'000).cpu(1).waking(7, {.call = "kill"}).at(50'300).signal(7, 10, 7);
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kCpu, 8), 40'000u);
  EXPECT_THAT(e.text(), testing::HasSubstr("pause (signal SIGUSR1)"));
}

TEST(ExplainSignals, OfAnotherTaskIsNotThisWakings) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).runs(2, 9).at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "pause"});
  t.at(50'000).cpu(1).waking(7).at(50'300).cpu(2).signal(7, 10, 7);
  EXPECT_THAT(explain(t, 7, 10'000, 50'000, 100'000).text(), testing::Not(testing::HasSubstr("SIGUSR1")));
}

TEST(ExplainSignals, WhoStoppedIt) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).named(8, "stopper").at(9'000).cpu(1).signal(7, 19, 7);
  t.at(10'000).cpu(0).switch_to(0, {.state = KF_ST_STOPPED}).at(50'000).cpu(1).waking(7).signal(7, 18, 7);
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kStopped, 8), 40'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 40'000u);
  EXPECT_THAT(e.text(), testing::HasSubstr("stopped by stopper"));
}

TEST(ExplainSignals, ATracerIsWhoLetItGoOn) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).switch_to(0, {.state = KF_ST_TRACED}).at(50'000).cpu(1).waking(7);
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kStopped, 8), 40'000u);
  EXPECT_EQ(e.sum(Quality::kInferred), 40'000u);
}

// ------------------------------------------------------------------------------------------------------ locks

TEST(ExplainLocks, StillWaitingForAMutexIsWhatItsHolderDoes) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).lock_wait(8).switch_to(0, {.state = KF_ST_DISK, .call = "read"});
  const Explained e = explain(t, 7, 10'000, 50'000, 50'000);
  EXPECT_EQ(e.sum(Category::kCpu, 8), 40'000u);
  EXPECT_EQ(e.sum(Quality::kInferred), 40'000u);
  EXPECT_THAT(e.text(), testing::HasSubstr("mutex of the kernel held by"));
}

TEST(ExplainLocks, EachKindHasItsName) {
  const std::pair<std::uint8_t, const char*> names[] = {{KF_LOCK_RT_MUTEX, "rt_mutex held by"},
                                                        {KF_LOCK_RWSEM, "rwsem of the kernel held by"},
                                                        {KF_LOCK_MMAP, "mmap_lock of its process held by"}};
  for (const auto& [kind, name] : names) {
    TraceBuilder t;
    t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).lock_wait(8, kind).switch_to(0, {.state = KF_ST_DISK, .call = "mmap"});
    EXPECT_THAT(explain(t, 7, 10'000, 50'000, 50'000).text(), testing::HasSubstr(name));
  }
}

TEST(ExplainLocks, NoteIsForTheSwitchThatFollows) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).lock_wait(8).switch_to(0, {.state = KF_ST_DISK, .call = "read"});
  t.at(20'000).cpu(1).waking(7).wakeup(7, 0).cpu(0).switch_to(7);
  t.at(30'000).switch_to(0, {.state = KF_ST_SLEEP, .call = "pause"});
  EXPECT_EQ(explain(t, 7, 30'000, 50'000, 50'000).sum(Category::kStillBlocked, 7), 20'000u);
}

// ------------------------------------------------------------------------------------------------------ quotas

TEST(ExplainQuota, EndsWithTheRefillOfItsGroup) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).throttle(0xa0);
  t.switch_to(9, {.preempt = true, .throttled = true});
  t.at(20'000).cpu(1).refill(0xb0).at(40'000).refill(0xa0).at(50'000).cpu(0).switch_to(7, {.preempt = true});
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kCpuQuota), 30'000u);
  EXPECT_EQ(e.sum(Category::kContention, 9), 10'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 40'000u);
}

TEST(ExplainQuota, RefillThatDoesNotReachAllCpusIsInferred) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).throttle(0xa0).switch_to(9, {.preempt = true, .throttled = true});
  t.at(40'000).cpu(1).refill(0xa0, true).at(50'000).cpu(0).switch_to(7, {.preempt = true});
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kCpuQuota), 30'000u);
  EXPECT_EQ(e.sum(Quality::kInferred), 10'000u);
}

TEST(ExplainQuota, OfManyGroupsEachRefillEndsItsOwn) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).runs(2, 0);
  t.at(10'000).cpu(0).throttle(0xa0).switch_to(9, {.preempt = true, .throttled = true});
  t.at(12'000).cpu(1).throttle(0xb0).switch_to(5, {.preempt = true, .throttled = true});
  t.at(20'000).cpu(2).refill(0xa0).at(30'000).refill(0xb0).at(31'000).refill(0xa0);
  t.at(50'000).cpu(0).switch_to(7, {.preempt = true}).cpu(1).switch_to(8, {.preempt = true});
  t.at(60'000).cpu(0).throttle(0xb0).switch_to(9, {.preempt = true, .throttled = true});
  t.at(65'000).cpu(2).refill(0xa0).at(70'000).refill(0xb0).at(80'000).cpu(0).switch_to(7, {.preempt = true});
  EXPECT_EQ(explain(t, 7, 10'000, 50'000, 100'000).sum(Category::kCpuQuota), 10'000u);
  EXPECT_EQ(explain(t, 8, 12'000, 50'000, 100'000).sum(Category::kCpuQuota), 18'000u);
  EXPECT_EQ(explain(t, 7, 60'000, 80'000, 100'000).sum(Category::kCpuQuota), 10'000u) << "of the other group now";
}

// No note tells of the group of a thread that was woken into it, nor of one throttled since before the window.
TraceBuilder woken_into_quota(std::uint64_t cgroup_id) {
  TraceBuilder t;
  t.runs(0, 9).runs(1, 8).sleeps(7);
  t.base_tasks().back().known = KF_BASE_IDENTITY;
  t.base_tasks().back().cgroup_id = cgroup_id;
  t.at(10'000).cpu(0).throttle(0xa0);
  std::get<ThrottleEvent>(t.events().back()).cgroup_id = 77;
  t.switch_to(0, {.preempt = true, .throttled = true});
  t.at(1'000'000).cpu(1).waking(7).wakeup(7, 0);
  std::get<WakeupEvent>(t.events().back()).throttled = true;
  return t;
}

TEST(ExplainQuota, OfAThreadWokenIntoItsGroupEndsWithTheRefill) {
  TraceBuilder t = woken_into_quota(77);
  t.at(1'500'000).refill(0xb0).at(2'000'000).refill(0xa0).cpu(0).switch_to(9).at(6'000'000).switch_to(7);
  const Explained e = explain(t, 7, 1'000'000, 6'000'000, 10'000'000);
  EXPECT_EQ(e.sum(Category::kCpuQuota), 1'000'000u);
  EXPECT_EQ(e.sum(Category::kContention, 9), 4'000'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 500'000u) << "it could have been the other group's";
}

TEST(ExplainQuota, OfAnUnknownGroupIsInferredFromAnyRefillOn) {
  for (const std::uint64_t cgroup_id : {0, 78}) {
    TraceBuilder t = woken_into_quota(cgroup_id);
    t.at(2'000'000).refill(0xa0).at(3'000'000).refill(0xa0).cpu(0).switch_to(9).at(6'000'000).switch_to(7);
    const Explained e = explain(t, 7, 1'000'000, 6'000'000, 10'000'000);
    EXPECT_EQ(e.sum(Category::kCpuQuota), 5'000'000u);
    EXPECT_EQ(e.sum(Quality::kExact), 1'000'000u);
    EXPECT_EQ(e.sum(Quality::kInferred), 4'000'000u);
  }
}

TEST(ExplainQuota, FromBeforeTheWindowIsInferredAndEndsWithTheRefill) {
  TraceBuilder t;
  t.runs(0, 9).runs(1, 8).queued(7, 0);
  t.base_tasks().back().out_flags = 1 | 4;  // preempted, throttled
  t.base_tasks().back().known = KF_BASE_IDENTITY;
  t.base_tasks().back().cgroup_id = 77;
  t.at(10'000).cpu(1).throttle(0xa0);
  std::get<ThrottleEvent>(t.events().back()).cgroup_id = 77;
  t.switch_to(0, {.preempt = true, .throttled = true}).at(20'000).refill(0xa0).at(50'000).cpu(0).switch_to(7);
  const Explained e = explain(t, 7, 5'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kCpuQuota), 15'000u);
  EXPECT_EQ(e.sum(Category::kContention, 9), 30'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 0u);
}

// ------------------------------------------------------------------------------------------------------ the rest

TEST(ExplainSoftirqd, IsAThreadFromItsOwnWakeOn) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 9).sleeps(20).named(20, "ksoftirqd/1", KF_TASK_KTHREAD);
  t.at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "recvfrom"});
  t.at(30'000).cpu(1).waking(20, {.ctx = KF_CTX_HARDIRQ}).wakeup(20, 1);
  t.at(45'000).switch_to(20, {.preempt = true});
  t.at(50'000).waking(7, {.ctx = KF_CTX_SOFTIRQ, .cause = CauseKind::kNetRx, .cause_ref = KF_NET_REMOTE});
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kNetwork), 20'000u);
  EXPECT_EQ(e.sum(Category::kContention, 9), 15'000u);
  EXPECT_EQ(e.sum(Category::kCpu, 20), 5'000u);
}

}  // namespace
}  // namespace kflight::test
