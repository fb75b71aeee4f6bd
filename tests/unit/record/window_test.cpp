// SPDX-License-Identifier: Apache-2.0
//
// window_test.cpp - what stays in the window, what leaves it and where that goes; pins while recording goes on. Chunks
// here hold one-word wakeups; the words and the numbers in the header tell each chunk from every other.
#include "record/window.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <map>
#include <random>
#include <thread>

namespace kflight::record {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kSmall = Arena::kSmallestBytes;  // 8 segments of 8 KiB

struct Record {
  kf_chunk head{};
  std::array<kf_u64, KF_CHUNK_WORDS + KF_EVENT_WORDS_MAX> words{};
  std::size_t bytes() const { return sizeof head + head.n_words * sizeof(kf_u64); }
};

// What stands at word `i` of a chunk: differs between neighbours, and from chunk to chunk.
kf_u64 nth_word(const kf_chunk& chunk, std::uint64_t i) {
  return kf_pack_wakeup(1000, static_cast<kf_u32>((std::uint64_t{7} * chunk.seq + i) % 50), chunk.lane, 0, 0);
}

// Makes chunks of a few lanes as the kernel would: numbered, 1 us per event.
class Kernel {
 public:
  Record chunk(kf_u16 lane, kf_u16 n_words) {
    auto& sent = lanes_[lane];
    Record record;
    record.head = {
        .magic = KF_CHUNK_MAGIC, .lane = lane, .n_words = n_words, .seq = sent.chunks++, .cur_tid = lane + 1u};
    record.head.base_ns = now_ns_;
    now_ns_ += std::uint64_t{1000} * n_words;
    record.head.last_ns = now_ns_;
    record.head.events_before = std::exchange(sent.events, sent.events + n_words);
    record.head.n_events = record.head.n_hits = n_words;
    for (std::size_t i = 0; i < n_words; ++i) record.words[i] = nth_word(record.head, i);
    return record;
  }
  void sleep(std::chrono::nanoseconds time) { now_ns_ += static_cast<std::uint64_t>(time.count()); }
  std::uint64_t now_ns() const { return now_ns_; }
  std::uint64_t events(kf_u16 lane) { return lanes_[lane].events; }

