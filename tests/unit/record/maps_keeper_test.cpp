// SPDX-License-Identifier: Apache-2.0
//
// Looks at processes that answer, at one that does not, and at too many.
#include "record/maps_keeper.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "support/stuck_job.hpp"

namespace kflight::record {
namespace {

using test::Stuck;

constexpr std::chrono::nanoseconds kAMoment = std::chrono::milliseconds(10), kAnHour = std::chrono::hours(1);
const std::uint32_t kThis = static_cast<std::uint32_t>(getpid());
constexpr std::uint32_t kChild = 4'000'001;

std::vector<kf_mapping> mappings(const MapsKeeper& maps, std::uint32_t tgid) { return maps.of({&tgid, 1}).mappings; }

// Processes with one range each, which begins where their number says. Counts the looks; `block` may keep one waiting.
CodeReader reader(std::atomic<int>& looks, std::function<void(std::uint32_t)> block = {}) {
  const auto code = [&looks, block = std::move(block)](std::uint32_t tgid) {
    ++looks;
    if (block) block(tgid);
    return std::vector{CodeRange{.begin = tgid, .end = tgid + 1, .file = {.inode = 1, .path = "/bin/it"}}};
  };
  return {.code = code, .build_id = [](std::uint32_t, const CodeRange&) { return BuildId(20); }};
}

// Of these processes the first one does not let itself be looked at.
constexpr std::uint32_t kStuck = 100, kOther = 200;
std::function<void(std::uint32_t)> only_at_the_first(const Stuck& stuck) {
  return [block = stuck.job()](std::uint32_t tgid) {
    if (tgid == kStuck) block();
  };
}

TEST(MapsKeeper, WhoAsksForALookDoesNotWaitForIt) {
  const Stuck stuck;
  std::atomic<int> looks = 0;
  {
    PatientThread thread(kAMoment);
    MapsKeeper maps(thread, reader(looks, only_at_the_first(stuck)));
    maps.look(kStuck, 1);
    stuck.began->wait();
    for (std::uint64_t i = 0; i < 100'000; ++i) maps.look(kOther, 2 + i);  // more than jobs may wait, if each were one
    const std::vector<kf_u64> frames{0x5000};
    kf_stack stack{};
    stack.tgid = kOther;
    maps.saw(stack, frames, 5);
    maps.inherit(kChild, kStuck, 6);
    maps.forget_dead(7, 8);
    EXPECT_FALSE(thread.settle());
    EXPECT_TRUE(mappings(maps, kStuck).empty());
  }
  stuck.end();
  EXPECT_EQ(looks, 1) << "the others went with the keeper";
}

TEST(MapsKeeper, KnowsEachProcessOnceItHasAnswered) {
  const Stuck stuck;
  std::atomic<int> looks = 0;
  PatientThread thread(kAnHour);
  MapsKeeper maps(thread, reader(looks, only_at_the_first(stuck)));
  maps.look(kStuck, 1);
  stuck.began->wait();
  for (std::uint64_t i = 0; i < 10; ++i) maps.look(kOther, 20 + i);
  maps.inherit(kChild, kStuck, 30);
  stuck.let_go->count_down();
  EXPECT_TRUE(thread.settle());
  EXPECT_EQ(looks, 2) << "ten that asked for the same";
  ASSERT_EQ(mappings(maps, kStuck).size(), 1u);
  ASSERT_EQ(mappings(maps, kOther).size(), 1u);
  EXPECT_EQ(mappings(maps, kOther)[0].from_ns, 20u);
  ASSERT_EQ(mappings(maps, kChild).size(), 1u) << "of a parent that was being looked at";
  EXPECT_EQ(mappings(maps, kChild)[0].begin, kStuck);
}

// It looks again after an exec, although a look goes on.
TEST(MapsKeeper, ALookThatHasBegunIsNotTakenForALaterOne) {
  const Stuck stuck;
  std::atomic<int> looks = 0;
  PatientThread thread(kAnHour);
  MapsKeeper maps(thread, reader(looks, [block = stuck.job(), &looks](std::uint32_t) {
                    if (looks == 1) block();
                  }));
  maps.look(kStuck, 1);
  stuck.began->wait();
  maps.look(kStuck, 2);
  stuck.let_go->count_down();
  EXPECT_TRUE(thread.settle());
  EXPECT_EQ(looks, 2);
}

TEST(MapsKeeper, LooksOnlySoOftenInASecondForStacks) {
  std::atomic<int> looks = 0;
  PatientThread thread(kAnHour);
  MapsKeeper maps(thread, reader(looks));
  for (std::uint32_t tgid = 1; tgid <= 1000; ++tgid) {
    kf_stack stack{};
    stack.tgid = tgid;
    maps.saw(stack, {}, 1'000'000'000'000 + tgid);
  }
  EXPECT_TRUE(thread.settle());
  EXPECT_EQ(looks, 200);
}

TEST(MapsKeeper, ReadsTheBuildIdOfAFileOnce) {
  std::atomic<int> looks = 0, ids = 0;
  PatientThread thread(kAnHour);
  CodeReader counting = reader(looks);
  counting.build_id = [&](std::uint32_t, const CodeRange&) {
    ++ids;
    return BuildId(20);
  };
  MapsKeeper maps(thread, counting);
  for (std::uint32_t tgid = 1; tgid <= 10; ++tgid) maps.look(tgid, tgid);
  EXPECT_TRUE(thread.settle());
  EXPECT_EQ(looks, 10);
  EXPECT_EQ(ids, 1);
  EXPECT_EQ(maps.of({&kThis, 1}).files.count(), 1u);
}

TEST(MapsKeeper, ReadsThisProcess) {
  PatientThread thread(kAnHour);
  MapsKeeper maps(thread);
  maps.look(kThis, 1);
  EXPECT_TRUE(thread.settle());
  const auto here = reinterpret_cast<std::uint64_t>(&only_at_the_first);
  EXPECT_TRUE(std::ranges::any_of(mappings(maps, kThis), [&](const auto& m) { return m.begin <= here && here < m.end; }));
}

}  // namespace
}  // namespace kflight::record
