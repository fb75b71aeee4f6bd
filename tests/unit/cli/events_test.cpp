// SPDX-License-Identifier: Apache-2.0
//
// Events as text and JSON lines, and the filters in front of them.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli/event_filter.hpp"
#include "cli/event_text.hpp"
#include "export/event_json.hpp"
#include "support/calls.hpp"
#include "support/dump_builder.hpp"

namespace kflight::cli {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using test::call;
using test::ChunkBuilder;
using test::DumpBuilder;
using test::nr;
using testing::ElementsAre;
using testing::HasSubstr;


class EventsOutput : public testing::Test {
 protected:
  std::vector<std::string> kinds(EventsOptions options) {
    const Dump& dump = file.dump();
    const DumpClock clock(dump);
    const auto filter = EventFilter::create(options, clock);
    EXPECT_TRUE(filter) << (filter ? "" : filter.error().what);
    std::vector<std::string> out;
    for (const Event& event : dump.events())
      if (filter->wants(event)) out.push_back(line_json(event)["kind"]);
    return out;
  }
  static Json line_json(const Event& event) {
    std::string line;
    exports::append_event_json(line, event);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    const Json parsed = Json::parse(line, nullptr, false);
    EXPECT_FALSE(parsed.is_discarded()) << line;
    return parsed;
  }
  std::vector<Json> as_json() {
    std::vector<Json> out;
    for (const Event& event : file.dump().events()) out.push_back(line_json(event));
    return out;
  }
  std::vector<std::string> as_text() {
    const Dump& dump = file.dump();
    DumpClock clock(dump);
    ThreadNames names(dump);
    EventText text(clock, names, false);
    std::vector<std::string> out;
    for (const Event& event : dump.events()) {
      text.append(out.emplace_back(), event);
      names.follow(event);
    }
    return out;
  }

  ChunkBuilder cpu{1, {.start = 10us, .cur_tid = 5}};
  DumpBuilder file;

