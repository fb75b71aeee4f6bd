// SPDX-License-Identifier: Apache-2.0
//
// The JSON lines of an export: whole, parseable, the events those of `kflight events`, the states those of the
// Timeline.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/sinks.hpp"
#include "export/event_json.hpp"
#include "export/jsonl.hpp"
#include "support/sample_dump.hpp"
#include "support/trace_builder.hpp"

namespace kflight::test {
namespace {

using Json = nlohmann::json;

std::vector<std::string> lines_of(const model::Trace& trace, const exports::ExportOptions& options = {}) {
  MemorySink sink;
  EXPECT_TRUE(exports::export_jsonl(trace, sink, options));
  const auto bytes = sink.bytes();
  std::istringstream in(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  std::vector<std::string> out;
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}
std::vector<Json> of_kind(const std::vector<std::string>& lines, const std::string& kind) {
  std::vector<Json> out;
  for (const std::string& line : lines) {
    const Json parsed = Json::parse(line, nullptr, false);
    EXPECT_FALSE(parsed.is_discarded()) << line;
    if (parsed["kind"] == kind) out.push_back(parsed);
  }
  return out;
}

TEST(Jsonl, HeaderComesFirstAndTheCountLast) {
  const auto file = sample_dump();
  const auto lines = lines_of(model::Trace(*Dump::from_bytes(file)));
  const Json head = Json::parse(lines.front()), end = Json::parse(lines.back());
  EXPECT_EQ(head["kind"], "dump");
  EXPECT_EQ(head["kernel"], "6.18.0");
  EXPECT_EQ(head["trigger"], "syscall:fsync>20ms");
  EXPECT_EQ(head["complete"], true);
  EXPECT_EQ(end["kind"], "end");
  EXPECT_EQ(end["lines"], lines.size());
}

TEST(Jsonl, HeaderIsSafeToPrint) {
  DumpMeta meta;
  meta.host = {.hostname = "b\x1box", .kernel_release = "6\x1b.18", .machine = "x\x1b"};
  meta.config.kflight_version = "1\x1b";
  meta.cause.trigger = "syscall:\x1b";
  TraceBuilder t;
  const std::string head = lines_of(model::Trace(t.runs(0, 7).timeline(1'000, 2'000), meta)).front();
  EXPECT_EQ(Json::parse(head)["host"], "b\\x1box");
  EXPECT_EQ(head.find("u001b"), head.npos) << head;
}

TEST(Jsonl, EventsAreThoseOfTheEventsCommand) {
  const auto file = sample_dump();
  const model::Trace trace(*Dump::from_bytes(file));
  std::vector<std::string> wanted;
  for (const Event& event : trace.dump()->events()) {
    exports::append_event_json(wanted.emplace_back(), event);
    wanted.back().pop_back();
  }
  const auto lines = lines_of(trace);
  const std::size_t first = 1 + trace.timeline().threads().size();
  ASSERT_GT(lines.size(), first + wanted.size());
  EXPECT_EQ(std::vector(lines.begin() + first, lines.begin() + first + wanted.size()), wanted);
}

TEST(Jsonl, StatesTileTheWindowAndNameTheWaker) {
  TraceBuilder t;
  t.runs(0, 10).runs(1, 20).named(10, "a\"\\\x01").named(20, "b");
  t.at(2000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read", .args = {3}});
  t.at(3000).cpu(1).waking(10).wakeup(10, 0).at(3500).cpu(0).switch_to(10);
  const auto lines = lines_of(model::Trace(t.timeline(1000, 9000)));
  std::vector<Json> states;
  for (const Json& state : of_kind(lines, "state"))
    if (state["tid"] == 10) states.push_back(state);
  ASSERT_EQ(states.size(), 4u);
  EXPECT_EQ(states[0]["state"], "running");
  EXPECT_EQ(states[0]["begin_ns"], 1000);
  EXPECT_EQ(states[1]["state"], "blocked");
  EXPECT_EQ(states[1]["detail"], "S");
  EXPECT_EQ(states[1]["waits_for"], "read fd 3");
  EXPECT_EQ(states[2]["state"], "runnable");
  EXPECT_EQ(states[2]["wake"]["waker_tid"], 20);
  EXPECT_EQ(states[2]["wake"]["context"], "task");
  EXPECT_EQ(states[3]["end_ns"], 9000);
  for (std::size_t i = 1; i < states.size(); ++i) EXPECT_EQ(states[i]["begin_ns"], states[i - 1]["end_ns"]);
  const auto threads = of_kind(lines, "thread");
  EXPECT_THAT(threads, testing::Contains(testing::Truly(
                           [](const Json& thread) { return thread["tid"] == 10 && thread["comm"] == "a\"\\\\x01"; })));
}

TEST(Jsonl, ExplanationIsThere) {
  exports::ExportOptions options;
  options.explained = {"read", 1000, 2000, {{1000, 2000, {"a: read", "b: futex"}, "timer", "timer", "exact"}}};
  TraceBuilder t;
  t.runs(0, 10);
  const auto spans = of_kind(lines_of(model::Trace(t.timeline(1000, 9000)), options), "explain");
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0]["what"], "timer");
  EXPECT_EQ(spans[0]["chain"], Json({"a: read", "b: futex"}));
}

}  // namespace
}  // namespace kflight::test
