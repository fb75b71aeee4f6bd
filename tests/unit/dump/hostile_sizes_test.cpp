// SPDX-License-Identifier: Apache-2.0
//
// What a file can make its reader allocate: never more than dump.hpp promises, whatever the file claims and however
// well it compresses. Each file is the worst of its kind: the smallest records there are, stored as densely as a
// section may be.
#include <gtest/gtest.h>
#include <zstd.h>

#include <cstring>
#include <functional>

#include "dump/meta.hpp"
#include "dump/section.hpp"
#include "kflight/dump.hpp"
#include "support/chunk_builder.hpp"
#include "support/heap_meter.hpp"

namespace kflight::dump {
namespace {

using Bytes = std::vector<std::byte>;
constexpr std::size_t kSections = 3, kRawBytes = 4u << 20;

template <class T>
void append(Bytes& file, const T& value) {
  const auto bytes = std::as_bytes(std::span{&value, 1});
  file.insert(file.end(), bytes.begin(), bytes.end());
}

// A zstd frame, and behind it one to be skipped, which makes it as large as the limit demands.
Bytes packed(const Bytes& raw) {
  Bytes out(std::max(ZSTD_compressBound(raw.size()), raw.size()));
  out.resize(ZSTD_compress(out.data(), out.size(), raw.data(), raw.size(), 3));
  const auto wanted = (raw.size() + kMaxExpansion - 1) / kMaxExpansion;
  constexpr std::uint32_t kSkipped = 0x184d2a50;
  if (out.size() + 8 <= wanted) {
    append(out, kSkipped);
    append(out, static_cast<std::uint32_t>(wanted - out.size() - 4));
  }
  out.resize(std::max(out.size(), wanted));
  return out;
}

Bytes file_of(std::uint16_t kind, const Bytes& raw, std::size_t sections = kSections) {
  Bytes file;
  append(file, make_file_header(1));
  const Bytes stored = packed(raw);
  for (std::size_t i = 0; i < sections; ++i) {
    append(file, make_section_header(kind, KF_SECTION_ZSTD, stored, raw.size()));
    file.insert(file.end(), stored.begin(), stored.end());
    file.resize(padded_to_8(file.size()));
  }
  return file;
}

template <class Record>
Bytes filled_with(const Record& record, std::size_t bytes = kRawBytes) {
  Bytes raw;
  raw.reserve(bytes);
  while (raw.size() + sizeof record <= bytes) append(raw, record);
  return raw;
}

Bytes text_of(const std::string& head, std::string_view repeated, const std::string& tail, std::size_t bytes) {
  std::string text = head;
  while (text.size() + repeated.size() < bytes) text += repeated;
  text += tail;
  const auto all = std::as_bytes(std::span{text});
  return {all.begin(), all.end()};
}

void expect_bounded(const char* what, const Bytes& file, std::uint64_t fixed) {
  const test::HeapMeter meter;
  const auto dump = Dump::from_bytes(file);
  ASSERT_TRUE(dump) << dump.error().what;
  EXPECT_LE(meter.peak_bytes(), fixed + kOpenBytesPerFileByte * file.size())
      << what << ": " << meter.peak_bytes() / file.size() << " times the file";
}

// What has no metadata needs next to nothing beside the part in proportion.
constexpr std::uint64_t kLittle = 1 << 20;

TEST(HostileSizes, TablesTakeNoMoreThanPromised) {
  kf_symbol symbol{.begin = 1, .end = 2};
  kf_stack stack{.id = 1};
  expect_bounded("symbols", file_of(KF_SEC_KERNEL_SYMBOLS, filled_with(symbol)), kLittle);
  expect_bounded("stacks", file_of(KF_SEC_STACKS, filled_with(stack)), kLittle);
  expect_bounded("files", file_of(KF_SEC_FILES, filled_with(kf_file{})), kLittle);
  expect_bounded("descriptors", file_of(KF_SEC_FD_LINKS, filled_with(kf_fd_link{})), kLittle);
  expect_bounded("mappings", file_of(KF_SEC_MAPPINGS, filled_with(kf_mapping{})), kLittle);
  expect_bounded("base stacks", file_of(KF_SEC_BASE_STACKS, filled_with(kf_base_stack{})), kLittle);
  expect_bounded("tasks", file_of(KF_SEC_TASKS, filled_with(kf_task{})), kLittle);
  expect_bounded("losses", file_of(KF_SEC_TABLE_LOSSES, filled_with(kf_loss{})), kLittle);
  expect_bounded("unknown", file_of(999, Bytes(kRawBytes)), kLittle);
}

TEST(HostileSizes, ChunksAndTheirEventsTakeNoMoreThanPromised) {
  Bytes one_word;
  for (std::uint32_t i = 0; one_word.size() < kRawBytes; ++i) {
    constexpr std::uint32_t kLanes = KF_CPU_MASK + 1;
    test::ChunkBuilder lane(static_cast<kf_u16>(i % kLanes),
                            {.seq = 5 + 2 * (i / kLanes), .events_before = 9 * (i / kLanes), .nested_before = 7 * i});
    const auto chunk = lane.wakeup(1, 0).build().bytes();
    one_word.insert(one_word.end(), chunk.begin(), chunk.end());
  }
  const Bytes file = file_of(KF_SEC_CHUNKS, one_word);
  expect_bounded("chunks", file, kLittle);
  const auto dump = Dump::from_bytes(file);
  const test::HeapMeter meter;
  std::size_t events = 0;
  for ([[maybe_unused]] const Event& event : dump->events()) ++events;
  EXPECT_GT(events, 100'000u);  // those of the chunks, and what is missing between them
  EXPECT_LE(meter.peak_bytes(), kOpenBytes + kOpenBytesPerFileByte * file.size());
}

TEST(HostileSizes, MetadataTakesNoMoreThanPromised) {
  const auto expect_meta = [](const char* what, const Bytes& text) {
    expect_bounded(what, file_of(KF_SEC_META, text, 1), kOpenBytes);
  };
  constexpr std::size_t kAllowed = 500'000, kRefused = 4u << 20;  // values of two or three bytes: 250,000, or more
  for (const std::size_t bytes : {kAllowed, kRefused}) {
    expect_meta("lists", text_of("{\"targets\":[[]", ",[]", "]}", bytes));
    expect_meta("objects", text_of("{\"targets\":[{}", ",{}", "]}", bytes));
    expect_meta("objects of one", text_of("{\"targets\":[0", ",{\"\":0}", "]}", bytes));
    expect_meta("texts", text_of("{\"config\":{\"comm_globs\":[\"\"", ",\"\"", "]}}", bytes));
    expect_meta("numbers", text_of("{\"config\":{\"target_pids\":[1", ",1", "]}}", bytes));
    expect_meta("one text", text_of("{\"host\":{\"hostname\":\"", "a", "\"}}", bytes));
    expect_meta("depth", text_of("{\"x\":", "[", "", bytes));
  }
}

TEST(HostileSizes, WhatASectionClaimsIsNotAllocated) {
  const Bytes stored(64, std::byte{0x28});
  for (const std::uint64_t claim :
       {std::uint64_t{4096}, std::uint64_t{4097}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    Bytes file;
    append(file, make_file_header(1));
    append(file, make_section_header(KF_SEC_CHUNKS, KF_SECTION_ZSTD, stored, claim));
    file.insert(file.end(), stored.begin(), stored.end());
    expect_bounded("claim", file, 64 << 10);
  }
}

// The frame's own header may promise more than the section's.
TEST(HostileSizes, ABombIsNotUnpacked) {
  const Bytes zeros(32u << 20);
  Bytes stored(ZSTD_compressBound(zeros.size()));
  stored.resize(ZSTD_compress(stored.data(), stored.size(), zeros.data(), zeros.size(), 1));
  Bytes file;
  append(file, make_file_header(1));
  append(file, make_section_header(KF_SEC_CHUNKS, KF_SECTION_ZSTD, stored, stored.size() * kMaxExpansion));
  file.insert(file.end(), stored.begin(), stored.end());
  expect_bounded("bomb", file, 64 << 10);
}

}  // namespace
}  // namespace kflight::dump
