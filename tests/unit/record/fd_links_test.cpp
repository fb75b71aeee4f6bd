// SPDX-License-Identifier: Apache-2.0
//
// Which descriptors are looked up for a dump: those that blocked calls of the target name, each once, of this very
// process here.
#include "record/fd_links.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/unique_fd.hpp"
#include "dump/fd_links.hpp"
#include "dump/thread_facts.hpp"
#include "support/calls.hpp"
#include "support/chunk_builder.hpp"

namespace kflight::record {
namespace {

using namespace test;

class FdLinksTest : public testing::Test {
 protected:
  FdLinksTest() {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    pipe_ = UniqueFd(ends[0]), pipe_end_ = UniqueFd(ends[1]);
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    socket_ = UniqueFd(ends[0]), socket_end_ = UniqueFd(ends[1]);
    event_ = UniqueFd(eventfd(0, 0));
  }
  static kf_u64 arg(const UniqueFd& fd) { return static_cast<kf_u64>(fd.get()); }
  // A thread of this process, as the snapshot has it.
  kf_task task(std::uint32_t tid, std::string_view call = "", kf_u64 first = 0) const {
    kf_task task{};
    task.tid = tid;
    task.tgid = self_;
    task.flags = KF_TASK_TARGET;
    if (call.empty()) return task;
    task.flags |= KF_TASK_HAS_SYS;
    task.nr = nr(call);
    task.args[0] = first;
    return task;
  }
  void add(std::initializer_list<kf_task> tasks) { links_.add(std::span(tasks.begin(), tasks.size())); }
  std::vector<std::string> found() {
    const dump::RecordBlob records = links_.records();
    std::vector<FdLink> links;
    EXPECT_EQ(dump::take_fd_links(records.bytes(), links), 0u);
    std::vector<std::string> out;
    for (const FdLink& link : links) {
      EXPECT_EQ(link.tgid, self_);
      EXPECT_GT(link.seen_ns, 0u);
      out.emplace_back(link.target.substr(0, link.target.find('[') + 1));
    }
    return out;
  }

  const std::uint32_t self_ = static_cast<std::uint32_t>(getpid());
  UniqueFd pipe_, pipe_end_, socket_, socket_end_, event_;
  FdLinks links_;
};

using Texts = std::vector<std::string>;

TEST_F(FdLinksTest, OfCallsInFlight) {
  add({task(1, "read", arg(pipe_)), task(2, "recvfrom", arg(socket_)), task(3, "write", arg(pipe_)),
       task(4, "futex", arg(event_)), task(5, "read", 1 << 20), task(6)});
  EXPECT_EQ(found(), (Texts{"pipe:[", "socket:["}));
}

TEST_F(FdLinksTest, OfOtherProcessesNothing) {
  kf_task other = task(1, "read", arg(pipe_));
  other.flags &= ~KF_TASK_TARGET;
  add({other});
  EXPECT_TRUE(found().empty());
}

TEST_F(FdLinksTest, OfCallsThatBlockedInTheWindow) {
  add({task(1)});
  ChunkBuilder cpu(0, {.start = 10us, .cur_tid = 1});
  cpu.after(1us).switch_to(9, KF_ST_SLEEP, {.sys = call(nr("read"), {arg(pipe_)})});
  cpu.after(1us).switch_to(1, KF_ST_SLEEP, {.sys = call(nr("read"), {arg(socket_)})});  // 9 is nobody's
  cpu.after(1us).fork(1, 2, self_, {.is_thread = true}).after(1us).switch_to(2, KF_ST_RUNNING);
  cpu.after(1us).switch_to(1, KF_ST_SLEEP, {.sys = call(nr("readv"), {arg(event_)})});
  std::vector<std::byte> chunks = cpu.build().bytes();
  const auto more = cpu.after(1us).switch_to(0, KF_ST_SLEEP, {.sys = call(nr("epoll_wait"), {arg(event_)})}).build();
  const auto bytes = more.bytes();
  chunks.insert(chunks.end(), bytes.begin(), bytes.end());
  links_.add(std::span<const std::byte>(chunks));
  EXPECT_EQ(found(), (Texts{"pipe:[", "anon_inode:["}));
}

// It was forked on another CPU, whose chunk comes later, and is not there any more.
TEST_F(FdLinksTest, OfThreadsWhoseForkComesLater) {
  add({task(1)});
  ChunkBuilder cpu0(0, {.start = 10us, .cur_tid = 1}), cpu1(1, {.start = 10us, .cur_tid = 0});
  const auto fork = cpu0.after(1us).fork(1, 2, self_, {.is_thread = true}).fork(1, 3, 1, {.is_thread = true}).build();
  cpu1.after(2us).switch_to(2, KF_ST_RUNNING).after(1us);
  cpu1.switch_to(3, KF_ST_SLEEP, {.sys = call(nr("read"), {arg(pipe_)})}).after(1us);
  const auto wait = cpu1.switch_to(0, KF_ST_SLEEP, {.sys = call(nr("read"), {arg(socket_)})}).build();
  for (const auto& chunk : {wait, fork}) links_.add(std::span<const std::byte>(chunk.bytes()));
  EXPECT_EQ(found(), (Texts{"pipe:["}));
}

TEST_F(FdLinksTest, OfCallsFromBeforeTheWindow) {
  add({task(1), task(2)});
  std::vector<kf_base_task> base(2);
  base[0].tid = 1;
  base[0].out_flags = dump::kOutHasSys;
  base[0].sys = call(nr("read"), {arg(event_)});
  base[1].tid = 2;  // in no call
  base[1].sys = call(nr("read"), {arg(pipe_)});
  links_.add(std::span<const kf_base_task>(base));
  EXPECT_EQ(found(), (Texts{"anon_inode:["}));
}

TEST_F(FdLinksTest, WhatWasSeenWhenTheTriggerFiredCounts) {
  Cause cause;
  cause.has_call = true;
  cause.tgid = self_;
  cause.nr = nr("read");
  cause.args[0] = arg(pipe_);
  cause.fd_path = "/gone[";
  cause.received_ns = 5;
  links_.add(cause);
  add({task(1, "read", arg(pipe_))});
  EXPECT_EQ(found(), (Texts{"/gone["}));
}

TEST_F(FdLinksTest, AreBounded) {
  std::vector<kf_task> tasks(5000, task(1));
  for (std::size_t i = 0; i < tasks.size(); ++i)
    tasks[i] = task(static_cast<std::uint32_t>(i + 1), "read", i + 100'000);
  tasks.push_back(task(1, "read", arg(pipe_)));
  links_.add(std::span<const kf_task>(tasks));
  EXPECT_TRUE(found().empty());
}

}  // namespace
}  // namespace kflight::record
