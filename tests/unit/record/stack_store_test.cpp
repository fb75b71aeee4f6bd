// SPDX-License-Identifier: Apache-2.0
//
// What the recorder keeps of stacks: each once, in bounded memory, and whatever the window may name.
#include "record/stack_store.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "dump/stack_tables.hpp"
#include "record/build_id.hpp"
#include "record/kernel_symbols.hpp"
#include "record/process_code.hpp"
#include "support/temp_dir.hpp"

namespace kflight::record {
namespace {

using namespace test;

constexpr std::uint64_t kOneSecond = 1'000'000'000;

std::vector<std::byte> record(kf_u64 id, std::uint64_t sent_ns, std::size_t frames = 4, kf_u32 tgid = 0) {
  kf_stack head{};
  head.id = id;
  head.sent_ns = sent_ns;
  head.tgid = tgid;
  head.frames = static_cast<kf_u16>(frames);
  head.flags = tgid != 0 ? KF_STACK_USER : 0;
  dump::RecordBlob blob;
  const std::vector<kf_u64> words(frames, 0x1000 + id);
  blob.add(head, std::as_bytes(std::span(words)));
  return {blob.bytes().begin(), blob.bytes().end()};
}

std::vector<kf_u64> ids(const StackStore& store) {
  const auto blob = store.records();
  dump::StackTables tables;
  EXPECT_EQ(tables.take_stacks(blob.bytes()), 0u);
  tables.finish();
  std::vector<kf_u64> out;
  for (const Stack& stack : tables.stacks) out.push_back(stack.head.id);
  return out;
}

TEST(StackStore, KeepsEachOnce) {
  StackStore store(1 << 20, [] {});
  EXPECT_TRUE(store.add(record(5, 1), 1));
  EXPECT_TRUE(store.add(record(6, 2), 2));
  EXPECT_TRUE(store.add(record(5, 3), 3));
  EXPECT_EQ(ids(store), (std::vector<kf_u64>{5, 6}));
  EXPECT_EQ(store.kernel_addresses(), (std::vector<std::uint64_t>{0x1005, 0x1006}));
}

TEST(StackStore, RefusesWhatIsMalformed) {
  StackStore store(1 << 20, [] {});
  auto cut = record(5, 1);
  cut.pop_back();
  EXPECT_FALSE(store.add(cut, 1));
  EXPECT_FALSE(store.add(std::span(cut).first(8), 1));
  EXPECT_FALSE(store.add(record(0, 1), 1));
  EXPECT_EQ(store.count(), 0u);
  EXPECT_EQ(store.lost(), 0u);
}

TEST(StackStore, FullStoreCountsWhatItLoses) {
  StackStore store(4096, [] {});
  for (kf_u64 id = 1; id <= 100; ++id) store.add(record(id, id), id);
  EXPECT_GT(store.lost(), 0u);
  EXPECT_EQ(store.lost() + store.count(), 100u);
  EXPECT_LE(store.bytes(), 4096u);
}

// The rule of the header: half full, all in use are sent again, the others go when the window has passed.
TEST(StackStore, ForgetsWhatNoEventOfTheWindowCanName) {
  int resent = 0;
  StackStore store(20'000, [&] { ++resent; });
  kf_u64 id = 0;
  while (resent == 0) store.add(record(++id, 5 * kOneSecond), 10 * kOneSecond);
  const kf_u64 old = id;
  EXPECT_FALSE(store.wants_to_shrink(10 * kOneSecond));
  store.add(record(2, 12 * kOneSecond), 12 * kOneSecond);        // still in use
  store.add(record(old + 1, 12 * kOneSecond), 12 * kOneSecond);  // new
  ASSERT_TRUE(store.wants_to_shrink(20 * kOneSecond));
  const kf_base_stack base{.tid = 1, .reserved = 0, .out_ns = 5, .kernel = 3, .user = 0};
  store.shrink(20 * kOneSecond, {&base, 1});
  EXPECT_EQ(ids(store), (std::vector<kf_u64>{2, 3, old + 1}));
  EXPECT_EQ(resent, 1);
  EXPECT_FALSE(store.wants_to_shrink(30 * kOneSecond));
  while (resent == 1) store.add(record(++id, 40 * kOneSecond), 40 * kOneSecond);  // and once more
  EXPECT_EQ(store.lost(), 0u);
}

TEST(KernelSymbols, OnlyThoseThatHoldAnAddress) {
  TempDir temp;
  const std::string path = temp.file("kallsyms");
  std::ofstream(path) << "ffffffff81000000 T first\nffffffff81000000 T alias\nffffffff81000100 t second\n"
                         "ffffffff81000200 D data\nffffffff81000300 T third\n"
                         "ffffffffc0000000 t in_module\t[ext4]\n";
  KernelSymbols symbols(path);
  const std::vector<std::uint64_t> addresses{0xffffffff81000010, 0xffffffff81000250, 0xffffffffc0000004};
  const auto blob = symbols.of(addresses);
  dump::StackTables tables;
  EXPECT_EQ(tables.take_symbols(blob.bytes()), 0u);
  ASSERT_EQ(tables.symbols.size(), 3u);
  EXPECT_EQ(tables.symbols[0].name, "first");
  EXPECT_EQ(tables.symbols[0].end, 0xffffffff81000100);
  EXPECT_EQ(tables.symbols[1].name, "second");
  EXPECT_EQ(tables.symbols[2].name, "in_module");
  EXPECT_EQ(tables.symbols[2].module, "ext4");
  // known: the file is not needed again
  std::ofstream(path, std::ios::trunc) << "";
  EXPECT_EQ(symbols.of(std::span(addresses).first(1)).count(), 1u);
}

TEST(KernelSymbols, HiddenAddressesNameNothing) {
  TempDir temp;
  const std::string path = temp.file("kallsyms");
  std::ofstream(path) << "0000000000000000 T first\n0000000000000000 T second\n";
  KernelSymbols symbols(path);
  const std::vector<std::uint64_t> addresses{0x10};
  EXPECT_EQ(symbols.of(addresses).count(), 0u);
}

TEST(BuildId, OfFilesThatAreNoElf) {
  TempDir temp;
  const std::string path = temp.file("text");
  std::ofstream(path) << "#!/bin/sh\n";
  EXPECT_TRUE(build_id_of_file(path.c_str()).empty());
  EXPECT_TRUE(build_id_of_file((temp.file("nothing")).c_str()).empty());
  EXPECT_FALSE(build_id_of_image(own_vdso()).empty());
}

}  // namespace
}  // namespace kflight::record
