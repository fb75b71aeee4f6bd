// SPDX-License-Identifier: Apache-2.0
//
// docs/dump-format.md shows a small dump byte by byte. This writes that dump and compares, so the page cannot go stale.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "base/sinks.hpp"
#include "dump/writer.hpp"
#include "kflight/dump.hpp"
#include "support/chunk_builder.hpp"
#include "support/temp_dir.hpp"

namespace kflight::dump {
namespace {

using namespace test;

std::vector<std::byte> example_dump() {
  ChunkBuilder lane(1, {.start = 5ms, .cur_tid = 100, .seq = 7, .events_before = 42});
  const auto chunk = lane.woken(101, {.cpu = 1, .delay = 300ns})
                         .after(1200ns)
                         .switch_to(101, KF_ST_SLEEP, {.nsw = 9, .sys = call(0, {3})})
                         .build();
  MemorySink sink;
  DumpWriter writer(sink);
  EXPECT_TRUE(writer.begin(1'700'000'000'000'000'000));
  EXPECT_TRUE(writer.chunk_bytes(chunk.bytes()));
  EXPECT_TRUE(writer.finish());
  return sink.take();
}

// "0018  00 68 cd 8d 35 9a 97 17"
std::string hex_lines(std::span<const std::byte> bytes) {
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    text += fmt::format("{:04x} ", at);
    for (const auto byte : bytes.subspan(at, 8)) text += fmt::format(" {:02x}", static_cast<unsigned>(byte));
    text += '\n';
  }
  return text;
}

// The block fenced with ```hex, comments cut off.
std::string documented_lines() {
  const auto root = std::filesystem::path(KFLIGHT_SOURCE_DIR);
  std::istringstream page(read_text((root / "docs/dump-format.md").string()));
  std::string text, line;
  bool inside = false;
  constexpr std::size_t kHexColumns = 29;  // offset, two blanks, eight bytes
  while (std::getline(page, line)) {
    if (line.starts_with("```"))
      inside = line == "```hex";
    else if (inside && !line.empty() && line[0] != '#')
      text += line.substr(0, kHexColumns) + '\n';
  }
  return text;
}

TEST(FormatDoc, ExampleIsWhatTheWriterWrites) { EXPECT_EQ(documented_lines(), hex_lines(example_dump())); }

TEST(FormatDoc, ExampleReadsAsThePageSays) {
  const auto file = example_dump();
  const auto dump = Dump::from_bytes(file);
  ASSERT_TRUE(dump);
  EXPECT_TRUE(dump->complete());
  bool woke = false, switched = false;
  for (const auto& event : dump->events())
    visit(
        event,
        [&](const WakingEvent& e) {
          EXPECT_EQ(e.ts_ns, 5'000'000u);
          EXPECT_EQ(e.wakeup_ns, 5'000'300u);
          EXPECT_EQ(e.wakee, 101u);
          EXPECT_EQ(e.tid, 100u);
          woke = true;
        },
        [&](const SwitchEvent& e) {
          EXPECT_EQ(e.ts_ns, 5'001'200u);
          EXPECT_EQ(e.next_tid, 101u);
          EXPECT_EQ(e.sys.nr, 0u);
          EXPECT_EQ(e.sys.args[0], 3u);
          EXPECT_EQ(e.nsw, 9);
          switched = true;
        });
  EXPECT_TRUE(woke && switched);
}

}  // namespace
}  // namespace kflight::dump
