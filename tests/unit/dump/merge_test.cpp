// SPDX-License-Identifier: Apache-2.0
//
// The merger: order within and between CPUs, holes in the numbering, and chunks that no recorder would write.
#include "dump/merge.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <tuple>
#include <vector>

#include "support/chunk_builder.hpp"

namespace kflight::dump {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<ChunkRef> refs(const std::vector<BuiltChunk>& chunks) {
  std::vector<ChunkRef> out;
  for (const auto& chunk : chunks) out.push_back({&chunk.head, chunk.words});
  return out;
}

std::vector<Event> drain(Merger merger) {
  std::vector<Event> events;
  for (Event event; merger.next(event);) events.push_back(event);
  return events;
}

std::vector<Event> merge(const std::vector<BuiltChunk>& chunks, const std::vector<kf_base_lane>& lanes = {}) {
  return drain(Merger(refs(chunks), lanes));
}

// The wakees of the WAKEUP events, in order: the tests number their events with them.
std::vector<std::uint32_t> wakees(const std::vector<Event>& events) {
  std::vector<std::uint32_t> out;
  for (const auto& event : events) visit(event, [&](const WakeupEvent& e) { out.push_back(e.wakee); });
  return out;
}

std::vector<LossEvent> losses(const std::vector<Event>& events) {
  std::vector<LossEvent> out;
  for (const auto& event : events) visit(event, [&](const LossEvent& e) { out.push_back(e); });
  return out;
}

kf_base_lane base_lane(kf_u16 lane, kf_u32 next_seq, kf_u64 events_through, kf_u64 through_ns, kf_u64 nested = 0) {
  kf_base_lane base{};
  base.lane = lane;
  base.known = 1;
  base.next_seq = next_seq;
  base.events_through = events_through;
  base.through_ns = through_ns;
  base.nested_through = nested;
  return base;
}

TEST(Merge, NoChunksNoEvents) { EXPECT_THAT(merge({}), IsEmpty()); }

TEST(Merge, InterleavesLanesByTime) {
  const auto events = merge({ChunkBuilder(0).at(1us).wakeup(1, 0).at(3us).wakeup(3, 0).at(6us).wakeup(6, 0).build(),
                             ChunkBuilder(1).at(2us).wakeup(2, 0).at(4us).wakeup(4, 0).at(5us).wakeup(5, 0).build()});
  EXPECT_THAT(wakees(events), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(Merge, EqualTimesGoByCauseAcrossLanes) {
  const auto events =
      merge({ChunkBuilder(0).at(1us).switch_to(4).build(), ChunkBuilder(1).at(1us).migrate(4, 1, 0).build(),
             ChunkBuilder(2).at(1us).wakeup(4, 1).build(), ChunkBuilder(3).at(1us).waking(4).build(),
             ChunkBuilder(4).at(1us).fork(1, 4, 4).build()});
  ASSERT_EQ(events.size(), 5u);
  EXPECT_TRUE(std::holds_alternative<ForkEvent>(events[0]));
  EXPECT_TRUE(std::holds_alternative<WakingEvent>(events[1]));
  EXPECT_TRUE(std::holds_alternative<WakeupEvent>(events[2]));
  EXPECT_TRUE(std::holds_alternative<MigrateEvent>(events[3]));
  EXPECT_TRUE(std::holds_alternative<SwitchEvent>(events[4]));
}

TEST(Merge, EqualTimesWithinALaneKeepTheirOrder) {
  const auto events = merge({ChunkBuilder(0).at(1us).switch_to(4).waking(5).fork(4, 6, 6).build()});
  EXPECT_TRUE(std::holds_alternative<SwitchEvent>(events.at(0)));
  EXPECT_TRUE(std::holds_alternative<WakingEvent>(events.at(1)));
  EXPECT_TRUE(std::holds_alternative<ForkEvent>(events.at(2)));
}

TEST(Merge, ChunkOrderBeatsTimesWithinALane) {
  ChunkBuilder lane(0);
  const auto first = lane.at(10us).wakeup(1, 0).build();
  auto second = lane.wakeup(2, 0).build();
  second.head.base_ns -= 500;  // a clock that stepped back
  const auto events = merge({first, second, ChunkBuilder(1).at(9'800ns).wakeup(3, 0).build()});
  EXPECT_THAT(wakees(events), ElementsAre(3, 1, 2));
  EXPECT_EQ(head(events[2]).ts_ns, 10'000u);
}

TEST(Merge, NestedEventGoesIntoTheMiddleOfTheChunkItInterrupted) {
  ChunkBuilder lane(0);
  const auto nested = ChunkBuilder(0, {.cur_tid = 9}).at(2us).nested(0).wakeup(2, 0).build();
  const auto events = merge({nested, lane.nested_before(1).at(1us).wakeup(1, 0).at(3us).wakeup(3, 0).build()});
  EXPECT_THAT(wakees(events), ElementsAre(1, 2, 3));
  EXPECT_TRUE(head(events[1]).nested);
  EXPECT_EQ(head(events[1]).tid, 9u);
  EXPECT_EQ(events.size(), 3u) << "no loss";
}

TEST(Merge, GapInNumbersIsALossWithExactCountAndTimes) {
  ChunkBuilder lane(0);
  const auto first = lane.at(1us).wakeup(1, 0).build();
  lane.at(2us).wakeup(2, 0).at(3us).wakeup(3, 0).build();
  lane.at(4us).wakeup(4, 0).build();
  const auto last = lane.at(5us).wakeup(5, 0).build();
  const auto events = merge({first, last});
  ASSERT_EQ(events.size(), 3u);
  const auto& loss = std::get<LossEvent>(events[1]);
  EXPECT_EQ(loss.from_ns, 1'000u);
  EXPECT_EQ(loss.ts_ns, 5'000u);
  EXPECT_EQ(loss.count, 3u);
  EXPECT_EQ(loss.reason, 0);
  EXPECT_THAT(wakees(events), ElementsAre(1, 5));
}

TEST(Merge, BaseLaneSaysWhatTheFirstChunkFollows) {
  const auto chunk = ChunkBuilder(0, {.seq = 7, .events_before = 100}).at(5us).wakeup(1, 0).build();
  EXPECT_THAT(losses(merge({chunk}, {base_lane(0, 7, 100, 3'000)})), IsEmpty());
  const auto missing = losses(merge({chunk}, {base_lane(0, 5, 60, 3'000)}));
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].count, 40u);
  EXPECT_EQ(missing[0].from_ns, 3'000u);
  EXPECT_EQ(missing[0].ts_ns, 5'000u);
}

TEST(Merge, LaneWithoutBaseBeginsWithTheRecording) {
  const auto missing = losses(merge({ChunkBuilder(0, {.seq = 2, .events_before = 30}).at(5us).wakeup(1, 0).build()}));
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].count, 30u);
  EXPECT_EQ(missing[0].from_ns, 0u);
}

TEST(Merge, NumbersWrap) {
  ChunkBuilder lane(0, {.seq = 0xffffffff, .events_before = 9});
  const auto before = lane.at(1us).wakeup(1, 0).build();
  const auto after = lane.at(2us).wakeup(2, 0).build();
  EXPECT_EQ(after.head.seq, 0u);
  const auto events = merge({before, after}, {base_lane(0, 0xffffffff, 9, 0)});
  EXPECT_THAT(losses(events), IsEmpty());
  EXPECT_THAT(wakees(events), ElementsAre(1, 2));
}

TEST(Merge, LostNestedEventsAreCounted) {
  const auto nested = [](kf_u64 number, Nanos time) {
    return ChunkBuilder(0).at(time).nested(number).wakeup(50 + kf_u32(number), 0).build();
  };
  ChunkBuilder lane(0);
  const auto first = lane.at(1us).wakeup(1, 0).nested_before(5).build();
  const auto second = lane.at(9us).wakeup(2, 0).nested_before(8).build();
  // 4 was lost before the first chunk left, 6 and 7 between the two; 8 came in time, 9 was lost, 10 is the last.
  const auto events =
      merge({nested(4, 500ns), first, nested(5, 2us), nested(7, 5us), second, nested(8, 10us), nested(10, 12us)},
            {base_lane(0, 0, 0, 100, 3)});
  const auto missing = losses(events);
  ASSERT_EQ(missing.size(), 3u);
  const std::tuple<std::uint64_t, std::uint64_t, std::uint64_t> expected[] = {
      {100, 1'000, 1}, {1'000, 9'000, 1}, {9'000, 12'000, 1}};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(std::tuple(missing[i].from_ns, missing[i].ts_ns, missing[i].count), expected[i]);
    EXPECT_EQ(missing[i].reason, 1);
  }
}

TEST(Merge, NestedEventThatOvertookItsChunkIsNoLoss) {
  ChunkBuilder lane(0);
  const auto chunk = lane.at(1us).wakeup(1, 0).nested_before(0).build();
  const auto nested = ChunkBuilder(0).at(2us).nested(0).wakeup(2, 0).build();
  EXPECT_THAT(losses(merge({nested, chunk})), IsEmpty());
}

TEST(Merge, HoleBehindDamageIsTheFilesFault) {
  ChunkBuilder lane(0);
  const std::vector<BuiltChunk> chunks = {lane.at(1us).wakeup(1, 0).build(),
                                          (lane.at(2us).wakeup(2, 0).build(), lane.at(3us).wakeup(3, 0).build())};
  auto parts = refs(chunks);
  parts[1].damage_before = 1;
  const auto missing = losses(drain(Merger(parts, {})));
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].reason, 2);
  EXPECT_EQ(missing[0].count, 1u);
}

TEST(Merge, StartOfALaneThatDamageHidesIsNotCounted) {
  const auto chunk = ChunkBuilder(0, {.seq = 9, .events_before = 1000}).at(1us).wakeup(1, 0).build();
  const auto missing = losses(drain(Merger({{&chunk.head, chunk.words, 1}}, {})));
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].reason, 2);
  EXPECT_EQ(missing[0].count, 0u);
}

TEST(Merge, DamageInsideAChunkIsALossOfItsRest) {
  ChunkBuilder lane(0);
  auto broken = lane.at(1us).wakeup(1, 0).at(2us).wakeup(2, 0).at(3us).wakeup(3, 0).build();
  broken.words[1] = 0;
  const auto events = merge({broken, lane.at(4us).wakeup(4, 0).build()});
  EXPECT_THAT(wakees(events), ElementsAre(1, 4));
  const auto missing = losses(events);
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].reason, 2);
  EXPECT_EQ(missing[0].count, 2u);
  EXPECT_EQ(missing[0].from_ns, 1'000u);
  EXPECT_EQ(missing[0].ts_ns, 3'000u);
}

TEST(Merge, ShuffledChunksOfALaneAreSorted) {
  ChunkBuilder lane(0);
  const auto a = lane.at(1us).wakeup(1, 0).build();
  const auto b = lane.at(2us).wakeup(2, 0).build();
  const auto c = lane.at(3us).wakeup(3, 0).build();
  const auto events = merge({c, a, b});
  EXPECT_THAT(wakees(events), ElementsAre(1, 2, 3));
  EXPECT_THAT(losses(events), IsEmpty());
}

TEST(Merge, SecondChunkOfANumberIsLeftOut) {
  ChunkBuilder lane(0);
  const std::vector<BuiltChunk> chunks = {lane.at(1us).wakeup(1, 0).build(), lane.at(2us).wakeup(2, 0).build(),
                                          ChunkBuilder(0, {.seq = 1}).at(3us).wakeup(9, 0).build()};
  Merger merger(refs(chunks), {});
  EXPECT_EQ(merger.duplicate_chunks(), 1u);
  EXPECT_THAT(wakees(drain(std::move(merger))), ElementsAre(1, 2));
}

TEST(Merge, WildHeadersStillEndInAnOrderedStream) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<BuiltChunk> chunks;
    std::vector<kf_base_lane> lanes;
    std::size_t words = 0;
    for (int i = 0; i < 20; ++i) {
      auto chunk =
          ChunkBuilder(kf_u16(random() % 3)).at(Nanos(random() % 5000)).wakeup(1, 0).after(5ns).waking(2).build();
      chunk.head.seq = kf_u32(random());
      chunk.head.flags = kf_u16(random() % 2);
      if (random() % 2) chunk.head.base_ns = random();
      chunk.head.last_ns = random();
      chunk.head.events_before = random();
      chunk.head.nested_before = random() % 40;
      chunk.head.n_words = kf_u16(random() % 5);
      if (random() % 4 == 0) chunk.words[0] = random();
      words += chunk.words.size();
      chunks.push_back(chunk);
      lanes.push_back(base_lane(kf_u16(random()), kf_u32(random()), random(), random(), random()));
    }
    const auto events = merge(chunks, lanes);
    EXPECT_LE(events.size(), words + 4 * chunks.size());
    EXPECT_TRUE(std::is_sorted(events.begin(), events.end(),
                               [](const auto& a, const auto& b) { return head(a).ts_ns < head(b).ts_ns; }));
  }
}

// Many lanes, events at random times: the stream is what sorting all of them gives.
TEST(Merge, AgreesWithSorting) {
  std::mt19937_64 random(3);
  std::vector<BuiltChunk> chunks;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> expected;
  std::uint32_t number = 0;
  for (kf_u16 cpu = 0; cpu < 37; ++cpu) {
    ChunkBuilder lane(cpu);
    std::uint64_t now = random() % 1000;
    for (int i = 0; i < 5; ++i) {
      for (int k = 0; k < 50; ++k) {
        now += 37 + 37 * (random() % 1000);  // one CPU each for a residue class: all times differ
        lane.at(Nanos(now - now % 37 + cpu)).wakeup(++number, 0);
        expected.push_back({now - now % 37 + cpu, number});
      }
      chunks.push_back(lane.build());
    }
  }
  std::sort(expected.begin(), expected.end());
  const auto events = merge(chunks);
  ASSERT_EQ(events.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(head(events[i]).ts_ns, expected[i].first);
    EXPECT_EQ(std::get<WakeupEvent>(events[i]).wakee, expected[i].second);
  }
}

}  // namespace
}  // namespace kflight::dump
