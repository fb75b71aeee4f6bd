// SPDX-License-Identifier: Apache-2.0
//
// The time that interrupts took, from whom and of which wait.
#include <gmock/gmock.h>

#include "support/explained.hpp"

namespace kflight::test {
namespace {

using analyze::Category;
using analyze::Quality;

TEST(ExplainInterrupts, OneTakesItsTimeFromTheThreadThatRan) {
  TraceBuilder t;
  t.runs(0, 7).at(50'000).cpu(0).interrupts(20'000, 30'000);
  const Explained e = explain(t, 7, 10'000, 60'000, 100'000);
  EXPECT_EQ(e.sum(Category::kIrq), 30'000u);
  EXPECT_EQ(e.sum(Category::kCpu, 7), 20'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 50'000u);
  EXPECT_THAT(e.text(), testing::HasSubstr("softirq NET_RX interrupted CPU 0"));
}

TEST(ExplainInterrupts, OfSeveralOnlyTheirSumIsKnown) {
  TraceBuilder t;
  t.runs(0, 7).at(50'000).cpu(0).interrupts(20'000, 9'000, 3);
  const Explained e = explain(t, 7, 10'000, 60'000, 100'000);
  EXPECT_EQ(e.sum(Category::kIrq), 9'000u);
  EXPECT_EQ(e.sum(Quality::kInferred), 9'000u);
}

TEST(ExplainInterrupts, TakeTheCpuThatIsWaitedFor) {
  TraceBuilder t;
  t.runs(0, 8).at(10'000).cpu(0).caused_waking(7, KF_CTX_HARDIRQ, KF_CAUSE_IRQ, 5).wakeup(7, 0);
  t.at(50'000).interrupts(20'000, 30'000).at(60'000).switch_to(7, {.preempt = true});
  const Explained e = explain(t, 7, 20'000, 60'000, 100'000);
  EXPECT_EQ(e.sum(Category::kIrq), 30'000u);
  EXPECT_EQ(e.sum(Category::kContention, 8), 10'000u);
}

TEST(ExplainInterrupts, AreTheWorkOfKsoftirqd) {
  TraceBuilder t;
  t.runs(0, 9).named(9, "ksoftirqd/0", KF_TASK_KTHREAD).at(50'000).cpu(0).interrupts(20'000, 30'000);
  EXPECT_EQ(explain(t, 9, 10'000, 60'000, 100'000).sum(Category::kIrq), 0u);
}

// As damaged files may have them.
TEST(ExplainInterrupts, ThatOverlap_AreCutShort) {
  TraceBuilder t;
  t.runs(0, 7).at(50'000).cpu(0).interrupts(20'000, 30'000).at(55'000).interrupts(30'000, 25'000);
  const Explained e = explain(t, 7, 10'000, 60'000, 100'000);
  EXPECT_EQ(e.sum(Category::kIrq), 35'000u);
}

}  // namespace
}  // namespace kflight::test
