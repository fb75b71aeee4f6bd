// SPDX-License-Identifier: Apache-2.0
//
// The writer against full disks, and what it promises about the file: limits, streaming, appending.
#include "dump/writer.hpp"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <random>

#include "dump/section.hpp"
#include "dump/section_walk.hpp"
#include "kflight/dump.hpp"
#include "support/failing_sink.hpp"
#include "support/sample_dump.hpp"
#include "support/temp_dir.hpp"

namespace kflight::dump {
namespace {

using test::TempDir;
using testing::HasSubstr;

std::string as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<kf_section> sections_of(std::span<const std::byte> file) {
  std::vector<kf_section> sections;
  SectionWalk walk(file, sizeof(kf_dump_header));
  for (auto found = walk.next(); found != SectionWalk::Found::kEnd; found = walk.next())
    if (found == SectionWalk::Found::kSection) sections.push_back(walk.header());
  return sections;
}

// A chunk of `words` words of noise.
std::vector<std::byte> noise_chunk(std::mt19937_64& random, kf_u16 words) {
  test::BuiltChunk chunk;
  chunk.head.magic = KF_CHUNK_MAGIC;
  chunk.head.n_words = words;
  for (int i = 0; i < words; ++i) chunk.words.push_back(random());
  return chunk.bytes();
}

TEST(Writer, FinishGivesTheFilesSize) {
  MemorySink sink;
  DumpWriter writer(sink);
  ASSERT_TRUE(writer.begin(1));
  const auto bytes = writer.finish();
  ASSERT_TRUE(bytes);
  EXPECT_EQ(*bytes, sink.bytes().size());
}

TEST(Writer, EveryFailingOffsetIsAnErrorAndNeverAValidTrailer) {
  const auto whole = test::sample_dump();
  for (std::size_t capacity = 0; capacity < whole.size(); ++capacity) {
    test::FailingSink sink(capacity);
    DumpWriter writer(sink);
    bool failed = false;
    test::write_sample(writer, [&](const auto& result) { failed |= !result; });
    ASSERT_TRUE(failed) << capacity;
    ASSERT_EQ(sink.writes_after_failure(), 0) << capacity;
    const auto dump = Dump::from_bytes(sink.taken());
    ASSERT_FALSE(dump && dump->complete()) << capacity;
  }
}

TEST(Writer, LastCallReportsAnEarlierFailure) {
  test::FailingSink sink(40);
  DumpWriter writer(sink);
  ASSERT_TRUE(writer.begin(1));
  ASSERT_FALSE(writer.schema("{}"));
  const auto finished = writer.finish();
  ASSERT_FALSE(finished);
  EXPECT_THAT(finished.error().what, HasSubstr("the sink is full"));
}

TEST(Writer, ChunksAreCutIntoSectionsOfAboutOneMiB) {
  std::mt19937_64 random{1};
  MemorySink sink;
  DumpWriter writer(sink);
  ASSERT_TRUE(writer.begin(1));
  std::vector<std::byte> arena;  // one call with more than a section holds
  for (int i = 0; i < 700; ++i) {
    const auto chunk = noise_chunk(random, KF_CHUNK_WORDS);
    arena.insert(arena.end(), chunk.begin(), chunk.end());
  }
  ASSERT_TRUE(writer.chunk_bytes(arena));
  ASSERT_TRUE(writer.finish());
  std::uint64_t raw_bytes = 0, count = 0;
  for (const auto& section : sections_of(sink.bytes())) {
    if (section.kind != KF_SEC_CHUNKS) continue;
    EXPECT_LE(section.raw_bytes, kTargetSectionBytes);
    EXPECT_EQ(section.raw_bytes % (sizeof(kf_chunk) + KF_CHUNK_WORDS * 8), 0u) << "whole chunks only";
    EXPECT_EQ(section.flags, 0u) << "noise is stored as it is";
    raw_bytes += section.raw_bytes;
    ++count;
  }
  EXPECT_EQ(raw_bytes, arena.size());
  EXPECT_EQ(count, 3u);
  EXPECT_TRUE(Dump::from_bytes(sink.bytes())->complete());
}

TEST(Writer, LongTablesAreSplitAndJoined) {
  std::vector<kf_task> tasks(20'000);
  for (kf_u32 i = 0; i < tasks.size(); ++i) tasks[i].tid = i;
  MemorySink sink;
  DumpWriter writer(sink);
  ASSERT_TRUE(writer.begin(1));
  ASSERT_TRUE(writer.tasks(tasks));
  ASSERT_TRUE(writer.finish());
  EXPECT_GT(sections_of(sink.bytes()).size(), 3u);
  const auto dump = Dump::from_bytes(sink.bytes());
  ASSERT_EQ(dump->tasks().size(), tasks.size());
  for (kf_u32 i = 0; i < tasks.size(); ++i) ASSERT_EQ(dump->tasks()[i].tid, i);
}

TEST(Writer, NeverCompressesBeyondTheLimitOfTheFormat) {
  const std::vector<kf_base_task> zeros(5000);
  MemorySink sink;
  DumpWriter writer(sink);
  ASSERT_TRUE(writer.begin(1));
  ASSERT_TRUE(writer.base(zeros, {}));
  ASSERT_TRUE(writer.finish());
  for (const auto& section : sections_of(sink.bytes())) EXPECT_TRUE(sizes_allowed(section));
  EXPECT_EQ(Dump::from_bytes(sink.bytes())->base_tasks().size(), zeros.size());
}

TEST(Writer, RefusesAPieceOfAChunk) {
  std::mt19937_64 random{1};
  const auto chunk = noise_chunk(random, 10);
  MemorySink sink;
  DumpWriter writer(sink);
  EXPECT_FALSE(writer.chunk_bytes(std::span{chunk}.first(chunk.size() - 8)));
}

TEST(Writer, IndexNamesEverySectionBeforeIt) {
  const auto file = test::sample_dump();
  const auto sections = sections_of(file);
  kf_trailer trailer;
  std::memcpy(&trailer, file.data() + file.size() - sizeof trailer, sizeof trailer);
  ASSERT_TRUE(is_trailer(trailer));
  EXPECT_EQ(trailer.file_bytes, file.size());
  std::vector<kf_index_entry> index(sections.size() - 1);
  std::memcpy(index.data(), file.data() + trailer.index_offset + sizeof(kf_section), index.size() * sizeof index[0]);
  for (std::size_t i = 0; i < index.size(); ++i) {
    kf_section header;
    std::memcpy(&header, file.data() + index[i].offset, sizeof header);
    EXPECT_TRUE(is_section_header(header));
    EXPECT_EQ(header.kind, index[i].kind);
    EXPECT_EQ(header.stored_bytes, index[i].stored_bytes);
  }
  EXPECT_EQ(sections.back().kind, KF_SEC_INDEX);
}

// ---- appending

TEST(AppendResolution, IsReadBackAndTheFileStaysComplete) {
  TempDir dir;
  const auto path = dir.file("a.kfr");
  const auto before = test::sample_dump();
  test::write_text(path, as_text(before));
  ASSERT_TRUE(append_resolution(path, test::sample_resolution()));
  ASSERT_TRUE(append_resolution(path, test::sample_resolution()));
  const auto dump = Dump::open(path);
  ASSERT_TRUE(dump);
  EXPECT_TRUE(dump->complete());
  EXPECT_TRUE(dump->damage().empty());
  ASSERT_EQ(dump->resolutions().size(), 2u);
  EXPECT_EQ(dump->resolutions()[1].exit_ns, 30'000u);
  EXPECT_EQ(test::read_text(path).substr(0, before.size()), as_text(before)) << "old bytes are not touched";
}

TEST(AppendResolution, CutShortLeavesTheOldDumpReadable) {
  TempDir dir;
  const auto path = dir.file("a.kfr");
  const auto before = test::sample_dump();
  test::write_text(path, as_text(before));
  ASSERT_TRUE(append_resolution(path, test::sample_resolution()));
  const auto after = test::read_text(path);
  for (auto size = before.size() + 1; size < after.size(); ++size) {
    const auto dump = Dump::from_bytes(std::as_bytes(std::span{after}.first(size)));
    ASSERT_TRUE(dump);
    EXPECT_FALSE(dump->complete());
    EXPECT_FALSE(dump->damage().empty());
    EXPECT_EQ(dump->tasks().size(), 2u);
  }
}

TEST(AppendResolution, FullDiskRestoresTheFile) {
  TempDir dir;
  const auto path = dir.file("a.kfr");
  const auto before = as_text(test::sample_dump());
  test::write_text(path, before);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{before.size() + 100, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto result = append_resolution(path, test::sample_resolution());
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().what, HasSubstr("EFBIG"));
  EXPECT_EQ(test::read_text(path), before);
}

TEST(AppendResolution, RefusesWhatIsNoCompleteDump) {
  TempDir dir;
  const auto whole = as_text(test::sample_dump());
  const std::string cases[] = {"", "text", whole.substr(0, whole.size() - 1), whole + "x", std::string(5000, '\0')};
  for (const auto& content : cases) {
    test::write_text(dir.file("a"), content);
    const auto result = append_resolution(dir.file("a"), test::sample_resolution());
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().what, HasSubstr("no complete kflight dump"));
    EXPECT_EQ(test::read_text(dir.file("a")), content);
  }
}

TEST(AppendResolution, NeverThroughASymbolicLink) {
  TempDir dir;
  test::write_text(dir.file("a"), as_text(test::sample_dump()));
  ASSERT_EQ(::symlink(dir.file("a").c_str(), dir.file("link").c_str()), 0);
  const auto result = append_resolution(dir.file("link"), test::sample_resolution());
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().what, HasSubstr("ELOOP"));
  EXPECT_EQ(append_resolution(dir.file("none"), {}).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace kflight::dump
