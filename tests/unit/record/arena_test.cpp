// SPDX-License-Identifier: Apache-2.0
//
// arena_test.cpp - memory goes back to the system when nobody needs it, and the log of drops stays small.
#include "record/arena.hpp"

#include <gtest/gtest.h>

#include "record/drop_log.hpp"

namespace kflight::record {
namespace {

constexpr std::uint64_t kSmall = Arena::kSmallestBytes;

TEST(Arena, DroppedPagesComeBackEmptyAndSurplusEndsAtTheWindowsSize) {
  auto arena = Arena::create(kSmall);
  ASSERT_TRUE(arena);
  std::vector<Arena::SegmentId> taken;
  while (const auto id = arena->take()) {
    arena->segment(*id).front() = std::byte{1};
    taken.push_back(*id);
  }
  EXPECT_EQ(taken.size(), 2 * arena->window_segments());
  for (const auto id : taken) arena->give_back(id);
  std::size_t dropped = 0;
  while (const auto id = arena->take_surplus()) {
    Arena::drop_pages(arena->segment(*id));
    EXPECT_EQ(arena->segment(*id).front(), std::byte{0});
    arena->give_back_cold(*id);
    ++dropped;
  }
  EXPECT_EQ(dropped, arena->window_segments());
  EXPECT_EQ(arena->segments_in_use(), 0u);
}

TEST(DropLog, OneEntryPerLaneAndEpisodeAndBounded) {
  DropLog log;
  kf_chunk chunk{.lane = 3, .base_ns = 100, .last_ns = 200, .n_events = 5};
  log.add(chunk);
  chunk.base_ns = 200, chunk.last_ns = 300;
  log.add(chunk);
  ASSERT_EQ(log.since(0).size(), 1u);
  EXPECT_EQ(log.since(0)[0].from_ns, 100u);
  EXPECT_EQ(log.since(0)[0].to_ns, 300u);
  EXPECT_EQ(log.since(0)[0].count, 10u);
  log.end_episode();
  log.add(chunk);
  EXPECT_EQ(log.since(0).size(), 2u);
  EXPECT_TRUE(log.since(301).empty());
  for (int i = 0; i < 5000; ++i) {
    log.end_episode();
    log.add(chunk);
  }
  EXPECT_LE(log.since(0).size(), 1024u);
}

}  // namespace
}  // namespace kflight::record
