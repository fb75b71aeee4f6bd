// SPDX-License-Identifier: Apache-2.0
//
// Explain over wakings by a packet from this machine: whose it was, and what that thread was doing until it sent it.
#include <gmock/gmock.h>

#include "support/explained.hpp"

namespace kflight::test {
namespace {

using analyze::Category;
using analyze::Quality;

TEST(ExplainSender, IsTheInterruptedThreadWhenTheRecorderSaysSo) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "recvfrom"});
  t.at(50'000).cpu(1).caused_waking(7, KF_CTX_SOFTIRQ, KF_CAUSE_NET_RX, KF_NET_OWN, {});
  t.wakeup(7, 0).cpu(0).switch_to(7);
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kCpu, 8), 40'000u);
  EXPECT_EQ(e.sum(Quality::kExact), 40'000u);
}

TEST(ExplainSender, IsWhoeverSentThePacketNotWhomTheSoftirqInterrupts) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).runs(2, 9).at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "recvfrom"});
  t.at(50'000).cpu(2).caused_waking(7, KF_CTX_SOFTIRQ, KF_CAUSE_NET_RX, KF_NET_SENDER, {8});
  t.cpu(0).switch_to(7);
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kCpu, 8), 40'000u);
  EXPECT_EQ(e.sum(Category::kCpu, 9), 0u);
}

TEST(ExplainSender, KsoftirqdTakesOverWhenItIsWoken) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).sleeps(9).named(9, "ksoftirqd/1", KF_TASK_KTHREAD);
  t.at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "recvfrom"});
  t.at(30'000).cpu(1).waking(9).wakeup(9, 1).at(40'000).switch_to(9, {.preempt = true});
  t.at(50'000).caused_waking(7, KF_CTX_SOFTIRQ, KF_CAUSE_NET_RX, KF_NET_SENDER, {8});
  t.cpu(0).switch_to(7);
  const Explained e = explain(t, 7, 10'000, 50'000, 100'000);
  EXPECT_EQ(e.sum(Category::kCpu, 8), 20'000u) << e.text();         // until it woke ksoftirqd
  EXPECT_EQ(e.sum(Category::kContention, 8), 10'000u) << e.text();  // ksoftirqd waits for its CPU
  EXPECT_EQ(e.sum(Category::kCpu, 9), 10'000u) << e.text();
}


}  // namespace
}  // namespace kflight::test
