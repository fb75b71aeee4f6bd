// SPDX-License-Identifier: Apache-2.0
#include "dump/meta.hpp"

#include <gmock/gmock.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "support/sample_dump.hpp"

namespace kflight::dump {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

DumpMeta round_trip(const DumpMeta& meta) {
  auto parsed = meta_from_json(to_json(meta));
  EXPECT_TRUE(parsed.is_object);
  EXPECT_THAT(parsed.problems, IsEmpty());
  EXPECT_THAT(parsed.missing, IsEmpty());
  return parsed.meta;
}

TEST(Meta, RoundTripKeepsEverything) {
  auto meta = test::sample_meta();
  meta.cost.programs = {{.name = "on_switch", .run_count = 5, .run_ns = 700}};
  meta.config.everyone = true;
  meta.config.follow = false;
  EXPECT_EQ(to_json(round_trip(meta)), to_json(meta));
  const auto again = round_trip(meta);
  EXPECT_EQ(again.cause.comm.view(), "worker");
  EXPECT_EQ(again.targets[0].exe, "/usr/bin/db");
  EXPECT_EQ(again.cost.programs[0].run_ns, 700u);
  EXPECT_TRUE(again.config.everyone);
  EXPECT_FALSE(again.config.follow);
}

TEST(Meta, NumbersAreExactTo64Bits) {
  auto meta = test::sample_meta();
  meta.cause.args[0] = std::numeric_limits<std::uint64_t>::max();
  meta.cause.ret = std::numeric_limits<std::int64_t>::min();
  meta.window.events = (1ull << 53) + 1;
  const auto again = round_trip(meta);
  EXPECT_EQ(again.cause.args[0], std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(again.cause.ret, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(again.window.events, (1ull << 53) + 1);
}

TEST(Meta, StringsHoldAnyBytes) {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  for (const auto& bytes : {all, std::string("größe"), std::string("\\x41 stays text"), std::string("end\\"),
                            std::string("\xe2\x82"), std::string("\\\\x\xff")}) {
    auto meta = test::sample_meta();
    meta.cause.fd_path = bytes;
    EXPECT_EQ(round_trip(meta).cause.fd_path, bytes);
  }
}

TEST(Meta, TextIsValidJsonWithVisibleBytes) {
  auto meta = test::sample_meta();
  meta.cause.comm = Comm::from("a\xff\\");
  const auto json = nlohmann::json::parse(to_json(meta), nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["cause"]["comm"], "a\\xff\\\\");
}

TEST(Meta, WrongTypesGiveDefaultsAndSaySo) {
  const auto parsed = meta_from_json(R"({"host":{"hostname":5,"cpus_possible":-1,"cpus_online":1.5,"machine":"arm"},
      "clocks":[],"cause":{"args":[1,2],"tid":4294967296,"ret":9223372036854775808,"has_call":1},
      "targets":[{"tgid":7},3],"dump_number":"1"})");
  EXPECT_EQ(parsed.meta.host.machine, "arm");
  EXPECT_EQ(parsed.meta.host.hostname, "");
  EXPECT_EQ(parsed.meta.cause.tid, 0u);
  EXPECT_EQ(parsed.meta.targets.size(), 2u);
  EXPECT_EQ(parsed.meta.targets[0].tgid, 7u);
  EXPECT_THAT(parsed.problems,
              ElementsAre("host.hostname is no text", "host.cpus_possible is no number of 32 bits",
                          "host.cpus_online is no number of 32 bits", "clocks is no object",
                          "cause.has_call is neither true nor false", "cause.tid is no number of 32 bits",
                          "cause.args is no list of 6", "cause.ret is no number of 64 bits", "targets[] is no object",
                          "dump_number is no number of 64 bits"));
  EXPECT_THAT(parsed.missing, Contains("host.kernel_release"));
  EXPECT_THAT(parsed.missing, Contains("targets[].exe"));
}

TEST(Meta, UnknownFieldsAreIgnored) {
  auto json = nlohmann::json::parse(to_json(test::sample_meta()));
  json["of_a_later_version"] = {1, 2, 3};
  json["host"]["colour"] = "red";
  const auto parsed = meta_from_json(json.dump());
  EXPECT_THAT(parsed.problems, IsEmpty());
  EXPECT_EQ(parsed.meta.host.hostname, "box");
}

TEST(Meta, NonsenseGivesDefaults) {
  for (const char* text : {"", "{", "nonsense", "\xff\xfe", "{\"host\":{\"hostname\":\"\xff\"}}"}) {
    const auto parsed = meta_from_json(text);
    EXPECT_FALSE(parsed.is_object) << text;
    EXPECT_THAT(parsed.problems, ElementsAre("it is no valid JSON"));
  }
  EXPECT_THAT(meta_from_json("[1]").problems, ElementsAre("it is no JSON object"));
}

TEST(Meta, DeepNestingAndLongListsStayBounded) {
  std::string deep(1'000'000, '[');
  EXPECT_FALSE(meta_from_json(deep).is_object);
  EXPECT_FALSE(meta_from_json(deep + std::string(1'000'000, ']')).is_object);
  std::string list = R"({"config":{"target_pids":[)";
  for (int i = 0; i < 100'000; ++i) list += "\"x\",";
  EXPECT_LE(meta_from_json(list + "1]}}").problems.size(), 100u);
}

// Who shows the text as it is builds a tree of it: that must be cheap, whoever wrote it.
TEST(Meta, WhatNoRecorderWritesIsRefused) {
  const auto expect_refused = [](const std::string& text) {
    const auto parsed = meta_from_json(text);
    EXPECT_FALSE(parsed.is_object);
    EXPECT_THAT(parsed.problems, ElementsAre(HasSubstr("than any recorder writes")));
  };
  std::string members = "{\"x\":0";
  for (int i = 0; i < 1000; ++i) members += ",\"" + std::to_string(i) + "\":0";
  std::string values = "{\"x\":[0";
  for (int i = 0; i < 300'000; ++i) values += ",0";
  expect_refused(members + "}");
  expect_refused(values + "]}");
  expect_refused("{\"x\":" + std::string(16, '[') + std::string(16, ']') + "}");
  EXPECT_TRUE(meta_from_json("{\"x\":" + std::string(15, '[') + std::string(15, ']') + "}").is_object);
}

}  // namespace
}  // namespace kflight::dump