  void SetUp() override { file.window(10us, 1s).task(5, "nginx", 1s).task(7, "redis", 1s); }
};

TEST_F(EventsOutput, EachKindOfLockHasItsName) {
  for (const kf_u32 kind : {KF_LOCK_MUTEX, KF_LOCK_RT_MUTEX, KF_LOCK_RWSEM, KF_LOCK_MMAP}) cpu.lock_wait(7, 0xa0, kind);
  file.add(cpu.build());
  const auto text = as_text();
  EXPECT_THAT(text.at(0), HasSubstr("waits for mutex 0xa0 held by redis"));
  EXPECT_THAT(text.at(1), HasSubstr("waits for rt_mutex 0xa0"));
  EXPECT_THAT(text.at(2), HasSubstr("waits for rwsem 0xa0"));
  EXPECT_THAT(text.at(3), HasSubstr("waits for mmap_lock 0xa0"));
}

TEST_F(EventsOutput, Stacks) {
  file.add(cpu.stack(5, KF_STACK_SAMPLE, 0, 0x1234)
               .stack(7, KF_STACK_BLOCK, ~0ull, 0, KF_STACK_LOST_USER)
               .build());
  const auto text = as_text();
  EXPECT_THAT(text.at(0), HasSubstr("nginx           stack        runs at user 0000000000001234\n"));
  EXPECT_THAT(text.at(1), HasSubstr("redis:7 blocks at kernel ffffffffffffffff, user stack lost\n"));
  const auto lines = as_json();
  EXPECT_EQ(lines.at(0)["role_name"], "runs at");
  EXPECT_EQ(lines.at(0)["user_stack"], 0x1234);
  EXPECT_EQ(lines.at(1)["kernel_stack"], ~0ull);
  EXPECT_EQ(lines.at(1)["user_lost"], true);
}

// ------------------------------------------------------------------ text

TEST_F(EventsOutput, Switch_SaysWhoGoesWhyAndWhoComes) {
  file.add(cpu.at(500ms).switch_to(7, KF_ST_SLEEP, {.sys = call(nr("fsync"), {3}), .in_call_for = 2ms}).build());
  EXPECT_THAT(as_text(), ElementsAre("  -0.500000000   1       5 nginx           switch       "
                                     "S fsync(fd=3) for 2 ms -> redis:7\n"));
}

TEST_F(EventsOutput, IdleTaskHasAName) {
  file.add(cpu.at(500ms).switch_to(0, KF_ST_RUNNING, {.preempt = true}).build());
  EXPECT_THAT(as_text()[0], HasSubstr("R+ -> idle\n"));
}

TEST_F(EventsOutput, Waking_SaysWhereItGoesAndFromWhere) {
  cpu.at(500ms).woken(7, {.cpu = 3, .delay = 2us, .waker_nr = nr("futex")});
  file.add(cpu.after(1us).waking(7, {.cpu = 2, .ctx = KF_CTX_SOFTIRQ}).build());
  EXPECT_THAT(as_text()[0], HasSubstr("wakes redis:7 on cpu 3 after 2 us, in futex\n"));
  EXPECT_THAT(as_text()[1], HasSubstr("wakes redis:7, last on cpu 2, from softirq\n"));
}

TEST_F(EventsOutput, Syscall_SaysResultAndDuration) {
  file.add(cpu.at(500ms).syscall(nr("fsync"), -5, {.took = 34ms, .blocked = true, .args = call(nr("fsync"), {7})}).build());
  EXPECT_THAT(as_text()[0], HasSubstr("fsync(fd=7) = -1 EIO, took 34 ms, off the cpu meanwhile\n"));
}

TEST_F(EventsOutput, NamesFollowForkExecAndRename) {
  cpu.at(100ms).fork(5, 9, 9, {.comm = "child"}).after(1us).switch_to(9, KF_ST_RUNNING);
  cpu.after(1us).exec(9, 9, "ls", "/bin/ls").after(1us).rename(9, "again").after(1us).switch_to(5, KF_ST_RUNNING);
  file.add(cpu.build());
  const auto lines = as_text();
  EXPECT_THAT(lines[0], HasSubstr("creates process child:9\n"));
  EXPECT_THAT(lines[1], HasSubstr("-> child:9\n"));
  EXPECT_THAT(lines[2], HasSubstr("child           exec         runs /bin/ls as ls\n"));
  EXPECT_THAT(lines[3], HasSubstr("ls              rename       ls:9 is now again\n"));
  EXPECT_THAT(lines[4], HasSubstr("again           switch "));
}

TEST_F(EventsOutput, HostileNamesCannotMoveTheCursor) {
  file.add(cpu.at(500ms).rename(5, "\x1b[2J\n").build());
  EXPECT_THAT(as_text()[0], HasSubstr("is now \\x1b[2J\\x0a\n"));
}

TEST_F(EventsOutput, Loss_SaysSinceWhen) {
  file.add(cpu.at(500ms).waking(7).build());
  cpu.at(600ms).waking(7).build();
  file.add(cpu.at(700ms).waking(7).build());
  EXPECT_THAT(as_text()[1], HasSubstr("1 events of this cpu are missing since -0.500000000 (ring full)\n"));
}

// ------------------------------------------------------------------ JSON

TEST_F(EventsOutput, Json_HasEveryFieldExactly) {
  file.add(cpu.at(500ms + 1ns).switch_to(7, KF_ST_SLEEP, {.nsw = 9, .sys = call(nr("futex"), {1ull << 62, 0, 2})}).build());
  const Json event = as_json()[0];
  EXPECT_EQ(event["kind"], "switch");
  EXPECT_EQ(event["ts_ns"], 500'000'001u);
  EXPECT_EQ(event["tid"], 5);
  EXPECT_EQ(event["next_tid"], 7);
  EXPECT_EQ(event["prev_state"], KF_ST_SLEEP);
  EXPECT_EQ(event["prev_state_name"], "S");
  EXPECT_EQ(event["sys"]["name"], "futex");
  EXPECT_EQ(event["sys"]["args"], Json::array({1ull << 62, 0, 2}));
}

TEST_F(EventsOutput, Json_NullWhereThereIsNoCall) {
  cpu.at(500ms).switch_to(7).after(1us).waking(9).after(1us).syscall(nr("fsync"));
  file.add(cpu.build());
  const auto events = as_json();
  EXPECT_TRUE(events[0]["sys"].is_null());
  EXPECT_TRUE(events[1]["waker_nr_name"].is_null());
  EXPECT_TRUE(events[2]["sys"].is_null());
  EXPECT_EQ(events[2]["nr_name"], "fsync");
}

TEST_F(EventsOutput, Json_IsValidWhateverTheNameHolds) {
  file.add(cpu.at(500ms).rename(5, "a\"\\\xff\n").build());
  EXPECT_EQ(as_json()[0]["comm"], "a\"\\\\xff\\x0a");
}

TEST_F(EventsOutput, Json_EveryKindParses) {
  cpu.at(100ms).switch_to(7).after(1us).waking(9).after(1us).wakeup(9, 1).after(1us).migrate(9, 0, 1).after(1us);
  cpu.fork(7, 10, 10).after(1us).exec(7, 7, "x", "/x").after(1us).exit(7).after(1us).rename(7, "y").after(1us);
  cpu.syscall(nr("fsync")).after(1us).syscall_open(call(nr("fsync"), {1}), 1us).after(1us).generic(200, 0, {1, 2});
  file.add(cpu.build());
  cpu.after(1us).waking(9).build();
  file.add(cpu.after(1us).waking(9).build());
  std::vector<std::string> seen;
  for (const Json& event : as_json()) seen.push_back(event["kind"]);
  EXPECT_THAT(seen, ElementsAre("switch", "waking", "wakeup", "migrate", "fork", "exec", "exit", "rename", "syscall",
                                "syscall_open", "unknown", "loss", "waking"));
}

// ------------------------------------------------------------------ filters

TEST_F(EventsOutput, FilterByTid_FindsEveryRole) {
  cpu.at(100ms).switch_to(7).after(1us).waking(5).after(1us).waking(9).after(1us).migrate(5, 0, 1).after(1us);
  file.add(cpu.fork(7, 10, 5).build());
  EXPECT_THAT(kinds({.tids = {5}}), ElementsAre("switch", "waking", "migrate"));
}

TEST_F(EventsOutput, FilterByTid_KeepsLosses) {
  file.add(cpu.at(100ms).waking(9).build());
  cpu.after(1us).waking(9).build();
  file.add(cpu.after(1us).waking(9).build());
  EXPECT_THAT(kinds({.tids = {77}}), ElementsAre("loss"));
  EXPECT_THAT(kinds({.tids = {77}, .kinds = {"waking"}}), ElementsAre());
}

TEST_F(EventsOutput, FilterByKindCpuAndTime) {
  file.add(cpu.at(100ms).waking(9).at(200ms).switch_to(7).at(300ms).waking(9).build());
  EXPECT_THAT(kinds({.kinds = {"switch"}}), ElementsAre("switch"));
  EXPECT_THAT(kinds({.cpus = {0}}), ElementsAre());
  EXPECT_THAT(kinds({.from = *parse_time_point("-850ms"), .to = *parse_time_point("-700ms")}), ElementsAre("switch"));
  EXPECT_THAT(kinds({.from = *parse_time_point("@200000001")}), ElementsAre("waking"));
}

TEST_F(EventsOutput, FilterThatNothingPasses_IsRefused) {
  const DumpClock clock(file.dump());
  const auto filter = EventFilter::create({.from = *parse_time_point("-1ms"), .to = *parse_time_point("-2ms")}, clock);
  ASSERT_FALSE(filter);
  EXPECT_THAT(filter.error().what, HasSubstr("--from (-0.001000000) is not before --to (-0.002000000)"));
}

}  // namespace
}  // namespace kflight::cli
