// SPDX-License-Identifier: Apache-2.0
//
// Where a wait was entered and what a CPU was used for, as explain tells it from the stacks of a dump.
#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "analyze/check.hpp"
#include "analyze/explain_analysis.hpp"
#include "support/locked_out.hpp"

namespace kflight::test {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ExplainStacks, SaysWhereWaitsWereEnteredAndWhatWasComputed) {
  const std::string text = analyze::render(LockedOut(true).report(), {.columns = 4000});
  EXPECT_THAT(text, HasSubstr("futex 0x1000 at app+0x1111")) << text;
  EXPECT_THAT(text, HasSubstr("at app+0x2222, kernel: down_write"));
  EXPECT_THAT(text, HasSubstr("holder on CPU, 90 % of 10 samples in app+0x3333"));
}

TEST(ExplainStacks, WithoutStacksNothingIsSaid) {
  const std::string text = analyze::render(LockedOut(false).report(), {.columns = 4000});
  EXPECT_THAT(text, HasSubstr("futex 0x1000"));
  EXPECT_THAT(text, Not(HasSubstr("app+")));
  EXPECT_THAT(text, Not(HasSubstr("samples")));
}

TEST(ExplainStacks, JsonHasTheWholeStacks) {
  const auto json = nlohmann::json::parse(LockedOut(true).report().json);
  bool asked = false, held = false;
  for (const auto& node : json["tree"]) {
    if (!node.contains("stacks")) continue;
    const auto& stacks = node["stacks"];
    if (stacks["user"]["frames"][0]["offset"] == 0x1111) asked = true;
    if (stacks["user"]["frames"][0]["offset"] == 0x2222) {
      held = true;
      EXPECT_EQ(stacks["kernel"]["frames"][1]["function"], "down_write");
      EXPECT_EQ(stacks["user"]["truncated"], false);
    }
  }
  EXPECT_TRUE(asked && held) << json.dump(1);
  bool profiled = false;
  for (const auto& leaf : json["leaves"]) {
    if (!leaf.contains("profile")) continue;
    profiled = true;
    EXPECT_EQ(leaf["profile"]["samples"], 10);
    EXPECT_EQ(leaf["profile"]["functions"][0]["function"], "app+0x3333");
  }
  EXPECT_TRUE(profiled);
}

