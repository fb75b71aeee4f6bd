// SPDX-License-Identifier: Apache-2.0
//
// What the descriptor of a call was, and whether that is certain. Thread 7 of process 7 reads from descriptor 3.
#include "model/descriptors.hpp"

#include <gtest/gtest.h>

#include "support/timeline_cases.hpp"

namespace kflight::test {
namespace {

using model::WaitKind;

constexpr SwitchSpec kRead{.state = KF_ST_SLEEP, .call = "read", .enter_ns = 9'000, .args = {3}};

TraceBuilder waits() {
  TraceBuilder t = on_cpu0();
  t.named(7, "seven").switch_to(0, kRead);
  return t;
}
TraceBuilder waited() {
  TraceBuilder t = waits();
  t.at(20'000).cpu(1).waking(7).wakeup(7, 0).at(21'000).cpu(0).switch_to(7).at(22'000).returns("read", 9'000, 1);
  return t;
}

struct Said {
  std::string text;
  WaitKind kind;
};
Said said(const TraceBuilder& t, std::vector<FdLink> links) {
  const model::Trace trace(built(t), {}, {.functions = {}, .fd_links = std::move(links)});
  const model::Thread& seven = thread(trace.timeline(), 7);
  const model::Interval& blocked = seven.intervals[1];
  EXPECT_EQ(model::describe_call(trace, seven, seven.calls.at(0)), model::wait_object(trace, seven, blocked));
  return {model::wait_object(trace, seven, blocked), model::wait_kind(trace, seven, blocked)};
}

TEST(Descriptors, SeenDuringTheWait_IsCertain) {
  EXPECT_EQ(said(waits(), {{7, 3, 500'000, "pipe:[5]"}}).text, "read fd 3 (pipe:[5])");
  EXPECT_EQ(said(waited(), {{7, 3, 15'000, "pipe:[5]"}}).text, "read fd 3 (pipe:[5])");
}

TEST(Descriptors, SeenAfterwards_MayBeAnother) {
  EXPECT_EQ(said(waited(), {{7, 3, 500'000, "pipe:[5]"}}).text, "read fd 3 (pipe:[5], seen afterwards)");
  EXPECT_EQ(said(waits(), {{7, 3, kEnd, "pipe:[5]"}}).text, "read fd 3 (pipe:[5], seen afterwards)");
}

TEST(Descriptors, OfAnotherProcessOrNumber_SaysNothing) {
  EXPECT_EQ(said(waits(), {{8, 3, 500'000, "pipe:[5]"}, {7, 4, 500'000, "pipe:[5]"}}).text, "read fd 3");
  EXPECT_EQ(said(waits(), {}).kind, WaitKind::kFile);
}

TEST(Descriptors, KindsOfWaits) {
  const auto kind = [](std::string_view link) { return said(waits(), {{7, 3, 500'000, link}}).kind; };
  EXPECT_EQ(kind("pipe:[5]"), WaitKind::kPipe);
  EXPECT_EQ(kind("socket:[5]"), WaitKind::kSocket);
  EXPECT_EQ(kind("anon_inode:[eventfd]"), WaitKind::kEventfd);
  EXPECT_EQ(kind("anon_inode:[timerfd]"), WaitKind::kTimerfd);
  EXPECT_EQ(kind("anon_inode:[signalfd]"), WaitKind::kSignalfd);
  EXPECT_EQ(kind("anon_inode:inotify"), WaitKind::kInotify);
  EXPECT_EQ(kind("/dev/pts/3"), WaitKind::kTerminal);
  EXPECT_EQ(kind("/var/pipe:[5]"), WaitKind::kFile);
}

TEST(Descriptors, TextIsSafeAndShort) {
  EXPECT_EQ(said(waits(), {{7, 3, 500'000, "anon_inode:[eventfd]"}}).text, "read fd 3 (eventfd)");
  EXPECT_EQ(said(waits(), {{7, 3, 500'000, "/tmp/\x1b[2J"}}).text, "read fd 3 (/tmp/\\x1b[2J)");
}

// Then one record stands for all equal calls in a row.
TEST(Descriptors, WithoutEntries_OnlyTheWaitThatGoesOnIsCertain) {
  TraceBuilder t = on_cpu0();
  const SwitchSpec read{.state = KF_ST_SLEEP, .call = "read", .args = {3}};
  t.named(7, "seven").switch_to(0, read).at(20'000).cpu(1).waking(7).wakeup(7, 0).at(21'000).cpu(0).switch_to(7);
  t.at(22'000).switch_to(0, read);
  const model::Trace trace(built(t), {}, {.functions = {}, .fd_links = {{7, 3, 500'000, "pipe:[5]"}}});
  const model::Thread& seven = thread(trace.timeline(), 7);
  EXPECT_FALSE(model::find_descriptor(trace, seven, seven.intervals[1])->certain);
  EXPECT_TRUE(model::find_descriptor(trace, seven, seven.intervals.back())->certain);
}

TEST(Descriptors, OfEpollSaysNothingNew) {
  TraceBuilder t = on_cpu0();
  t.named(7, "seven")
      .switch_to(0, {.state = KF_ST_SLEEP, .call = "epoll_wait", .enter_ns = 9'000, .args = {3, 0, 1, 0}});
  const Said epoll = said(t, {{7, 3, 500'000, "anon_inode:[eventpoll]"}});
  EXPECT_EQ(epoll.kind, WaitKind::kPoll);
  EXPECT_EQ(epoll.text, "epoll_wait fd 3");
}

}  // namespace
}  // namespace kflight::test
