// SPDX-License-Identifier: Apache-2.0
//
// The field table against itself and against what is generated from it. (That no event and no field is left out is the
// compiler's business, see the end of schema.hpp.)
#include "dump/schema.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <vector>

#include "dump/decoder.hpp"
#include "support/chunk_builder.hpp"

namespace kflight::dump {
namespace {

template <std::size_t I = 0, class F>
void for_each_kind(F&& fn) {
  if constexpr (I < std::variant_size_v<Event>) {
    fn(std::variant_alternative_t<I, Event>{});
    for_each_kind<I + 1>(fn);
  }
}

TEST(Schema, NamesAreUniqueAndEverythingIsExplained) {
  std::set<std::string_view> kinds;
  for_each_kind([&](const auto& event) {
    const EventDoc& doc = doc_of(Event(event));
    EXPECT_TRUE(kinds.insert(doc.kind).second) << doc.kind;
    EXPECT_FALSE(doc.doc.empty()) << doc.kind;
    std::set<std::string_view> names;
    for_each_field(event, [&](const FieldInfo& info, const auto&) {
      EXPECT_TRUE(names.insert(info.name).second) << doc.kind << "." << info.name;
      EXPECT_FALSE(info.doc.empty()) << doc.kind << "." << info.name;
    });
  });
}

TEST(Schema, EveryRecordedKindDecodesToItsEntry) {
  using namespace test;
  const auto chunk = ChunkBuilder(0)
                         .switch_to(1)
                         .waking(1)
                         .wakeup(1, 0)
                         .migrate(1, 0, 1)
                         .fork(1, 2, 2)
                         .exec(1, 1, "a", "b")
                         .exit(1)
                         .rename(1, "c")
                         .syscall(1)
                         .syscall_open(call(1), 1us)
                         .block(KF_BLOCK_INSERT, 1, 2, 3, 4)
                         .work(1, 1us, 2us, 3, 0)
                         .signal(1, 2, 3)
                         .lock_wait(1, 2)
                         .throttle(1, 2)
                         .refill(1, true)
                         .interrupts(30us, 30us, 1)
                         .stack(1, KF_STACK_BLOCK, 1, 2)
                         .build();
  ChunkCursor cursor(chunk.head, chunk.words);
  std::set<std::pair<int, int>> seen;
  std::size_t word = 0;
  for (Event event; cursor.next(event); word = cursor.damage_word()) {
    const EventDoc& doc = doc_of(event);
    EXPECT_EQ(doc.word_kind, kf_word_kind(chunk.words[word])) << doc.kind;
    const auto generic = doc.word_kind == KF_EV_GENERIC ? kf_generic_kind(chunk.words[word]) : 0;
    EXPECT_EQ(doc.generic_kind, generic) << doc.kind;
    seen.insert({doc.word_kind, doc.generic_kind});
  }
  for_each_kind([&](const auto& event) {
    const EventDoc& doc = doc_of(Event(event));
    EXPECT_TRUE(doc.word_kind == 0 || seen.contains({doc.word_kind, doc.generic_kind})) << doc.kind;
  });
}

TEST(Schema, ForEachFieldGivesNamesAndValuesHeadFirst) {
  MigrateEvent event;
  event.ts_ns = 5;
  event.dest_cpu = 3;
  std::vector<std::string> seen;
  for_each_field(Event(event), [&](const FieldInfo& info, const auto& value) {
    if constexpr (std::is_integral_v<std::decay_t<decltype(value)>>)
      seen.push_back(std::string(info.name) + "=" + std::to_string(value));
  });
  EXPECT_THAT(seen, testing::ElementsAre("ts_ns=5", "tid=0", "cpu=0", "nested=0", "migrated_tid=0", "orig_cpu=0",
                                         "dest_cpu=3"));
}

TEST(Schema, JsonListsEveryKindWithItsFields) {
  const auto json = nlohmann::json::parse(schema_json(), nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  EXPECT_EQ(json["wire_version"], KF_WIRE_VERSION);
  EXPECT_EQ(json["head"].size(), 4u);
  ASSERT_EQ(json["events"].size(), std::variant_size_v<Event>);
  EXPECT_EQ(json["events"][0]["kind"], "switch");
  EXPECT_EQ(json["events"][0]["word_kind"], KF_EV_SWITCH);
  EXPECT_EQ(json["events"][0]["fields"][0]["name"], "next_tid");
  EXPECT_EQ(json["events"][0]["fields"][0]["type"], "u32");
  EXPECT_EQ(json["events"][0]["fields"][0]["meaning"], "tid");
}

TEST(Schema, EventsDocIsUpToDate) {
  const auto path = std::filesystem::path(KFLIGHT_SOURCE_DIR) / "docs/events.md";
  if (std::getenv("KFLIGHT_UPDATE_DOCS") != nullptr) std::ofstream(path) << schema_markdown();
  std::stringstream checked_in;
  checked_in << std::ifstream(path).rdbuf();
  EXPECT_EQ(checked_in.str(), schema_markdown()) << "docs/events.md is generated; its first lines say how";
}

}  // namespace
}  // namespace kflight::dump