 private:
  struct Sent {
    kf_u32 chunks = 0;
    std::uint64_t events = 0;
  };
  std::map<kf_u16, Sent> lanes_;
  std::uint64_t now_ns_ = 1'000'000;
};

std::unique_ptr<Window> make_window(std::uint64_t max_bytes = kSmall, std::chrono::nanoseconds min_age = 1h) {
  auto window = Window::create({.max_bytes = max_bytes, .min_age = min_age});
  EXPECT_TRUE(window);
  return std::move(*window);
}

void append(Window& window, const Record& record) { window.append(&record, record.bytes()); }

// Calls take(chunk) for every chunk of the piece; the chunk's words are compared with what its header promises.
template <class Take>
void read_piece(std::span<const std::byte> piece, Take take) {
  while (!piece.empty()) {
    ASSERT_GE(piece.size(), sizeof(kf_chunk));
    const auto& chunk = *reinterpret_cast<const kf_chunk*>(piece.data());
    const auto bytes = sizeof chunk + chunk.n_words * sizeof(kf_u64);
    ASSERT_EQ(chunk.magic, KF_CHUNK_MAGIC);
    ASSERT_LE(bytes, piece.size());
    const auto* words = reinterpret_cast<const kf_u64*>(&chunk + 1);
    for (std::size_t i = 0; i < chunk.n_words; ++i) ASSERT_EQ(words[i], nth_word(chunk, i));
    take(chunk);
    piece = piece.subspan(bytes);
  }
}

std::vector<kf_chunk> chunks_of(WindowSnapshot snapshot) {
  std::vector<kf_chunk> chunks;
  for (auto piece = snapshot.next_piece(); !piece.empty(); piece = snapshot.next_piece())
    read_piece(piece, [&](const kf_chunk& chunk) { chunks.push_back(chunk); });
  return chunks;
}

// Appends full chunks of lane 0 until `bytes` have gone in.
void fill(Window& window, Kernel& kernel, std::uint64_t bytes) {
  for (std::uint64_t done = 0; done < bytes;) {
    const auto record = kernel.chunk(0, KF_CHUNK_WORDS);
    append(window, record);
    done += record.bytes();
  }
}

TEST(Window, RefusesSizesItCannotKeep) {
  EXPECT_EQ(Window::create({.max_bytes = 1000}).error().code, Errc::kUsage);
  EXPECT_EQ(Window::create({.max_bytes = ~0ull}).error().code, Errc::kUsage);
}

TEST(Window, EmptyAtTheStart) {
  const auto window = make_window();
  window->begin_at(77);
  const auto info = window->stats().info;
  EXPECT_EQ(info.from_ns, 77u);
  EXPECT_EQ(info.to_ns, 77u);
  EXPECT_EQ(info.limited_by, "start");
  EXPECT_TRUE(chunks_of(window->pin()).empty());
}

TEST(Window, KeepsChunksInArrivalOrderByteForByte) {
  Kernel kernel;
  const auto window = make_window();
  for (kf_u16 i = 0; i < 20; ++i) append(*window, kernel.chunk(i % 3, 10 + i));
  const auto chunks = chunks_of(window->pin());
  ASSERT_EQ(chunks.size(), 20u);
  for (kf_u16 i = 0; i < 20; ++i) {
    EXPECT_EQ(chunks[i].lane, i % 3);
    EXPECT_EQ(chunks[i].seq, i / 3u);
    EXPECT_EQ(chunks[i].n_words, 10 + i);
  }
}

TEST(Window, NeverHoldsMoreThanMaxBytesAndUsesMostOfIt) {
  Kernel kernel;
  const auto window = make_window(1 << 20);
  fill(*window, kernel, 5 << 20);
  const auto info = window->stats().info;
  EXPECT_LE(info.bytes, 1u << 20);
  EXPECT_GE(info.bytes,
            (1u << 20) * 7 / 10);  // segments of 8 KiB hold one chunk of 4 KiB and a bit with little to spare
  EXPECT_EQ(info.limited_by, "max-bytes");
  EXPECT_EQ(info.pinned_extra_bytes, 0u);
}

TEST(Window, ReachesFromTheLastEvictedEventToTheNewest) {
  Kernel kernel;
  const auto window = make_window();
  fill(*window, kernel, 3 * kSmall);
  const auto snapshot_info = window->stats().info;
  const auto chunks = chunks_of(window->pin());
  EXPECT_EQ(snapshot_info.from_ns, chunks.front().base_ns);
  EXPECT_EQ(snapshot_info.to_ns, kernel.now_ns());
  EXPECT_EQ(snapshot_info.chunks, chunks.size());
}

TEST(Window, LetsGoOfWhatIsOlderThanMinAge) {
  Kernel kernel;
  const auto window = make_window(4 * kSmall, 10ms);
  for (int i = 0; i < 400; ++i) append(*window, kernel.chunk(0, 100));  // 100 us each
  const auto info = window->stats().info;
  EXPECT_EQ(info.limited_by, "min-age");
  EXPECT_GE(info.to_ns - info.from_ns, 10'000'000u);
  EXPECT_LE(info.to_ns - info.from_ns, 10'200'000u);
}

TEST(Window, LetsGoOfTheOldLittleByLittleAfterASilence) {
  Kernel kernel;
  const auto window = make_window(kSmall, 10ms);
  for (int i = 0; i < 50; ++i) append(*window, kernel.chunk(0, 10));
  kernel.sleep(1min);
  append(*window, kernel.chunk(0, 10));
  EXPECT_EQ(window->stats().info.chunks, 47u);
  for (int i = 0; i < 12; ++i) append(*window, kernel.chunk(0, 10));
  EXPECT_EQ(window->stats().info.chunks, 13u);
}

TEST(Window, EmptiesByAgeAndGoesOn) {
  Kernel kernel;
  const auto window = make_window(kSmall, 1ns);
  for (int i = 0; i < 1000; ++i) {
    kernel.sleep(1s);
    append(*window, kernel.chunk(0, 500));
    ASSERT_EQ(chunks_of(window->pin()).size(), 1u);
  }
}

TEST(Window, WhatLeavesIsFolded) {
  Kernel kernel;
  std::mt19937 random(3);
  const auto window = make_window();
  for (int i = 0; i < 1000; ++i) append(*window, kernel.chunk(random() % 4, 1 + random() % 500));
  const auto stats = window->stats();
  EXPECT_EQ(stats.events_evicted + stats.info.events, stats.events_appended);
  auto snapshot = window->pin();
  std::map<unsigned, std::uint64_t> evicted;
  for (const auto& lane : snapshot.base_lanes) evicted[lane.lane] = lane.events_through;
  std::map<unsigned, std::uint64_t> kept;
  for (const auto& chunk : chunks_of(std::move(snapshot))) {
    if (!kept.contains(chunk.lane)) {
      EXPECT_EQ(chunk.events_before, evicted[chunk.lane]);
    }
    kept[chunk.lane] += chunk.n_events;
  }
  for (kf_u16 lane = 0; lane < 4; ++lane) EXPECT_EQ(evicted[lane] + kept[lane], kernel.events(lane));
}

TEST(Window, ForgetsThreadsThatExitedBeforeIt) {
  Kernel kernel;
  const auto window = make_window(kSmall, 1ms);
  for (kf_u32 tid = 1000; tid < 101'000; tid += 100) {
    auto record = kernel.chunk(0, 100);
    record.head.cur_tid = tid;
    for (kf_u32 i = 0; i < 100; ++i)  // each thread switches out dead, to the next one
      record.words[i] = kf_pack_switch(1000, tid + i + 1, KF_ST_DEAD, 0, 0, 0, 0, 0);
    append(*window, record);
  }
  EXPECT_LT(window->pin().base_tasks.size(), 20'000u) << "of 100,000";
}

TEST(Window, RefusesMalformedRecordsWithoutHarm) {
  Kernel kernel;
  const auto window = make_window();
  auto record = kernel.chunk(0, 20);
  window->append(&record, 10);
  window->append(&record, record.bytes() - 8);
  record.head.n_words = 5000;
  window->append(&record, sizeof record.head + std::size_t{5000} * 8);
  record.head.n_words = 20;
  record.head.magic = 0;
  append(*window, record);
  EXPECT_EQ(window->stats().chunks_dropped, 4u);
  append(*window, kernel.chunk(0, 20));
  EXPECT_EQ(chunks_of(window->pin()).size(), 1u);
}

// The window against the simplest thing that could be right: all chunks in one list, of which it must hold the last
// few.
TEST(Window, AgreesWithAListInRandomRuns) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    Kernel kernel;
    const auto min_age = seed % 2 ? std::chrono::nanoseconds(20ms) : std::chrono::nanoseconds(1h);
    const auto window = make_window(kSmall + 8192 * (random() % 5), min_age);
    std::vector<kf_chunk> list;
    std::optional<WindowSnapshot> held;
    for (int step = 0; step < 3000; ++step) {
      const auto record = kernel.chunk(random() % 8, 1 + random() % (random() % 2 ? 8 : 532));
      append(*window, record);
      list.push_back(record.head);
      if (random() % 100 == 0) held.reset();
      if (random() % 200 == 0 && !held) held.emplace(window->pin());
      if (random() % 100 != 0) continue;
      const auto chunks = chunks_of(window->pin());
      ASSERT_LE(chunks.size(), list.size());
      for (std::size_t i = 0; i < chunks.size(); ++i)
        ASSERT_EQ(std::memcmp(&chunks[i], &list[list.size() - chunks.size() + i], sizeof(kf_chunk)), 0) << seed;
    }
    EXPECT_EQ(window->stats().chunks_dropped, 0u);
  }
}

