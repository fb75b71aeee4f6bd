// SPDX-License-Identifier: Apache-2.0
//
// The user stack of a thread that sleeps, read from outside: this process reads its own.
#include "record/waiting_stacks.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace kflight::record {
namespace {

// A stack as frame pointers make it: three frames, the innermost first, in memory of this process.
struct FakeStack {
  std::array<kf_u64, 64> words{};
  kf_waiter waiter{};

  FakeStack() {
    link(8, 20, 0x7f0000005001);
    link(20, 40, 0x7f0000005002);
    link(40, 0, 0x7f0000005003);
    waiter = {.tid = 1, .tgid = static_cast<kf_u32>(getpid()), .switches = 7, .space = 99, .ip = 0x7f0000005000, .sp = at(4),
              .fp = at(8), .text = 0x7f0000005000, .text_end = 0x7f0000006000};
  }
  kf_u64 at(std::size_t word) const { return reinterpret_cast<kf_u64>(&words[word]); }
  void link(std::size_t frame, std::size_t caller, kf_u64 address) {
    words[frame] = caller == 0 ? 0 : at(caller);
    words[frame + 1] = address;
  }
  std::vector<kf_u64> read(std::uint32_t max_frames = KF_STACK_FRAMES) {
    const auto record = read_user_stack(waiter, max_frames);
    if (record.empty()) return {};
    std::memcpy(&head, record.data(), sizeof head);
    std::vector<kf_u64> all(std::size_t{head.frames} + head.tops);
    EXPECT_EQ(record.size(), sizeof head + all.size() * sizeof(kf_u64));
    std::memcpy(all.data(), record.data() + sizeof head, all.size() * sizeof(kf_u64));
    return all;
  }
  kf_stack head{};
};

TEST(WaitingStacks, FollowsFramePointersAndNotesWhatIsNearTheTop) {
  FakeStack stack;
  const auto words = stack.read();
  ASSERT_EQ(stack.head.frames, 4u);
  EXPECT_EQ(std::vector(words.begin(), words.begin() + 4), (std::vector<kf_u64>{0x7f0000005000, 0x7f0000005001, 0x7f0000005002, 0x7f0000005003}));
  ASSERT_GE(stack.head.tops, 3u);
  EXPECT_EQ(words[4], kf_pack_top(5, 0x7f0000005001));
  EXPECT_EQ(stack.head.flags, KF_STACK_USER);
  kf_u64 id = 99;
  for (const kf_u64 word : words) id = kf_stack_mix(id, word);
  EXPECT_EQ(stack.head.id, id) << "named as the kernel side names it";
}

TEST(WaitingStacks, EndsWhereFramesDoNotLeadUpwards) {
  FakeStack stack;
  stack.link(20, 8, 0x7f0000005002);
  stack.read();
  EXPECT_EQ(stack.head.frames, 3u);
}

TEST(WaitingStacks, TakesAsManyFramesAsThereMayBe) {
  FakeStack stack;
  stack.read(2);
  EXPECT_EQ(stack.head.frames, 2u);
  EXPECT_TRUE(stack.head.flags & KF_STACK_TRUNCATED);
}

TEST(WaitingStacks, FramePointerThatIsNoneGivesTheInnermostAddress) {
  FakeStack stack;
  stack.waiter.fp = 12345;
  stack.read();
  EXPECT_EQ(stack.head.frames, 1u);
}

TEST(WaitingStacks, WithoutAUserSideOrMemoryThereIsNoStack) {
  FakeStack stack;
  stack.waiter.sp = 0x10;
  EXPECT_TRUE(stack.read().empty());
  stack.waiter.ip = 0;
  EXPECT_TRUE(stack.read().empty());
}

TEST(WaitingStacks, CountOnlyWhenTheThreadHasNotRun) {
  FakeStack stack;
  const auto counts = [&](kf_task task) {
    task.tid = task.tid ? task.tid : 1;
    return still_waiting({{stack.waiter, {}}}, {&task, 1}).size() == 1;
  };
  EXPECT_TRUE(counts({.nvcsw = 5, .nivcsw = 2}));
  EXPECT_FALSE(counts({.nvcsw = 6, .nivcsw = 2}));
  EXPECT_FALSE(counts({.flags = KF_TASK_ON_CPU, .nvcsw = 5, .nivcsw = 2}));
  EXPECT_FALSE(counts({.tid = 2, .nvcsw = 5, .nivcsw = 2}));
}

}  // namespace
}  // namespace kflight::record
