// SPDX-License-Identifier: Apache-2.0
//
// `kflight explain --json` against docs/explain-json.md: what is printed is documented, what is documented as always
// there is printed, and what should add up does.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "model/names.hpp"
#include "support/explained.hpp"
#include "support/locked_out.hpp"
#include "support/worked_example.hpp"

namespace kflight::test {
namespace {

using Json = nlohmann::json;

struct Documented {
  struct Field {
    std::string type;
    bool always = false;
  };
  std::map<std::string, Field> fields;
  std::set<std::string> categories;
  std::string text;
};

Documented read_document() {
  const auto path = std::filesystem::path(KFLIGHT_SOURCE_DIR) / "docs/explain-json.md";
  std::ifstream file(path);
  Documented out;
  const std::regex field(R"(\| `([^`]+)` \| (object|list|number|text|flag|number or null) \| (always|sometimes) \|.*)");
  const std::regex category(R"(\| `([^`]+)` \| [^|]+ \|)");
  std::smatch match;
  for (std::string line; std::getline(file, line); out.text += line + '\n') {
    if (std::regex_match(line, match, field)) {
      out.fields[match[1]] = {match[2], match[3] == "always"};
    } else if (std::regex_match(line, match, category)) {
      out.categories.insert(match[1]);
    }
  }
  return out;
}

bool has_type(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "list") return value.is_array();
  if (type == "text") return value.is_string();
  if (type == "flag") return value.is_boolean();
  return value.is_number() || (type == "number or null" && value.is_null());
}

// Calls fn(path as documented, value) for the value and all inside it.
template <class F>
void for_each_path(const Json& value, const std::string& path, F&& fn) {
  if (!path.empty()) fn(path, value);
  if (value.is_array())
    for (const Json& element : value) for_each_path(element, path + "[]", fn);
  if (!value.is_object()) return;
  for (const auto& [key, member] : value.items()) {
    std::string name = key;
    if (path == "self.blocked") name = "<kind>";
    if (path == "tree[].exclusive" || (path == "self" && key != "blocked")) name = "<category>";
    for_each_path(member, path.empty() ? name : path + "." + name, fn);
  }
}

Json explain_json(const Explained& e) {
  const analyze::Blame blame = analyze::sum_up(e.trace, e.explanation);
  analyze::Operation operation;
  operation.thread = e.explanation.thread;
  operation.begin_ns = e.explanation.begin_ns;
  operation.end_ns = e.explanation.end_ns;
  operation.ret = 64;
  return Json::parse(analyze::explain_json({e.trace, operation, e.explanation, blame}));
}

// A little of everything that has members of its own.
Explained rich_example() {
  constexpr std::uint64_t kWorkFunction = 0xffffffff81000000;
  DumpMeta meta;
  meta.config.syscalls = "all";
  meta.config.everyone = true;
  TraceBuilder t;
  t.runs(0, 7).runs(1, 0).sleeps(60, {.state = KF_ST_IDLE}).named(60, "kworker/1:1", KF_TASK_KTHREAD).named(7, "seven");
  t.at(5'000).cpu(0).returns("getppid", 4'000, 1);
  t.at(10'000).switch_to(0, {.state = KF_ST_DISK, .iowait = true, .call = "pwrite64", .args = {3}});
  t.at(29'000).cpu(1).waking(60, {.ctx = KF_CTX_SOFTIRQ}).wakeup(60, 1).switch_to(60);
  t.at(30'000).work(kWorkFunction, 29'500, {.at_ns = 29'000, .cpu = 1, .ctx = KF_CTX_SOFTIRQ, .cause = KF_CAUSE_TIMER});
  t.block(KF_BLOCK_INSERT, 5).at(31'000).block(KF_BLOCK_ISSUE, 5);
  t.at(49'000).cpu(0).block(KF_BLOCK_COMPLETE, 5, {.ctx = KF_CTX_HARDIRQ});
  t.at(50'000).caused_waking(7, KF_CTX_HARDIRQ, KF_CAUSE_BLOCK, 254u << 9, {30'000, 31'000}).wakeup(7, 0);
  t.at(51'000).switch_to(7).at(52'000).switch_to(0, {.state = KF_ST_SLEEP, .call = "io_getevents"});
  t.at(60'000).cpu(1).work(kWorkFunction, 58'000, {.at_ns = 55'000, .by = 8, .cpu = 0});
  t.caused_waking(7, KF_CTX_TASK, KF_CAUSE_WORK, 0, {kWorkFunction, 0});
  t.at(61'000).cpu(0).switch_to(7).at(62'000).throttle(3).switch_to(0, {.preempt = true, .throttled = true});
  return explain(t, 7, 2'000, 70'000, 80'000, meta,
                 {.functions = {{kWorkFunction, kWorkFunction + 64, "blk_throtl_dispatch_work_fn", ""}},
                  .fd_links = {{7, 3, 40'000, "/var/log/x"}}});
}

std::vector<Json> examples() {
  using W = WorkedExample;
  TraceBuilder silent;
  silent.runs(0, 7);
  return {explain_json(explain(W::trace(), W::T, W::us(0), W::us(31500), W::us(40000))), explain_json(rich_example()),
          explain_json(explain(silent, 7, 10'000, 10'000, 20'000)), Json::parse(LockedOut(true).report().json)};
}

std::uint64_t sum(const Json& object) {
  std::uint64_t total = 0;
  for (const auto& [key, value] : object.items()) total += value.is_object() ? sum(value) : value.get<std::uint64_t>();
  return total;
}

TEST(ExplainJson, EverythingPrintedIsDocumented) {
  const Documented document = read_document();
  std::set<std::string> seen;
  for (const Json& output : examples()) {
    for_each_path(output, "", [&](const std::string& path, const Json& value) {
      seen.insert(path);
      const auto field = document.fields.find(path);
      ASSERT_NE(field, document.fields.end()) << path;
      EXPECT_TRUE(has_type(value, field->second.type)) << path << " is " << value;
    });
  }
  for (const auto& [path, field] : document.fields) {
    const bool of_debug_information = path.starts_with("tree[].stacks.user.frames[].") && !field.always;
    const bool rare = path == "notes[]" || path.ends_with("who.tgid") || path.starts_with("tree[].end.") ||
                      of_debug_information;
    EXPECT_TRUE(rare || seen.contains(path)) << path << " is in none of the examples";
  }
}

TEST(ExplainJson, WhatIsAlwaysThereIs) {
  const Documented document = read_document();
  ASSERT_GT(document.fields.size(), 60u);
  const auto check = [&document](const std::string& path, const Json& value) {
    if (!value.is_object()) return;
    const std::string prefix = path.empty() ? "" : path + ".";
    for (const auto& [name, field] : document.fields) {
      if (!field.always || !name.starts_with(prefix)) continue;
      const std::string member = name.substr(prefix.size());
      const bool own = member.find_first_of(".[") == member.npos;
      EXPECT_TRUE(!own || value.contains(member)) << name;
    }
  };
  for (const Json& output : examples()) {
    check("", output);
    for_each_path(output, "", check);
  }
}

TEST(ExplainJson, AddsUp) {
  for (const Json& output : examples()) {
    const auto duration = output["op"]["duration_ns"].get<std::uint64_t>();
    EXPECT_EQ(duration, output["op"]["t1_ns"].get<std::uint64_t>() - output["op"]["t0_ns"].get<std::uint64_t>());
    EXPECT_EQ(sum(output["self"]), duration);
    EXPECT_EQ(sum(output["quality"]), duration);
    std::uint64_t leaves = 0, exclusive = 0;
    for (const Json& leaf : output["leaves"]) {
      leaves += leaf["ns"].get<std::uint64_t>();
      EXPECT_EQ(sum(leaf["quality"]), leaf["ns"]);
    }
    EXPECT_EQ(leaves, duration);
    std::vector<std::uint64_t> below(output["tree"].size());
    for (const Json& node : output["tree"]) {
      exclusive += node["exclusive_ns"].get<std::uint64_t>();
      EXPECT_EQ(sum(node["exclusive"]), node["exclusive_ns"]);
      if (!node["parent"].is_null()) below[node["parent"]] += node["inclusive_ns"].get<std::uint64_t>();
    }
    EXPECT_EQ(exclusive, duration);
    for (std::size_t i = 0; i < below.size(); ++i)
      EXPECT_EQ(output["tree"][i]["inclusive_ns"], output["tree"][i]["exclusive_ns"].get<std::uint64_t>() + below[i]);
    EXPECT_EQ(output["tree"][0]["inclusive_ns"], duration);
  }
}

TEST(ExplainJson, ListsAreClosed) {
  const Documented document = read_document();
  std::set<std::string> categories;
  for (std::size_t i = 0; i < analyze::kCategories; ++i)
    categories.emplace(analyze::category_name(static_cast<analyze::Category>(i)));
  EXPECT_EQ(document.categories, categories);
  for (int kind = 0; kind <= static_cast<int>(model::WaitKind::kTerminal); ++kind) {
    const std::string name(model::wait_kind_name(static_cast<model::WaitKind>(kind)));
    EXPECT_NE(document.text.find('`' + name + '`'), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace kflight::test
