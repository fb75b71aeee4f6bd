// SPDX-License-Identifier: Apache-2.0
//
// window_file_test.cpp - a recorder may die between any two stores, and what it leaves may be anything: what is read
// back is whole or not there. A death is a copy of the file taken while its recorder lives.
// About 400 lines: a case per way to die.
#include "record/window_file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "base/sinks.hpp"
#include "dump/merge.hpp"
#include "dump/writer.hpp"
#include "record/recover.hpp"
#include "record/window.hpp"
#include "support/temp_dir.hpp"

namespace kflight::record {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::size_t kHeadBytes = 40, kMarkBytes = 16, kPage = 4096, kBooksBytes = 64 << 10;

struct FileChunk {
  kf_chunk head{};
  std::array<kf_u64, 64> words{};
  std::span<const std::byte> bytes() const {
    return std::as_bytes(std::span{this, 1}).first(sizeof head + head.n_words * sizeof(kf_u64));
  }
};

// Chunks, numbered per lane, 1 us per event.
class ChunkSource {
 public:
  FileChunk chunk(kf_u16 n_words = 60, kf_u16 lane = 0) {
    FileChunk record;
    record.head = {.magic = KF_CHUNK_MAGIC, .lane = lane, .n_words = n_words, .seq = seq_[lane]++, .cur_tid = 7};
    record.head.base_ns = now_ns_;
    record.head.last_ns = now_ns_ += std::uint64_t{1000} * n_words;
    record.head.events_before = std::exchange(events_[lane], events_[lane] + n_words);
    record.head.n_events = record.head.n_hits = n_words;
    for (kf_u16 i = 0; i < n_words; ++i) record.words[i] = kf_pack_wakeup(1000, record.head.seq % 50 + 1, lane, 0, 0);
    return record;
  }
  std::uint64_t now_ns() const { return now_ns_; }

 private:
  std::array<kf_u32, 4> seq_{};
  std::array<std::uint64_t, 4> events_{};
  std::uint64_t now_ns_ = 1'000'000;
};

class WindowFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/dev/shm/kflight-unit-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) GTEST_SKIP() << "no /dev/shm to write to";
    directory_ = pattern;
  }
  void TearDown() override {
    std::error_code ignored;
    if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
  }

  std::string path(const std::string& name) const { return directory_ + "/" + name + ".window"; }

  std::unique_ptr<Window> make_window(std::uint64_t max_bytes = Arena::kSmallestBytes) {
    auto window = Window::create({.max_bytes = max_bytes, .min_age = 1h, .file = path("w")});
    EXPECT_TRUE(window) << (window ? "" : window.error().what);
    (*window)->begin_at(1'000'000);
    return std::move(*window);
  }
  std::unique_ptr<WindowFile> make_file(const WindowFile::Shape& shape) {
    auto file = WindowFile::create(path("w"), shape);
    EXPECT_TRUE(file) << (file ? "" : file.error().what);
    return std::move(*file);
  }

  // The file as it is now, at a place where nobody has locked it.
  std::string died(const std::string& name = "left") const {
    std::filesystem::copy_file(path("w"), path(name), std::filesystem::copy_options::overwrite_existing);
    std::filesystem::permissions(path(name), std::filesystem::perms(0600));
    return path(name);
  }
  static void put(const std::string& file, std::uint64_t offset, std::span<const std::byte> bytes) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(offset));
    stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  static void put(const std::string& file, std::uint64_t offset, std::uint64_t number) {
    put(file, offset, std::as_bytes(std::span{&number, 1}));
  }
  static Result<LeftWindow> read(const std::string& file) {
    KF_TRY_ASSIGN(const Leftover left, Leftover::open(file));
    return left.read();
  }

  std::string directory_;
};

