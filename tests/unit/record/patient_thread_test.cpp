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

#include "record/maps_keeper.hpp"
#include "record/waiting_stacks.hpp"

namespace kflight::record {
namespace {

using namespace std::chrono_literals;
using Place = PatientThread::Place;

constexpr auto kForEver = std::chrono::hours(1);
constexpr auto kShort = 10ms;

// What a stuck job waits for. The last copy that goes shows that the job has gone with all it owned.
struct Stuck {
  std::shared_ptr<std::latch> let_go = std::make_shared<std::latch>(1), began = std::make_shared<std::latch>(1);
  PatientThread::Job job() const {
    return [let_go = let_go, began = began] {
      began->count_down();
      let_go->wait();
    };
  }
  void end() const {
    let_go->count_down();
    while (let_go.use_count() > 1) std::this_thread::yield();
  }
};

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

// ------------------------------------------------------------------ mappings

const std::uint32_t kSelf = static_cast<std::uint32_t>(getpid());
constexpr std::uint32_t kChild = 4'000'001;

std::vector<kf_mapping> mappings(const MapsKeeper& maps, std::uint32_t tgid) { return maps.of({&tgid, 1}).mappings; }

// A process with one range, which begins where its number says; this one does not answer before it may.
CodeReader reader(std::function<void(std::uint32_t)> before) {
  const auto code = [before = std::move(before)](std::uint32_t tgid) {
    before(tgid);
    return std::vector{CodeRange{.begin = tgid, .end = tgid + 1, .file = {.inode = 1, .path = "/bin/it"}}};
  };
  return {.code = code, .build_id = [](std::uint32_t, const CodeRange&) { return BuildId(20); }};
}

TEST(MapsKeeper, WhoAsksForALookDoesNotWaitForIt) {
  const Stuck stuck;
  std::atomic<int> looks = 0;
  {
    PatientThread thread(kShort);
    MapsKeeper maps(thread, reader([block = stuck.job(), &looks](std::uint32_t tgid) {
                      ++looks;
                      if (tgid == 100) block();
                    }));
    maps.look(100, 1);
    stuck.began->wait();
    for (std::uint64_t i = 0; i < 100'000; ++i) maps.look(200, 2 + i);  // more than jobs may wait, if each were one
    const std::vector<kf_u64> frames{0x5000};
    kf_stack stack{};
    stack.tgid = 200;
    maps.saw(stack, frames, 5);
    maps.inherit(kChild, 100, 6);
    maps.forget_dead(7, 8);
    EXPECT_FALSE(thread.settle());
    EXPECT_TRUE(mappings(maps, 100).empty());
  }
  stuck.end();
  EXPECT_EQ(looks, 1) << "the others went with the keeper";
}

TEST(MapsKeeper, KnowsEachProcessOnceItHasAnswered) {
  const Stuck stuck;
  std::atomic<int> looks = 0;
  PatientThread thread(kForEver);
  MapsKeeper maps(thread, reader([block = stuck.job(), &looks](std::uint32_t tgid) {
                    ++looks;
                    if (tgid == 100) block();
                  }));
  maps.look(100, 1);
  stuck.began->wait();
  for (std::uint64_t i = 0; i < 10; ++i) maps.look(200, 20 + i);
  maps.inherit(kChild, 100, 30);
  stuck.let_go->count_down();
  EXPECT_TRUE(thread.settle());
  EXPECT_EQ(looks, 2) << "ten that asked for the same";
  ASSERT_EQ(mappings(maps, 100).size(), 1u);
  ASSERT_EQ(mappings(maps, 200).size(), 1u);
  EXPECT_EQ(mappings(maps, 200)[0].from_ns, 20u);
  ASSERT_EQ(mappings(maps, kChild).size(), 1u) << "of a parent that was being looked at";
  EXPECT_EQ(mappings(maps, kChild)[0].begin, 100u);
}

// It looks again after an exec, although a look goes on.
TEST(MapsKeeper, ALookThatHasBegunIsNotTakenForALaterOne) {
  const Stuck stuck;
  std::atomic<int> looks = 0;
  PatientThread thread(kForEver);
  MapsKeeper maps(thread, reader([block = stuck.job(), &looks](std::uint32_t) {
                    if (++looks == 1) block();
                  }));
  maps.look(100, 1);
  stuck.began->wait();
  maps.look(100, 2);
  stuck.let_go->count_down();
  EXPECT_TRUE(thread.settle());
  EXPECT_EQ(looks, 2);
}

TEST(MapsKeeper, LooksOnlySoOftenInASecondForStacks) {
  std::atomic<int> looks = 0;
  PatientThread thread(kForEver);
  MapsKeeper maps(thread, reader([&](std::uint32_t) { ++looks; }));
  for (std::uint32_t tgid = 1; tgid <= 1000; ++tgid) {
    kf_stack stack{};
    stack.tgid = tgid;
    maps.saw(stack, {}, 1'000'000'000'000 + tgid);
  }
  EXPECT_TRUE(thread.settle());
  EXPECT_EQ(looks, 200);
}

TEST(MapsKeeper, ReadsTheBuildIdOfAFileOnce) {
  std::atomic<int> ids = 0;
  PatientThread thread(kForEver);
  CodeReader counting = reader([](std::uint32_t) {});
  counting.build_id = [&](std::uint32_t, const CodeRange&) {
    ++ids;
    return BuildId(20);
  };
  MapsKeeper maps(thread, counting);
  for (std::uint32_t tgid = 1; tgid <= 10; ++tgid) maps.look(tgid, tgid);
  EXPECT_TRUE(thread.settle());
  EXPECT_EQ(ids, 1);
  EXPECT_EQ(maps.of({&kSelf, 1}).files.count(), 1u);
}

TEST(MapsKeeper, ReadsThisProcess) {
  PatientThread thread(kForEver);
  MapsKeeper maps(thread);
  maps.look(kSelf, 1);
  EXPECT_TRUE(thread.settle());
  const auto here = reinterpret_cast<std::uint64_t>(&waiter);
  EXPECT_TRUE(std::ranges::any_of(mappings(maps, kSelf), [&](const auto& m) { return m.begin <= here && here < m.end; }));
}

}  // namespace
}  // namespace kflight::record