// |old old old old|.... ....   pinned
//  old old old old|new new new  recording goes on in the other half, and keeps rolling there
TEST(WindowPin, RecordingGoesOnWhileADumpIsStuck) {
  Kernel kernel;
  const auto window = make_window();
  fill(*window, kernel, 2 * kSmall);
  auto snapshot = window->pin();
  const auto pinned = snapshot.info.chunks;
  fill(*window, kernel, 10 * kSmall);
  const auto stats = window->stats();
  EXPECT_EQ(stats.chunks_dropped, 0u);
  EXPECT_GT(stats.info.pinned_extra_bytes, 0u);
  EXPECT_LE(stats.info.pinned_extra_bytes, kSmall);
  EXPECT_EQ(chunks_of(std::move(snapshot)).size(), pinned);
  EXPECT_EQ(window->stats().info.pinned_extra_bytes, 0u);
}

TEST(WindowPin, GivesSegmentsBackAsTheyAreRead) {
  Kernel kernel;
  const auto window = make_window();
  fill(*window, kernel, 2 * kSmall);
  auto snapshot = window->pin();
  fill(*window, kernel, 2 * kSmall);
  auto before = window->stats().info.pinned_extra_bytes;
  snapshot.next_piece();
  while (!snapshot.next_piece().empty()) {
    const auto now = window->stats().info.pinned_extra_bytes;
    EXPECT_LT(now, before);
    before = now;
  }
  EXPECT_TRUE(snapshot.next_piece().empty());
}