Result<> write_state(ByteSink& sink, const WindowSnapshot& known, std::string_view note = "") {
  DumpMeta meta;
  meta.window = known.info;
  meta.cause.note = note;
  meta.host.cpus_online = 1;
  dump::DumpWriter writer(sink);
  KF_TRY(writer.begin(1));
  KF_TRY(writer.meta(meta));
  KF_TRY(writer.base(known.base_tasks, known.base_lanes));
  KF_TRY(writer.finish());
  return {};
}

void save(Window& window, std::string_view note = "") {
  const auto saved = window.file()->save_state(
      [&](ByteSink& sink) { return write_state(sink, window.pin_base(), note); });
  ASSERT_TRUE(saved) << saved.error().what;
}

void append(Window& window, const FileChunk& record) { window.append(&record, record.bytes().size()); }

std::string note_of(const LeftWindow& left) {
  const auto dump = Dump::from_bytes(left.state);
  return dump ? dump->meta().cause.note : "none";
}

TEST_F(WindowFileTest, EveryChunkComesBackInOrder) {
  ChunkSource kernel;
  const auto window = make_window();
  save(*window);
  std::vector<FileChunk> sent;
  for (int i = 0; i < 80; ++i) append(*window, sent.emplace_back(kernel.chunk(static_cast<kf_u16>(1 + i % 60))));
  const auto left = read(died());
  ASSERT_TRUE(left) << left.error().what;
  EXPECT_EQ(left->pid, static_cast<std::uint32_t>(getpid()));
  EXPECT_EQ(left->damaged_chunks, 0u);
  ASSERT_EQ(left->chunks.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) EXPECT_TRUE(std::ranges::equal(left->chunks[i], sent[i].bytes())) << i;
}

TEST_F(WindowFileTest, WhatIsNotCommittedDoesNotCount) {
  const auto file = make_file({.segment_bytes = kPage, .segments = 2, .backed = 1});
  ASSERT_TRUE(file->save_state([](ByteSink& sink) -> Result<> {
    dump::DumpWriter writer(sink);
    KF_TRY(writer.begin(1));
    KF_TRY(writer.meta({}));
    KF_TRY(writer.finish());
    return {};
  }));
  auto segments = file->map_segments();
  ASSERT_TRUE(segments);
  const auto segment = segments->writable_bytes().first(kPage);
  const FileChunk chunk = ChunkSource().chunk();
  file->open(0);
  std::ranges::copy(chunk.bytes(), segment.begin());
  EXPECT_EQ(read(died())->chunks.size(), 0u);
  file->commit(0, segment, segment.first(chunk.bytes().size()));
  EXPECT_EQ(read(died())->chunks.size(), 1u);

  // Used again: what an earlier use left is there, but never counts, whatever the mark says.
  file->open(0);
  EXPECT_EQ(read(died())->chunks.size(), 0u);
  const auto forged = died();
  put(forged, kHeadBytes + 8, 1);
  EXPECT_EQ(read(forged)->chunks.size(), 0u);
  EXPECT_EQ(read(forged)->damaged_chunks, 1u);
}

TEST_F(WindowFileTest, OfTwoStatesTheNewerWholeOneCounts) {
  const auto window = make_window();
  save(*window, "one");
  EXPECT_EQ(note_of(*read(died())), "one");
  save(*window, "two");
  EXPECT_EQ(note_of(*read(died())), "two");
  // Dies while it writes the third, over the first.
  const auto cut = window->file()->save_state([&](ByteSink& sink) -> Result<> {
    KF_TRY(write_state(sink, window->pin_base(), "three"));
    EXPECT_EQ(note_of(*read(died())), "two");
    return Error{Errc::kIo, "no room"};
  });
  EXPECT_FALSE(cut);
  EXPECT_EQ(note_of(*read(died())), "two");
  save(*window, "four");
  EXPECT_EQ(note_of(*read(died())), "four");
}