// A dump says what it likes; what is printed of it is safe to print.
TEST(ExplainStacks, JsonHasNoControlCharactersOfModules) {
  const std::string json = LockedOut(true, "a\x1b[31mpp").report().json;
  EXPECT_THAT(json, HasSubstr(R"("module": "a\\x1b[31mpp")"));
  EXPECT_THAT(json, Not(HasSubstr("u001b")));
}

analyze::InvariantReport stacks_of(const Dump& dump) {
  const auto report = analyze::check_dump(dump, {});
  const auto found = std::ranges::find(report.invariants, std::string_view("stacks"), &analyze::InvariantReport::name);
  return found == report.invariants.end() ? analyze::InvariantReport{} : *found;
}

TEST(CheckStacks, OfARightDump) {
  LockedOut right(true);
  EXPECT_EQ(stacks_of(right.file.dump()).verdict, analyze::Verdict::kOk);
  LockedOut without(false);
  EXPECT_EQ(stacks_of(without.file.dump()).verdict, analyze::Verdict::kNotApplicable);
}

TEST(CheckStacks, StackWithoutItsSwitch) {
  DumpBuilder file;
  ChunkBuilder lane(0, {.start = 1ms, .cur_tid = 5});
  file.stack(1, 5, {1});
  file.add(lane.at(1ms).switch_to(6).after(1us).stack(5, KF_STACK_BLOCK, 0, 1).build()).window(1ms, 2ms);
  EXPECT_EQ(stacks_of(file.dump()).violations, 1u);
}

// Two long waits of one call, then the call's end.
ChunkBuilder two_waits() {
  ChunkBuilder lane(0, {.start = 1ms, .cur_tid = 5});
  lane.at(2ms).switch_to(0, KF_ST_DISK, {.nsw = 1, .sys = call(74, {3}), .in_call_for = 1ms});
  lane.at(4ms).switch_to(5, KF_ST_RUNNING).waited(5, 11, 0, 2'000'000);
  lane.at(5ms).switch_to(0, KF_ST_DISK, {.nsw = 2, .sys = call(74, {3})});
  return std::move(lane.at(7ms).switch_to(5, KF_ST_RUNNING).waited(5, 12, 0, 5'000'000));
}

// The call itself left the window with its CPU's chunk; an older one of the thread, on another CPU, is still there.
TEST(CheckStacks, OfACallThatLeftTheWindow) {
  DumpBuilder file;
  file.stack(1, 5, {1}).window(1ms, 9ms);
  ChunkBuilder before(1, {.start = 1ms, .cur_tid = 5}), lane(0, {.start = 7ms, .cur_tid = 5});
  file.add(before.at(2ms).syscall(74, 0, {.took = 1us}).after(1us).switch_to(0, KF_ST_RUNNING).build());
  file.add(lane.at(8ms).waited(5, 0, 1, 3'000'000).build());
  EXPECT_EQ(stacks_of(file.dump()).verdict, analyze::Verdict::kOk);
}

TEST(CheckStacks, ToldAfterwards) {
  DumpBuilder file;
  file.stack(1, 5, {1}).stack(11, 0, {2}).stack(12, 0, {3}).window(1ms, 9ms);
  ChunkBuilder lane = two_waits();
  lane.at(8ms).syscall(74, 0, {.took = 7ms, .blocked = true}).after(1us).waited(5, 0, 1, 1'000'000);
  file.add(lane.build());
  const Dump& dump = file.dump();
  EXPECT_EQ(stacks_of(dump).verdict, analyze::Verdict::kOk);

  model::StackLog log;
  for (const Event& event : dump.events())
    if (const auto* e = std::get_if<StackEvent>(&event)) log.add(*e);
  log.finish();
  EXPECT_EQ(log.wait(5, 2'000'000).kernel, 11u);
  EXPECT_EQ(log.wait(5, 5'000'000).kernel, 12u);
  for (const kf_u64 begin_ns : {2'000'000u, 5'000'000u}) EXPECT_EQ(log.wait(5, begin_ns).user, 1u);
  EXPECT_EQ(log.wait(5, 500'000).user, 0u) << "before the call";
  EXPECT_EQ(log.wait(5, 8'500'000).user, 0u) << "after it";
  EXPECT_EQ(log.wait(6, 2'000'000).user, 0u) << "another thread";
}

// A wait whose kernel stack found no room is no call, and hides none.
TEST(CheckStacks, LostKernelStackLeavesTheUserStack) {
  DumpBuilder file;
  ChunkBuilder lane(0, {.start = 1ms, .cur_tid = 5});
  lane.at(2ms).switch_to(0, KF_ST_DISK, {.nsw = 1, .sys = call(74, {3}), .in_call_for = 1ms});
  lane.at(4ms).switch_to(5, KF_ST_RUNNING).waited(5, 0, 0, 2'000'000, KF_STACK_LOST_KERNEL);
  lane.at(8ms).syscall(74, 0, {.took = 7ms, .blocked = true}).waited(5, 0, 1, 1'000'000);
  file.stack(1, 5, {1}).add(lane.build()).window(1ms, 9ms);
  model::StackLog log;
  for (const Event& event : file.dump().events())
    if (const auto* e = std::get_if<StackEvent>(&event)) log.add(*e);
  log.finish();
  EXPECT_EQ(log.wait(5, 2'000'000).user, 1u);
}

// Outside of timed calls: one event at the wait's end has both sides.
TEST(CheckStacks, ToldAfterwards_BothSides) {
  DumpBuilder file;
  ChunkBuilder lane(0, {.start = 1ms, .cur_tid = 5});
  lane.at(2ms).switch_to(0, KF_ST_SLEEP, {.nsw = 1}).at(8ms).switch_to(5, KF_ST_RUNNING).waited(5, 11, 1, 2'000'000);
  file.stack(1, 5, {1}).stack(11, 0, {2}).add(lane.build()).window(1ms, 9ms);
  EXPECT_EQ(stacks_of(file.dump()).verdict, analyze::Verdict::kOk);
  model::StackLog log;
  for (const Event& event : file.dump().events())
    if (const auto* e = std::get_if<StackEvent>(&event)) log.add(*e);
  log.finish();
  EXPECT_EQ(log.wait(5, 2'000'000).kernel, 11u);
  EXPECT_EQ(log.wait(5, 2'000'000).user, 1u);
  EXPECT_EQ(log.wait(5, 3'000'000).user, 0u);  // of that wait only
}

TEST(CheckStacks, ToldAfterwardsOfACallThatIsNotThere) {
  DumpBuilder file;
  file.stack(1, 5, {1}).stack(11, 0, {2}).stack(12, 0, {3}).window(1ms, 9ms);
  ChunkBuilder lane = two_waits();
  lane.at(8ms).syscall(74, 0, {.took = 6ms, .blocked = true}).after(1us).waited(5, 0, 1, 1'000'000);
  file.add(lane.build());
  EXPECT_EQ(stacks_of(file.dump()).violations, 1u);
}

TEST(CheckStacks, ToldAfterwardsOfAWaitThatDoesNotEndThere) {
  DumpBuilder file;
  ChunkBuilder lane(0, {.start = 1ms, .cur_tid = 5});
  lane.at(2ms).switch_to(6, KF_ST_DISK).at(4ms).switch_to(7, KF_ST_SLEEP).waited(5, 11, 0, 2'000'000);
  file.stack(11, 0, {2}).add(lane.build()).window(1ms, 9ms);
  EXPECT_EQ(stacks_of(file.dump()).violations, 1u);
}

TEST(CheckStacks, StackThatIsNotInTheDump) {
  DumpBuilder file;
  ChunkBuilder lane(0, {.start = 1ms, .cur_tid = 5});
  file.add(lane.at(1ms).switch_to(6).stack(5, KF_STACK_BLOCK, 0, 1).build()).window(1ms, 2ms);
  EXPECT_EQ(stacks_of(file.dump()).violations, 1u);
  file.meta.losses.stacks = 1;
  EXPECT_EQ(stacks_of(file.dump()).violations, 0u);
}

}  // namespace
}  // namespace kflight::test