TEST(WindowPin, DropsAreCountedAndDatedWhenNothingIsLeft) {
  Kernel kernel;
  const auto window = make_window();
  fill(*window, kernel, 2 * kSmall);
  {
    const auto first = window->pin();
    fill(*window, kernel, 2 * kSmall);
    const auto second = window->pin();
    EXPECT_TRUE(second.losses.empty());
    const auto blind_from = kernel.now_ns();
    fill(*window, kernel, 2 * kSmall);
    const auto stats = window->stats();
    ASSERT_GT(stats.chunks_dropped, 0u);
    EXPECT_EQ(stats.events_dropped, stats.chunks_dropped * KF_CHUNK_WORDS);
    const auto losses = window->pin().losses;
    ASSERT_EQ(losses.size(), 1u);
    EXPECT_EQ(losses[0].kind, static_cast<kf_u32>(KF_LOSS_WINDOW));
    EXPECT_EQ(losses[0].lane, 0u);
    EXPECT_EQ(losses[0].count, stats.events_dropped);
    EXPECT_GE(losses[0].from_ns, blind_from);
    EXPECT_EQ(losses[0].to_ns, kernel.now_ns());
  }
  const auto dropped = window->stats().chunks_dropped;
  fill(*window, kernel, 4 * kSmall);
  EXPECT_EQ(window->stats().chunks_dropped, dropped);
  EXPECT_TRUE(window->pin().losses.empty()) << "the hole has left the window";
}

TEST(WindowPin, AnUnreadSnapshotGivesEverythingBack) {
  Kernel kernel;
  const auto window = make_window();
  for (int round = 0; round < 50; ++round) {
    fill(*window, kernel, kSmall);
    const auto first = window->pin();
    auto moved = window->pin();
    moved.next_piece();
    const auto second = std::move(moved);
  }
  fill(*window, kernel, 3 * kSmall);
  EXPECT_EQ(window->stats().info.pinned_extra_bytes, 0u);
}

// One thread appends as fast as it can, others pin and check every byte; under TSan also that nothing races.
TEST(WindowPin, EveryPinnedChunkIsIntactWhileRecordingGoesOn) {
  const auto window = make_window(256 << 10);
  std::atomic<bool> stop{false};
  std::thread consumer([&] {
    Kernel kernel;
    for (int i = 0; !stop; ++i) append(*window, kernel.chunk(i % 4, 1 + i * 37 % 532));
  });
  const auto dump = [&] {
    for (int round = 0; round < 100; ++round) {
      auto snapshot = window->pin();
      std::map<unsigned, std::uint64_t> events;  // by lane, seen so far: first those folded, then those of the pieces
      for (const auto& lane : snapshot.base_lanes) events[lane.lane] = lane.events_through;
      for (auto piece = snapshot.next_piece(); !piece.empty(); piece = snapshot.next_piece())
        read_piece(piece, [&](const kf_chunk& chunk) {
          EXPECT_GE(chunk.events_before, events[chunk.lane]);
          if (window->stats().chunks_dropped == 0) {
            EXPECT_EQ(chunk.events_before, events[chunk.lane]) << "folded and kept chunks do not meet";
          }
          events[chunk.lane] = chunk.events_before + chunk.n_events;
        });
    }
  };
  std::thread first(dump), second(dump);
  std::thread asker([&] {
    while (!stop) std::this_thread::sleep_for(std::chrono::microseconds(window->stats().info.chunks % 3));
  });
  first.join();
  second.join();
  stop = true;
  consumer.join();
  asker.join();
  const auto stats = window->stats();
  EXPECT_EQ(stats.events_evicted + stats.info.events, stats.events_appended);
}

}  // namespace
}  // namespace kflight::record
