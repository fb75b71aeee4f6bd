// SPDX-License-Identifier: Apache-2.0
//
// Where code lay in the processes whose stacks were taken: as long as the window may need it, and no longer.
#include "record/process_maps.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "dump/stack_tables.hpp"

namespace kflight::record {
namespace {

const std::uint32_t kThisProcess = static_cast<std::uint32_t>(getpid());
constexpr std::uint32_t kNobody = KF_TID_MASK;

// A build of a library at 0x10000 * place.
CodeRange library(std::uint64_t inode, std::uint64_t place = 1) {
  return {.begin = 0x10000 * place, .end = 0x10000 * place + 0x8000, .offset = 0,
          .file = {.device = 1, .inode = inode, .path = fmt::format("/lib/{}.so", inode)}};
}

void put(ProcessMaps& maps, std::uint32_t tgid, const std::vector<CodeRange>& ranges, std::uint64_t now_ns) {
  ProcessMaps::BuildIds ids;
  for (const CodeRange* range : maps.files_missing(ranges, ids)) ids.emplace(range->file, read_build_id(tgid, *range));
  maps.put(tgid, ranges, ids, now_ns);
}

void look(ProcessMaps& maps, std::uint32_t tgid, std::uint64_t now_ns) { put(maps, tgid, read_code(tgid), now_ns); }

std::vector<MappedFile> files_of(const dump::RecordBlob& blob) {
  dump::StackTables tables;
  EXPECT_EQ(tables.take_files(blob.bytes()), 0u);
  tables.finish();
  return tables.files;
}

TEST(ProcessMaps, KnowTheCodeOfThisProcess) {
  ProcessMaps maps;
  look(maps, kThisProcess, 5);
  look(maps, kThisProcess, 6);  // nothing has changed
  const auto here = reinterpret_cast<std::uint64_t>(&library);
  const auto mappings = maps.mappings({&kThisProcess, 1});
  const auto found =
      std::ranges::find_if(mappings, [&](const kf_mapping& m) { return m.begin <= here && here < m.end; });
  ASSERT_NE(found, mappings.end());
  EXPECT_EQ(found->tgid, kThisProcess);
  EXPECT_EQ(found->from_ns, 5u);
  EXPECT_EQ(found->until_ns, 0u);
  const auto blob = maps.files();
  const auto files = files_of(blob);
  const MappedFile& file = files.at(found->file);
  EXPECT_TRUE(file.path.ends_with("/unit_record")) << file.path;
  const auto vdso = std::ranges::find(files, std::string_view("[vdso]"), &MappedFile::path);
  ASSERT_NE(vdso, files.end());
  EXPECT_GT(vdso->head.build_id_bytes, 0u);
}

TEST(ProcessMaps, ChildHasItsParentsCode) {
  ProcessMaps maps;
  const std::vector<std::uint32_t> both{kThisProcess, kNobody};
  look(maps, kThisProcess, 5);
  const auto count = maps.mappings(both).size();
  maps.inherit(kNobody, kThisProcess, 20);
  EXPECT_EQ(maps.mappings(both).size(), 2 * count);
  EXPECT_EQ(maps.mappings({&kNobody, 1}).size(), count);
  look(maps, kNobody, 21);  // not there: what is known stays
  EXPECT_EQ(maps.mappings(both).size(), 2 * count);
}

// However long ago it was looked at: as long as the window holds a time when it lived.
TEST(ProcessMaps, CodeIsKnownUntilTheWindowHasPassedItsProcessesEnd) {
  ProcessMaps maps;
  look(maps, kThisProcess, 5);
  maps.inherit(kNobody, kThisProcess, 20);
  maps.forget_dead(1000, 2000);  // seen to be gone at 2000
  EXPECT_FALSE(maps.mappings({&kNobody, 1}).empty());
  maps.forget_dead(1999, 3000);
  EXPECT_FALSE(maps.mappings({&kNobody, 1}).empty());
  maps.forget_dead(2001, 3001);
  EXPECT_TRUE(maps.mappings({&kNobody, 1}).empty());
  EXPECT_FALSE(maps.mappings({&kThisProcess, 1}).empty());
}

TEST(ProcessMaps, WhatIsNoLongerMappedIsKnownUntilTheWindowHasPassedItsEnd) {
  ProcessMaps maps;
  put(maps, kThisProcess, {library(1), library(2, 2)}, 10);
  put(maps, kThisProcess, {library(2, 2)}, 20);
  maps.forget_dead(20, 21);
  EXPECT_EQ(maps.mappings({&kThisProcess, 1}).size(), 2u);
  maps.forget_dead(21, 22);
  const auto left = maps.mappings({&kThisProcess, 1});
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].begin, library(2, 2).begin);
}

// A process may map and unmap for months, always something else.
TEST(ProcessMaps, AProcessThatMapsForeverIsKnownAsItIsNow) {
  ProcessMaps maps;
  std::uint64_t now_ns = 0;
  for (std::uint64_t round = 0; round < 40; ++round) {
    std::vector<CodeRange> ranges;
    for (std::uint64_t place = 1; place <= 1000; ++place) ranges.push_back(library(round * 1000 + place, place));
    put(maps, kThisProcess, ranges, now_ns += 10);
    maps.forget_dead(now_ns - 5, now_ns);
  }
  const auto mappings = maps.mappings({&kThisProcess, 1});
  EXPECT_LE(mappings.size(), 2000u);
  EXPECT_EQ(std::ranges::count_if(mappings, [&](const auto& m) { return m.until_ns == 0 && m.from_ns == now_ns; }), 1000);
}

TEST(ProcessMaps, AFileGoesWithTheLastOfItsMappingsAndTheOthersKeepTheirNumbers) {
  ProcessMaps maps;
  put(maps, kThisProcess, {library(1), library(2, 2)}, 10);
  put(maps, kNobody, {library(1)}, 10);
  put(maps, kThisProcess, {library(2, 2), library(3, 3)}, 20);
  maps.forget_dead(21, 22);  // nobody is seen to be gone
  EXPECT_EQ(files_of(maps.files()).size(), 3u) << "another process had the first one mapped";
  maps.forget_dead(23, 24);
  const auto blob = maps.files();
  const auto files = files_of(blob);
  ASSERT_EQ(files.size(), 2u);
  for (const kf_mapping& mapping : maps.mappings({&kThisProcess, 1})) {
    const auto file = std::ranges::find(files, mapping.file, [](const MappedFile& f) { return f.head.number; });
    ASSERT_NE(file, files.end());
    EXPECT_EQ(file->path, fmt::format("/lib/{}.so", mapping.begin / 0x10000));
  }
  put(maps, kThisProcess, {library(1), library(2, 2), library(3, 3)}, 30);
  const auto back = maps.files();
  EXPECT_EQ(files_of(back).back().head.number, 3u) << "no number is used for two files";
}

TEST(ProcessMaps, NewBuildsForEverTakeNoMemoryForEver) {
  ProcessMaps maps;
  for (std::uint64_t build = 1; build <= 1000; ++build) {
    put(maps, kThisProcess, {library(build)}, build * 10);
    maps.forget_dead(build * 10 - 5, build * 10 + 1);
  }
  EXPECT_LE(files_of(maps.files()).size(), 3u);
}

}  // namespace
}  // namespace kflight::record