TEST_F(WindowFileTest, WithoutAnyStateThereIsNothing) {
  const auto window = make_window();
  const auto left = read(died());
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().code, Errc::kDamaged);
  EXPECT_THAT(left.error().what, HasSubstr("before it began to record"));
}

// Whatever byte is wrong: no crash, and no chunk that was never sent.
TEST_F(WindowFileTest, FlippedBitsAreNeverTakenForChunks) {
  ChunkSource kernel;
  const auto window = make_window();
  std::set<std::vector<std::byte>> sent;
  for (int i = 0; i < 300; ++i) {
    const FileChunk record = kernel.chunk();
    append(*window, record);
    sent.emplace(record.bytes().begin(), record.bytes().end());
  }
  save(*window);
  const std::string whole = test::read_text(died());
  const std::size_t state_begin = kBooksBytes + 2 * Arena::kSmallestBytes;
  ASSERT_GT(whole.size(), state_begin);
  std::mt19937 random(4);
  std::uint64_t refused = 0, damaged = 0;
  for (int i = 0; i < 600; ++i) {
    std::string bytes = whole;
    for (std::uint32_t flips = 1 + random() % 4; flips > 0; --flips) {
      const auto at = i % 3 == 0   ? random() % (kHeadBytes + 16 * kMarkBytes)
                      : i % 3 == 1 ? kBooksBytes + random() % Arena::kSmallestBytes
                                   : state_begin + random() % (whole.size() - state_begin);
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
    }
    test::write_text(path("flip"), bytes);
    std::filesystem::permissions(path("flip"), std::filesystem::perms(0600));
    const auto left = Leftover::open(path("flip"));
    ASSERT_TRUE(left);
    MemorySink sink;
    refused += !write_recovered(*left, sink);
    const auto window_left = left->read();
    if (!window_left) continue;
    damaged += window_left->damaged_chunks;
    for (const auto chunk : window_left->chunks)
      ASSERT_TRUE(sent.contains(std::vector<std::byte>(chunk.begin(), chunk.end()))) << i;
  }
  EXPECT_GT(refused, 0u);
  EXPECT_GT(damaged, 0u);
}

TEST_F(WindowFileTest, CutOffAnywhereIsRefused) {
  ChunkSource kernel;
  const auto window = make_window();
  for (int i = 0; i < 100; ++i) append(*window, kernel.chunk());
  save(*window);
  const auto size = std::filesystem::file_size(path("w"));
  for (std::uint64_t bytes = 0; bytes < size; bytes += 997) {
    const auto file = died();
    std::filesystem::resize_file(file, bytes);
    ASSERT_FALSE(read(file)) << bytes;
  }
}

TEST_F(WindowFileTest, AnotherVersionIsNotGuessedAt) {
  const auto window = make_window();
  save(*window);
  const auto file = died();
  const std::uint32_t next = 2;
  put(file, 8, std::as_bytes(std::span{&next, 1}));
  EXPECT_EQ(read(file).error().code, Errc::kUnsupported);
  put(file, 0, 0);
  EXPECT_EQ(read(file).error().code, Errc::kDamaged);
}

// Names segments in holes of the file: reading them would take memory that the file does not.
TEST_F(WindowFileTest, AFileCannotMakeTheReaderTakeMoreMemoryThanItHas) {
  constexpr std::uint32_t kSegments = 1 << 16;
  const auto file = make_file({.segment_bytes = 1 << 20, .segments = kSegments, .backed = 0});
  std::ifstream stream(path("w"), std::ios::binary);
  std::string books((kHeadBytes + kSegments * kMarkBytes + kPage - 1) / kPage * kPage, '\0');
  stream.read(books.data(), static_cast<std::streamsize>(books.size()));
  std::ofstream(path("left"), std::ios::binary).write(books.data(), static_cast<std::streamsize>(books.size()));
  std::filesystem::resize_file(path("left"), std::filesystem::file_size(path("w")));
  std::filesystem::permissions(path("left"), std::filesystem::perms(0600));
  for (std::uint32_t id = 0; id < kSegments; ++id) put(path("left"), kHeadBytes + id * kMarkBytes, id + 1);
  const auto left = read(path("left"));
  ASSERT_FALSE(left);
  EXPECT_THAT(left.error().what, HasSubstr("more than it has"));
}

