// SPDX-License-Identifier: Apache-2.0
//
// A process that keeps its memory locked, as a reader that returns when the test lets it: nobody who asks is kept.
#include "record/patient_thread.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <latch>

#include "record/waiting_stacks.hpp"
#include "support/stuck_job.hpp"

namespace kflight::record {
namespace {

using namespace std::chrono_literals;
using Place = PatientThread::Place;
using test::Stuck;

constexpr auto kForEver = std::chrono::hours(1);
constexpr auto kShort = 10ms;

TEST(PatientThread, DoesOneAfterTheOther) {
  PatientThread thread(kForEver);
  std::vector<int> done;
  EXPECT_TRUE(thread.post([&] { done.push_back(1); }));
  EXPECT_TRUE(thread.post([&] { done.push_back(2); }));
  EXPECT_TRUE(thread.settle());
  EXPECT_EQ(done, (std::vector{1, 2}));
}

// Returns when that thread sleeps.
void wait_until_asleep(const std::atomic<pid_t>& tid) {
  for (char state = 0; state != 'S'; std::this_thread::yield()) {
    if (tid == 0) continue;
    std::ifstream stat(fmt::format("/proc/self/task/{}/stat", tid.load()));
    std::string line;
    std::getline(stat, line);
    state = line.at(line.rfind(')') + 2);
  }
}

TEST(PatientThread, AnUrgentJobComesBeforeThoseThatWait) {
  PatientThread thread(kForEver);
  const Stuck stuck;
  std::vector<int> done;
  thread.post(stuck.job());
  stuck.began->wait();
  thread.post([&] { done.push_back(2); });
  std::atomic<pid_t> tid = 0;
  std::thread in_a_hurry([&] {
    tid = gettid();
    EXPECT_TRUE(thread.finish([&] { done.push_back(1); }, Place::kFirst));
  });
  wait_until_asleep(tid);
  stuck.let_go->count_down();
  in_a_hurry.join();
  EXPECT_TRUE(thread.settle());
  EXPECT_EQ(done, (std::vector{1, 2}));
}

TEST(PatientThread, BeginsWithWhatItIsTold) {
  std::thread::id on_start, on_job;
  {
    PatientThread thread(kForEver, [&] { on_start = std::this_thread::get_id(); });
    EXPECT_NE(on_start, std::thread::id());
    thread.finish([&] { on_job = std::this_thread::get_id(); }, Place::kLast);
  }
  EXPECT_EQ(on_start, on_job);
}

TEST(PatientThread, NobodyIsKeptByAJobThatIsStuck) {
  const Stuck stuck;
  std::atomic<int> done = 0;
  {
    PatientThread thread(kShort);
    thread.post(stuck.job());
    stuck.began->wait();
    EXPECT_FALSE(thread.finish([&] { ++done; }, Place::kFirst));
    for (int i = 0; i < 1000; ++i) EXPECT_FALSE(thread.settle()) << "at once: else this takes 10 s";
    thread.post([&] { ++done; });
  }
  stuck.end();
  EXPECT_EQ(done, 0) << "after its end, or after nobody waits any more";
}

TEST(PatientThread, GoesOnWhenAJobComesLooseAgain) {
  PatientThread thread(kShort);
  const Stuck stuck;
  thread.post(stuck.job());
  stuck.began->wait();
  EXPECT_FALSE(thread.settle());
  std::latch done(1);
  EXPECT_TRUE(thread.post([&] { done.count_down(); }));
  stuck.end();
  done.wait();
}

TEST(PatientThread, TakesOnlySoManyJobs) {
  PatientThread thread(kShort);
  const Stuck stuck;
  thread.post(stuck.job());
  std::size_t taken = 0;
  while (taken < 1'000'000 && thread.post([] {})) ++taken;
  EXPECT_LT(taken, 100'000u);
  stuck.end();
}

TEST(PatientThread, WhatWaitsIsDroppedWithWhatItOwns) {
  const auto owned = std::make_shared<int>(1);
  const Stuck stuck;
  {
    PatientThread thread(kShort);
    thread.post(stuck.job());
    thread.post([owned] {});
    EXPECT_FALSE(thread.finish([owned] {}, Place::kLast));
  }
  EXPECT_EQ(owned.use_count(), 1);
  stuck.end();
}

// ------------------------------------------------------------------ stacks of waits

kf_waiter waiter(kf_u32 tid, kf_u32 tgid) { return {.tid = tid, .tgid = tgid, .kernel = tid * 10}; }

TEST(PatientThread, ADumpGoesWithoutTheStacksOfAProcessThatLetsNobodyRead) {
  const Stuck stuck;
  const std::vector<kf_waiter> waiters{waiter(1, 100), waiter(2, 200), waiter(3, 300)};
  {
    PatientThread thread(kShort);
    const auto stacks = read_waiting_stacks(thread, waiters, [block = stuck.job()](const kf_waiter& of) {
      if (of.tgid == 200) block();
      return std::vector<std::byte>(of.tid);
    });
    ASSERT_EQ(stacks.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(stacks[i].waiter.kernel, waiters[i].kernel) << "what the kernel told stays";
    EXPECT_TRUE(stacks[1].user.empty());
    EXPECT_TRUE(stacks[2].user.empty());
  }
  stuck.end();
}

TEST(PatientThread, TheNextDumpGoesWithoutThemToo) {
  const Stuck stuck;
  std::atomic<int> reads = 0;
  {
    PatientThread thread(kShort);
    thread.post(stuck.job());
    stuck.began->wait();
    for (int i = 0; i < 1000; ++i) {
      const auto stacks = read_waiting_stacks(thread, std::vector{waiter(1, 100)}, [&](const kf_waiter&) {
        ++reads;
        return std::vector<std::byte>(1);
      });
      ASSERT_EQ(stacks.size(), 1u);
      EXPECT_TRUE(stacks[0].user.empty());
    }
  }
  stuck.end();
  EXPECT_EQ(reads, 0);
}

TEST(PatientThread, ADumpHasAllStacksOfProcessesThatAnswer) {
  PatientThread thread(kForEver);
  const auto stacks = read_waiting_stacks(thread, std::vector{waiter(1, 100), waiter(2, 200)},
                                          [](const kf_waiter& of) { return std::vector<std::byte>(of.tid); });
  ASSERT_EQ(stacks.size(), 2u);
  EXPECT_EQ(stacks[0].user.size(), 1u);
  EXPECT_EQ(stacks[1].user.size(), 2u);
}

}  // namespace
}  // namespace kflight::record
