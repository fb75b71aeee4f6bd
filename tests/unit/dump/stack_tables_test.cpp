// SPDX-License-Identifier: Apache-2.0
//
// The sections about stacks: what is written is what is read, and what is damaged costs its section's rest and nothing
// else.
#include <gtest/gtest.h>

#include <cstring>

#include "dump/section.hpp"
#include "dump/stack_tables.hpp"
#include "support/dump_builder.hpp"

namespace kflight::dump {
namespace {

using namespace test;

std::vector<std::byte> bytes_of(const RecordBlob& blob) { return {blob.bytes().begin(), blob.bytes().end()}; }

kf_stack stack_head(kf_u64 id, std::size_t frames, std::size_t tops) {
  kf_stack head{};
  head.id = id;
  head.frames = static_cast<kf_u16>(frames);
  head.tops = static_cast<kf_u8>(tops);
  return head;
}

TEST(StackTables, RoundTrip) {
  DumpBuilder file;
  const std::vector<std::byte> id(20, std::byte{7});
  file.stack(9, 100, {0x1000, 0x2000}, {kf_pack_top(3, 0x3000)}, KF_STACK_TRUNCATED)
      .stack(4, 0, {0xffffffff81000010})
      .kernel_symbol(0xffffffff81000000, 0xffffffff81000100, "futex_wait")
      .kernel_symbol(0xffffffffc0000000, 0xffffffffc0000100, "ext4_sync_file", "ext4")
      .mapped_file(1, "/usr/lib/x.so", id)
      .mapped_file(0, "[vdso]", {});
  file.mappings.push_back({.tgid = 100, .file = 1, .begin = 0x1000, .end = 0x4000, .offset = 0x100, .from_ns = 5});
  file.base_stacks.push_back({.tid = 101, .out_ns = 3, .kernel = 4, .user = 9});
  const Dump& dump = file.dump();
  EXPECT_TRUE(dump.damage().empty());
  ASSERT_EQ(dump.stacks().size(), 2u);
  const Stack* user = dump.stack(9);
  ASSERT_NE(user, nullptr);
  EXPECT_EQ(user->head.tgid, 100u);
  EXPECT_EQ(user->head.flags, KF_STACK_USER | KF_STACK_TRUNCATED);
  EXPECT_EQ(std::vector(user->frames.begin(), user->frames.end()), (std::vector<kf_u64>{0x1000, 0x2000}));
  ASSERT_EQ(user->tops.size(), 1u);
  EXPECT_EQ(kf_top_offset_words(user->tops[0]), 3u);
  ASSERT_NE(dump.stack(4), nullptr);
  EXPECT_EQ(dump.stack(4)->head.flags, 0u);
  EXPECT_EQ(dump.stack(5), nullptr);
  EXPECT_EQ(dump.stack(0), nullptr);
  ASSERT_EQ(dump.files().size(), 2u);
  EXPECT_EQ(dump.files()[0].path, "[vdso]");
  EXPECT_EQ(dump.files()[1].path, "/usr/lib/x.so");
  EXPECT_EQ(dump.files()[1].head.build_id_bytes, 20u);
  ASSERT_EQ(dump.kernel_symbols().size(), 2u);
  EXPECT_EQ(dump.kernel_symbols()[1].name, "ext4_sync_file");
  EXPECT_EQ(dump.kernel_symbols()[1].module, "ext4");
  ASSERT_EQ(dump.mappings().size(), 1u);
  ASSERT_EQ(dump.base_stacks().size(), 1u);
  EXPECT_EQ(dump.base_stacks()[0].user, 9u);
}

TEST(StackTables, TheSymbolThatHoldsAnAddress) {
  DumpBuilder file;
  file.kernel_symbol(0x300, 0x340, "late").kernel_symbol(0x100, 0x200, "early");
  const auto symbols = file.dump().kernel_symbols();
  const auto name = [&](std::uint64_t address) {
    const KernelSymbol* symbol = find_symbol(symbols, address);
    return symbol ? symbol->name : std::string_view();
  };
  EXPECT_EQ(name(0xff), "");
  EXPECT_EQ(name(0x100), "early");
  EXPECT_EQ(name(0x1ff), "early");
  EXPECT_EQ(name(0x200), "");
  EXPECT_EQ(name(0x33f), "late");
  EXPECT_EQ(name(0x340), "");
}

TEST(StackTables, StackSentTwiceIsThereOnce) {
  DumpBuilder file;
  file.stack(9, 1, {1}).stack(8, 1, {2}).stack(9, 1, {1});
  EXPECT_EQ(file.dump().stacks().size(), 2u);
}

TEST(StackTables, LongTablesBecomeSeveralSections) {
  DumpBuilder file;
  const std::vector<kf_u64> frames(KF_STACK_FRAMES, 0x1234);
  for (kf_u64 id = 1; id <= 3000; ++id) file.stack(id, 1, frames);
  const Dump& dump = file.dump();
  EXPECT_TRUE(dump.damage().empty());
  EXPECT_EQ(dump.stacks().size(), 3000u);
}

TEST(StackTables, RecordThatPromisesTooMuchEndsTheSection) {
  RecordBlob blob;
  const std::vector<kf_u64> words(3, 1);
  blob.add(stack_head(1, 3, 0), std::as_bytes(std::span(words)));
  blob.add(stack_head(2, 4, 0), std::as_bytes(std::span(words)));  // one word more than there is
  StackTables tables;
  EXPECT_EQ(tables.take_stacks(bytes_of(blob)), sizeof(kf_stack) + 3 * sizeof(kf_u64));
  EXPECT_EQ(tables.stacks.size(), 1u);
}

TEST(StackTables, RecordsBeyondTheLimitsAreRefused) {
  for (const auto& head : {stack_head(1, KF_STACK_FRAMES + 1, 0), stack_head(1, 1, KF_STACK_TOPS + 1)}) {
    RecordBlob blob;
    const std::vector<kf_u64> words(512, 1);
    blob.add(head, std::as_bytes(std::span(words)));
    StackTables tables;
    EXPECT_EQ(tables.take_stacks(blob.bytes()), blob.bytes().size());
    EXPECT_TRUE(tables.stacks.empty());
  }
  kf_file file{};
  file.build_id_bytes = KF_BUILD_ID_BYTES + 1;
  RecordBlob files;
  files.add(file);
  StackTables tables;
  EXPECT_NE(tables.take_files(files.bytes()), 0u);
  kf_symbol symbol{};
  symbol.begin = symbol.end = 5;
  RecordBlob symbols;
  symbols.add(symbol);
  EXPECT_NE(tables.take_symbols(symbols.bytes()), 0u);
}

// Whatever a section is cut to, what is read lies inside of it.
TEST(StackTables, CutAnywhere) {
  RecordBlob stacks, files, symbols;
  const std::vector<kf_u64> words(5, 1);
  for (kf_u64 id = 1; id < 4; ++id) stacks.add(stack_head(id, 3, 2), std::as_bytes(std::span(words)));
  kf_file file{};
  file.path_bytes = 5;
  for (int i = 0; i < 3; ++i) files.add(file, std::string_view("/a/bc"));
  kf_symbol symbol{.begin = 1, .end = 2, .name_bytes = 3, .module_bytes = 2, .reserved = 0};
  for (int i = 0; i < 3; ++i) symbols.add(symbol, std::string_view("fn_"), std::string_view("mo"));
  const auto cut = [](const RecordBlob& blob, auto take) {
    for (std::size_t size = 0; size <= blob.bytes().size(); ++size) {
      // a copy of exactly that size, so that a sanitizer sees every step beyond it
      const auto copy = std::make_unique<kf_u64[]>((size + 7) / 8);
      std::memcpy(copy.get(), blob.bytes().data(), size);
      StackTables tables;
      EXPECT_LE((tables.*take)({reinterpret_cast<const std::byte*>(copy.get()), size}), size);
      tables.finish();
    }
  };
  cut(stacks, &StackTables::take_stacks);
  cut(files, &StackTables::take_files);
  cut(symbols, &StackTables::take_symbols);
}

TEST(StackTables, DamagedSectionIsNotedAndTheOthersAreRead) {
  DumpBuilder file;
  file.stack(1, 1, {1, 2, 3}).kernel_symbol(1, 2, "f");
  auto bytes = file.file();
  // flip a byte of the payload of the stacks' section
  for (std::size_t at = 0; at + sizeof(kf_section) < bytes.size(); at += 8) {
    kf_section header;
    std::memcpy(&header, bytes.data() + at, sizeof header);
    if (is_section_header(header) && header.kind == KF_SEC_STACKS) bytes[at + sizeof header] ^= std::byte{1};
  }
  const auto dump = Dump::from_bytes(bytes);
  ASSERT_TRUE(dump);
  EXPECT_FALSE(dump->damage().empty());
  EXPECT_TRUE(dump->stacks().empty());
  EXPECT_EQ(dump->kernel_symbols().size(), 1u);
}

}  // namespace
}  // namespace kflight::dump