TEST_F(WindowFileTest, OnlyTheDeadOnesOwnRegularFileIsOpened) {
  EXPECT_EQ(Leftover::open(path("nobody")).error().code, Errc::kNotFound);
  const auto window = make_window();
  EXPECT_EQ(Leftover::open(path("w")).error().code, Errc::kBusy);
  std::filesystem::create_symlink(path("w"), path("link"));
  EXPECT_FALSE(Leftover::open(path("link")));
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(Leftover::open(path("pipe")).error().code, Errc::kDamaged);
  const auto open_to_all = died();
  std::filesystem::permissions(open_to_all, std::filesystem::perms(0666));
  EXPECT_EQ(Leftover::open(open_to_all).error().code, Errc::kPermission);
  const auto left = died("taken");
  const auto first = Leftover::open(left);
  ASSERT_TRUE(first);
  EXPECT_EQ(Leftover::open(left).error().code, Errc::kBusy);
}

TEST_F(WindowFileTest, IsMadeWhereItIsMemoryAndEndsWithItsWindow) {
  {
    const auto window = make_window();
    struct stat status {};
    ASSERT_EQ(::stat(path("w").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    EXPECT_GE(static_cast<std::uint64_t>(status.st_blocks) * 512, Arena::kSmallestBytes);
    EXPECT_FALSE(Window::create({.file = path("w")}));  // there is one
    EXPECT_TRUE(std::filesystem::exists(path("w")));
  }
  EXPECT_FALSE(std::filesystem::exists(path("w")));

  const auto too_large = Window::create({.max_bytes = 1ull << 45, .file = path("large")});
  ASSERT_FALSE(too_large);
  EXPECT_THAT(too_large.error().what, HasSubstr("make room there"));
  EXPECT_FALSE(std::filesystem::exists(path("large")));

  const test::TempDir on_disk;
  struct statfs info {};
  ASSERT_EQ(::statfs(on_disk.path().c_str(), &info), 0);
  if (info.f_type == 0x01021994) GTEST_SKIP() << "the temporary directory is a tmpfs itself";
  EXPECT_THAT(Window::create({.file = on_disk.file("w.window")}).error().what, HasSubstr("not on a tmpfs"));
  EXPECT_TRUE(std::filesystem::is_empty(on_disk.path()));
}

// ---------------------------------------------------------------- the dump made of it

Dump dump_of(const std::string& file, MemorySink& sink) {
  const auto left = Leftover::open(file);
  EXPECT_TRUE(left);
  const auto recovered = write_recovered(*left, sink);
  EXPECT_TRUE(recovered) << recovered.error().what;
  return std::move(*Dump::from_bytes(sink.bytes()));
}

TEST_F(WindowFileTest, TheDumpSaysThatItIsRecoveredAndWhatIsMissing) {
  ChunkSource kernel;
  const auto window = make_window();
  save(*window);
  for (int i = 0; i < 20; ++i) append(*window, kernel.chunk(10, i % 2));
  MemorySink sink;
  const Dump dump = dump_of(died(), sink);
  EXPECT_TRUE(dump.complete());
  EXPECT_TRUE(dump.damage().empty());
  EXPECT_EQ(dump.meta().cause.kind, "recovered");
  EXPECT_EQ(dump.meta().window.chunks, 20u);
  EXPECT_EQ(dump.meta().window.events, 200u);
  EXPECT_EQ(dump.window_begin_ns(), 1'000'000u);
  EXPECT_EQ(dump.window_end_ns(), kernel.now_ns() + 1);
  ASSERT_EQ(dump.losses().size(), 2u);
  for (const kf_loss& loss : dump.losses()) {
    EXPECT_EQ(loss.kind, KF_LOSS_UNFLUSHED);
    EXPECT_EQ(loss.to_ns, dump.window_end_ns());
  }
  EXPECT_EQ(dump.losses()[0].from_ns, kernel.now_ns() - 10'000);
  EXPECT_EQ(dump.meta().losses.ring_events, 0u);
}

// Both from when the state was saved, though by then neither had lost anything.
TEST_F(WindowFileTest, EachCpuWhoseBeginningIsGoneSaysSinceWhen) {
  ChunkSource kernel;
  const auto window = make_window();
  const std::uint64_t begin_ns = kernel.now_ns();
  for (kf_u16 i = 0; i < 8; ++i) append(*window, kernel.chunk(60, i % 2));
  save(*window);
  for (kf_u16 i = 0; i < 1000; ++i) append(*window, kernel.chunk(60, i % 2));
  MemorySink sink;
  const Dump dump = dump_of(died(), sink);
  std::set<kf_u32> lanes;
  for (const kf_loss& loss : dump.losses()) {
    if (loss.kind != KF_LOSS_EVICTED) continue;
    lanes.insert(loss.lane);
    EXPECT_LE(loss.from_ns, begin_ns + std::uint64_t{8} * 60 * 1000);
    EXPECT_LE(loss.to_ns, dump.window_begin_ns());
  }
  EXPECT_EQ(lanes, (std::set<kf_u32>{0, 1}));
}

// The state is of a time whose chunks are gone by now: what lies between is a dated loss before the window, no loss in it.
TEST_F(WindowFileTest, TheDumpBeginsWithTheChunksThatAreThere) {
  ChunkSource kernel;
  const auto window = make_window();
  for (int i = 0; i < 200; ++i) append(*window, kernel.chunk());
  save(*window);
  const auto saved = window->pin_base();
  ASSERT_EQ(saved.base_lanes.size(), 1u);
  for (int i = 0; i < 1000; ++i) append(*window, kernel.chunk());
  MemorySink sink;
  const Dump dump = dump_of(died(), sink);
  const auto evicted = std::ranges::find(dump.losses(), kf_u32{KF_LOSS_EVICTED}, &kf_loss::kind);
  ASSERT_NE(evicted, dump.losses().end());
  EXPECT_EQ(evicted->from_ns, saved.base_lanes[0].through_ns);
  EXPECT_EQ(evicted->to_ns, dump.window_begin_ns());
  ASSERT_EQ(dump.base_lanes().size(), 1u);
  EXPECT_EQ(dump.base_lanes()[0].next_seq, dump.chunks().front().head->seq);
  EXPECT_EQ(evicted->count, dump.base_lanes()[0].events_through - saved.base_lanes[0].events_through);
  EXPECT_EQ(dump.meta().losses.ring_events, 0u);
  std::uint64_t events = 0;
  for (const Event& event : dump.events()) {
    EXPECT_FALSE(std::holds_alternative<LossEvent>(event));
    ++events;
  }
  EXPECT_EQ(events, dump.meta().window.events);
}

// Chunks that have left the window, but not their memory, are in the base state already.
TEST_F(WindowFileTest, WhatTheBaseStateKnowsIsNotToldTwice) {
  ChunkSource kernel;
  const auto window = make_window();
  for (int i = 0; i < 200; ++i) append(*window, kernel.chunk());
  save(*window);
  const auto stats = window->stats();
  const auto left = read(died());
  ASSERT_GE(left->chunks.size(), stats.info.chunks);
  MemorySink sink;
  const Dump dump = dump_of(died(), sink);
  EXPECT_EQ(dump.meta().window.chunks, stats.info.chunks);
  EXPECT_EQ(dump.window_begin_ns(), stats.info.from_ns);
}

}  // namespace
}  // namespace kflight::record
