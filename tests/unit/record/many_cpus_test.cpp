// SPDX-License-Identifier: Apache-2.0
//
// many_cpus_test.cpp - the recorder's side of a machine with as many CPUs as Linux can have: what leaves the window is
// known for every one of them, losses are told by CPU, and memory stays within its bounds.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "dump/base_state.hpp"
#include "record/descriptor_limit.hpp"
#include "record/loss_watch.hpp"
#include "record/window.hpp"
#include "support/chunk_builder.hpp"

namespace kflight::record {
namespace {

using namespace test;

constexpr kf_u16 kCpus = 8192;
constexpr kf_u32 kRounds = 4;

// Every CPU sends one chunk per round: its one thread goes and comes back. Thread N + 1 lives on CPU N.
BuiltChunk chunk_of(kf_u16 cpu, kf_u32 round) {
  ChunkBuilder lane(cpu, {.start = 1ms * (round + 1), .cur_tid = cpu + 1u, .seq = round, .events_before = 2ull * round});
  return lane.switch_to(0, KF_ST_SLEEP).after(10us).switch_to(cpu + 1u).build();
}

void append(Window& window, const BuiltChunk& chunk) {
  const auto bytes = chunk.bytes();
  window.append(bytes.data(), bytes.size());
}

TEST(ManyCpus, WindowKnowsWhereEachOneStands) {
  constexpr std::uint64_t kBytes = 1 << 20;
  auto window = Window::create({.max_bytes = kBytes, .min_age = 1h});
  ASSERT_TRUE(window);
  for (kf_u32 round = 0; round < kRounds; ++round)
    for (kf_u16 cpu = 0; cpu < kCpus; ++cpu) append(**window, chunk_of(cpu, round));

  const WindowStats stats = (*window)->stats();
  EXPECT_LE(stats.info.bytes, kBytes);
  EXPECT_EQ(stats.chunks_dropped, 0u);
  EXPECT_EQ(stats.events_evicted + stats.info.events, 2u * kRounds * kCpus);
  const WindowSnapshot snapshot = (*window)->pin();
  ASSERT_EQ(snapshot.base_lanes.size(), kCpus);
  EXPECT_EQ(snapshot.base_tasks.size(), kCpus);
  for (kf_u16 cpu = 0; cpu < kCpus; ++cpu) {
    const kf_base_lane& lane = snapshot.base_lanes[cpu];
    ASSERT_EQ(lane.lane, cpu);
    ASSERT_EQ(lane.cur_tid, cpu + 1u);
    ASSERT_EQ(lane.events_through, 2ull * lane.next_seq);
    ASSERT_EQ(snapshot.base_tasks[cpu].in_cpu, cpu);
  }
}

TEST(ManyCpus, LossesAreFoundOnTheLastOne) {
  LossWatch losses(kCpus);
  for (kf_u16 cpu = 0; cpu < kCpus; ++cpu) losses.see(chunk_of(cpu, 0).head);
  EXPECT_EQ(losses.totals().ring_events, 0u);
  losses.see(chunk_of(kCpus - 1, 3).head);  // two chunks of two events are missing
  EXPECT_EQ(losses.totals().ring_events, 4u);
}

TEST(ManyCpus, DescriptorsForTheirRingsMayBeOpened) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = std::min<rlim_t>(256, before.rlim_max);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_TRUE(allow_descriptors(1));
  rlimit now{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &now), 0);
  EXPECT_EQ(now.rlim_cur, low.rlim_cur);  // nothing to do
  if (before.rlim_max >= 4096) {
    EXPECT_TRUE(allow_descriptors(2048));
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &now), 0);
    EXPECT_GE(now.rlim_cur, 2048u);
  }
  const auto refused = allow_descriptors(1ull << 40);  // more than any kernel gives
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().what.find("LimitNOFILE"), std::string::npos);
  setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace kflight::record
