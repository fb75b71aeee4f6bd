// SPDX-License-Identifier: Apache-2.0
//
// Every invariant three times: it holds, it is broken, and the same break lies in a hole that the dump admits.
#include "analyze/check.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "support/dump_builder.hpp"

namespace kflight::analyze {
namespace {

using namespace std::chrono_literals;
using test::BuiltChunk;
using test::call;
using test::ChunkBuilder;
using test::DumpBuilder;
using test::Nanos;
using testing::HasSubstr;

const InvariantReport& find(const CheckReport& report, std::string_view name) {
  for (const InvariantReport& one : report.invariants)
    if (one.name == name) return one;
  ADD_FAILURE() << "no invariant " << name;
  return report.invariants.front();
}

std::string said(const InvariantReport& report) {
  std::string out = fmt::format("{}: {} {} checked {} excused {}", report.name, verdict_name(report.verdict),
                                report.why_not, report.checked, report.excused);
  for (const Evidence& e : report.evidence) out += "\n  " + e.what;
  return out;
}

class Check : public testing::Test {
 protected:
  // Checks the file as it is now. No other invariant than the expected ones may complain.
  InvariantReport check(std::string_view name, std::initializer_list<std::string_view> others = {}) {
    const CheckReport report = check_dump(file.dump());
    for (const InvariantReport& one : report.invariants) {
      const bool expected = one.name == name || std::ranges::find(others, one.name) != others.end();
      EXPECT_TRUE(expected || one.verdict != Verdict::kViolated) << said(one);
    }
    return find(report, name);
  }
  void expect_ok(std::string_view name) {
    const InvariantReport report = check(name);
    EXPECT_EQ(report.verdict, Verdict::kOk) << said(report);
    EXPECT_GT(report.checked, 0u);
  }
  void expect_violated(std::string_view name, std::string_view what,
                       std::initializer_list<std::string_view> others = {}) {
    const InvariantReport report = check(name, others);
    EXPECT_EQ(report.verdict, Verdict::kViolated) << said(report);
    ASSERT_FALSE(report.evidence.empty());
    EXPECT_THAT(report.evidence.front().what, HasSubstr(what));
  }
  void expect_excused(std::string_view name, std::initializer_list<std::string_view> others = {}) {
    const InvariantReport report = check(name, others);
    EXPECT_NE(report.verdict, Verdict::kViolated) << said(report);
    EXPECT_GT(report.excused, 0u) << said(report);
  }
  // The recorder knows that it missed something somewhere between these times.
  void lose(Nanos from, Nanos to) {
    file.losses.push_back({.kind = KF_LOSS_RECURSION,
                           .lane = 0xffffffff,
                           .from_ns = kf_u64(from.count()),
                           .to_ns = kf_u64(to.count()),
                           .count = 1});
  }
  ChunkBuilder cpu0{0, {.start = 10us, .cur_tid = 5}};
  ChunkBuilder cpu1{1, {.start = 10us, .cur_tid = 6}};
  DumpBuilder file;

  void SetUp() override { file.window(10us, 10ms); }
};

// 5 sleeps, 7 runs, 5 is woken and runs again.
BuiltChunk sleep_and_wake(ChunkBuilder& cpu) {
  return cpu.after(1us)
      .switch_to(7, KF_ST_SLEEP, {.nsw = 1})
      .after(1us)
      .woken(5)
      .after(1us)
      .switch_to(5, KF_ST_RUNNING, {.nsw = 1})
      .build();
}

// ------------------------------------------------------------------ the file

TEST_F(Check, WholeFile_IsOk) {
  file.add(sleep_and_wake(cpu0));
  expect_ok("file-complete");
  expect_ok("chunk-numbers");
  expect_ok("chunk-contents");
  expect_ok("recorder-counts");
  expect_ok("one-thread-per-cpu");
  expect_ok("current-task");
  expect_ok("wake-before-run");
}

TEST_F(Check, FileWithoutTrailer_IsViolated) {
  file.add(sleep_and_wake(cpu0));
  auto bytes = file.file();
  bytes.resize(bytes.size() - 8);
  const auto dump = Dump::from_bytes(bytes);
  ASSERT_TRUE(dump);
  const CheckReport report = check_dump(*dump);
  EXPECT_EQ(find(report, "file-complete").verdict, Verdict::kViolated);
  EXPECT_EQ(find(report, "recorder-counts").verdict, Verdict::kNotApplicable);
}

TEST_F(Check, LostChunk_IsAccounted) {
  file.add(sleep_and_wake(cpu0));
  sleep_and_wake(cpu0);
  file.add(cpu0.after(1us).switch_to(7, KF_ST_RUNNING, {.nsw = 4}).build());
  file.meta.losses.ring_events = 3;
  const InvariantReport report = check("chunk-numbers");
  EXPECT_EQ(report.verdict, Verdict::kOk);
  ASSERT_EQ(report.remarks.size(), 1u);
  EXPECT_EQ(report.remarks[0].count, 3u);
  expect_ok("recorder-counts");
}

TEST_F(Check, LossTheRecorderDidNotCount_IsViolated) {
  file.add(sleep_and_wake(cpu0));
  sleep_and_wake(cpu0);
  file.add(cpu0.after(1us).switch_to(7, KF_ST_RUNNING, {.nsw = 4}).build());
  expect_violated("recorder-counts", "3 in the file, 0 by the recorder");
}

TEST_F(Check, EventsMissingWithoutAGapInNumbers_IsViolated) {
  file.add(sleep_and_wake(cpu0));
  file.add(cpu0.events_before(99).after(1us).switch_to(7, KF_ST_RUNNING, {.nsw = 2}).build());
  expect_violated("chunk-numbers", "99 events precede it by its own count, 3 by its predecessor's");
}

TEST_F(Check, ChunkWithAnotherNumberOfEvents_IsViolated) {
  BuiltChunk chunk = sleep_and_wake(cpu0);
  ++chunk.head.n_events;
  file.add(chunk);
  expect_violated("chunk-contents", "holds 3 events, its header says 4", {"recorder-counts"});
}

TEST_F(Check, ChunkThatBeginsBeforeItsPredecessorEnds_IsViolated) {
  file.add(sleep_and_wake(cpu0));
  BuiltChunk late = cpu0.after(1us).switch_to(7, KF_ST_RUNNING, {.nsw = 2}).build();
  late.head.base_ns -= 2500;
  late.head.last_ns -= 2500;
  file.add(late);
  expect_violated("chunk-contents", "begins before the previous one");
}

// ------------------------------------------------------------------ CPUs

TEST_F(Check, AnotherThreadLeavesThanCame_IsViolated) {
  file.add(cpu0.after(1us).switch_to(7).after(1us).current(8).switch_to(9).build());
  expect_violated("one-thread-per-cpu", "thread 8 leaves the CPU, but the switch before this one put 7 there");
}

TEST_F(Check, AnotherThreadLeavesAfterALoss_IsExcused) {
  file.add(cpu0.after(1us).switch_to(7).build());
  cpu0.after(1us).switch_to(8, KF_ST_RUNNING).build();
  file.add(cpu0.after(1us).switch_to(9).build());
  file.meta.losses.ring_events = 1;
  expect_excused("one-thread-per-cpu");
}

TEST_F(Check, ThreadOnTwoCpus_IsViolated) {
  file.add(cpu0.at(20us).switch_to(7).build());
  file.add(cpu1.at(30us).switch_to(7).build());
  expect_violated("one-thread-per-cpu", "comes to this CPU while it is still on CPU 0");
}

TEST_F(Check, ThreadOnTwoCpusAfterALoss_IsExcused) {
  file.add(cpu0.at(20us).switch_to(7).build());
  cpu0.at(25us).switch_to(5, KF_ST_RUNNING).build();
  file.add(cpu0.at(40us).switch_to(0).build()).add(cpu1.at(30us).switch_to(7).build());
  file.meta.losses.ring_events = 1;
  expect_excused("one-thread-per-cpu");
}

TEST_F(Check, ThreadOnTwoCpusWithinAClockStep_IsNoViolation) {
  file.add(cpu0.at(20us).switch_to(7).at(30us + 300ns).switch_to(0, KF_ST_RUNNING).build());
  file.add(cpu1.at(30us).switch_to(7).build());
  const InvariantReport report = check("one-thread-per-cpu");
  EXPECT_EQ(report.verdict, Verdict::kOk) << said(report);
  ASSERT_EQ(report.remarks.size(), 1u);
}

TEST_F(Check, ThreadThatIsHiddenFromBpf_LeavesAHole) {
  file.task(5, "five", 9ms);
  file.add(
      cpu0.after(1us).switch_to(70, KF_ST_RUNNING).after(1us).current(8).waking(6).after(1us).switch_to(9).build());
  const InvariantReport report = check("one-thread-per-cpu");
  EXPECT_EQ(report.verdict, Verdict::kOk) << said(report);
  EXPECT_EQ(report.remarks.at(0).count, 1u);
}

TEST_F(Check, EventOfAThreadThatIsNotThere_IsViolated) {
  file.add(cpu0.after(1us).switch_to(7).after(1us).current(8).waking(9).build());
  expect_violated("current-task", "thread 8 acts on this CPU, but the last switch put 7 there");
}

TEST_F(Check, EventOfAThreadThatIsNotThereAfterALoss_IsExcused) {
  file.add(cpu0.after(1us).switch_to(7).build());
  cpu0.after(1us).switch_to(8, KF_ST_RUNNING).build();
  file.add(cpu0.after(1us).waking(9).build());
  file.meta.losses.ring_events = 1;
  expect_excused("current-task");
}

TEST_F(Check, ScopeTarget_LeavesCpusOut) {
  file.meta.config.scope = "target";
  file.add(cpu0.after(1us).switch_to(7).after(1us).current(8).switch_to(9).build());
  EXPECT_EQ(check("one-thread-per-cpu").verdict, Verdict::kNotApplicable);
}

// ------------------------------------------------------------------ threads

// 5 leaves and comes back; its switch-outs carry these numbers.
BuiltChunk numbered(ChunkBuilder& cpu, std::initializer_list<kf_u32> numbers) {
  kf_u32 other = 1;
  for (const kf_u32 number : numbers)
    cpu.after(1us)
        .switch_to(7, KF_ST_RUNNING, {.nsw = number})
        .after(1us)
        .switch_to(5, KF_ST_RUNNING, {.nsw = other++});
  return cpu.build();
}

TEST_F(Check, SwitchOutsInSequence_AreOk) {
  file.add(numbered(cpu0, {254, 255, 0, 1}));
  expect_ok("thread-sequence");
}

TEST_F(Check, MissingSwitchOut_IsViolated) {
  file.add(numbered(cpu0, {1, 2, 4}));
  expect_violated("thread-sequence", "switch-out number 4 follows 2");
}

TEST_F(Check, MissingSwitchOutSinceTheBaseState_IsViolated) {
  file.base_tasks.push_back({.tid = 5, .out_ns = 9'000, .out_nsw = 7});
  file.base_lanes.push_back({.lane = 0, .known = 1, .cur_tid = 5, .through_ns = 10'000});
  file.add(numbered(cpu0, {9}));
  expect_violated("thread-sequence", "switch-out number 9 follows 7");
}

TEST_F(Check, NewThreadBeginsAtOne) {
  cpu0.after(1us).fork(5, 9, 9).after(1us).switch_to(9, KF_ST_RUNNING);
  file.add(cpu0.after(1us).switch_to(5, KF_ST_RUNNING, {.nsw = 2}).build());
  expect_violated("thread-sequence", "switch-out number 2 follows 0");
}

// Its first switch-out was on another CPU, whose chunk has left the window already.
TEST_F(Check, BaseStateNewerThanTheFork_Counts) {
  file.base_tasks.push_back({.tid = 9, .out_ns = 11'500, .out_nsw = 1});
  cpu0.after(1us).fork(5, 9, 9).after(1us).switch_to(9, KF_ST_RUNNING);
  file.add(cpu0.after(1us).switch_to(5, KF_ST_RUNNING, {.nsw = 2}).build());
  expect_ok("thread-sequence");
}

TEST_F(Check, MissingSwitchOutInAHole_IsExcusedAndCounted) {
  lose(12us, 15us);
  file.add(numbered(cpu0, {1, 2, 4}));
  expect_excused("thread-sequence");
  EXPECT_EQ(check("thread-sequence").remarks.at(0).count, 1u);
}

TEST_F(Check, MissingSwitchOutElsewhereThanTheHole_IsViolated) {
  lose(1ms, 2ms);
  file.add(numbered(cpu0, {1, 2, 4}));
  expect_violated("thread-sequence", "switch-out number 4 follows 2");
}

TEST_F(Check, RunWithoutWaking_IsViolated) {
  file.add(cpu0.after(1us).switch_to(7).after(5us).switch_to(5, KF_ST_RUNNING).build());
  expect_violated("wake-before-run", "runs after 5 us of sleep, and nobody woke it");
}

TEST_F(Check, RunWithoutWakingAfterALossElsewhere_IsExcused) {
  file.add(cpu0.at(20us).switch_to(7).at(60us).switch_to(5, KF_ST_RUNNING).build());
  file.add(cpu1.at(30us).waking(8).build());
  cpu1.at(40us).waking(5).build();
  file.add(cpu1.at(50us).waking(8).build());
  file.meta.losses.ring_events = 1;
  expect_excused("wake-before-run");
}

TEST_F(Check, WakingBeforeTheSwitchOut_IsNoViolation) {
  file.add(cpu1.at(20us).waking(5).build());
  file.add(cpu0.at(21us).switch_to(7).after(5us).switch_to(5, KF_ST_RUNNING).build());
  const InvariantReport report = check("wake-before-run");
  EXPECT_EQ(report.verdict, Verdict::kOk) << said(report);
  EXPECT_EQ(report.remarks.at(0).count, 1u);
}

TEST_F(Check, ThreadThatWakesItself_WasNotWoken) {
  file.add(cpu0.after(1us).waking(5).after(1us).switch_to(7).after(5us).switch_to(5, KF_ST_RUNNING).build());
  expect_violated("wake-before-run", "nobody woke it");
}

TEST_F(Check, PreemptedThread_NeedsNoWaking) {
  file.add(cpu0.after(1us)
               .switch_to(7, KF_ST_SLEEP, {.preempt = true, .nsw = 1})
               .after(1us)
               .switch_to(5, KF_ST_SLEEP, {.nsw = 1})
               .after(1us)
               .woken(7)
               .after(1us)
               .switch_to(7, KF_ST_RUNNING, {.nsw = 2})
               .build());
  expect_ok("wake-before-run");
}

TEST_F(Check, OldKernelsFakeSleeps) {
  file.meta.host.kernel_release = "6.1.0-25-amd64";
  file.add(cpu0.after(1us).switch_to(7).after(5us).switch_to(5, KF_ST_RUNNING).build());
  EXPECT_EQ(check("wake-before-run").verdict, Verdict::kOk);
}

// ------------------------------------------------------------------ the snapshot

TEST_F(Check, SnapshotAgrees_IsOk) {
  file.window(10us, 100ms).task(5, "five", 50ms, 256 + 3);
  file.add(numbered(cpu0, {1, 2, 3}));
  expect_ok("snapshot-counts");
}

TEST_F(Check, SnapshotCountsMore_IsViolated) {
  file.window(10us, 100ms).task(5, "five", 50ms, 256 + 4);
  file.add(numbered(cpu0, {1, 2, 3}));
  expect_violated("snapshot-counts", "number 4 in 8 bits; the last one in the dump has number 3");
}

TEST_F(Check, SnapshotCountsMoreAfterALoss_IsExcused) {
  lose(20ms, 30ms);
  file.window(10us, 100ms).task(5, "five", 50ms, 256 + 4);
  file.add(numbered(cpu0, {1, 2, 3}));
  expect_excused("snapshot-counts");
}

TEST_F(Check, SwitchOutsAroundTheSnapshot_MayBeCountedOrNot) {
  for (const kf_u64 counted : {3, 4}) {
    DumpBuilder near;
    ChunkBuilder cpu{0, {.start = 10us, .cur_tid = 5}};
    near.window(10us, 100ms).task(5, "five", 50ms, counted);
    near.add(numbered(cpu, {1, 2, 3})).add(numbered(cpu.at(49ms + 999us), {4}));
    const CheckReport report = check_dump(near.dump());
    EXPECT_EQ(find(report, "snapshot-counts").verdict, Verdict::kOk) << said(find(report, "snapshot-counts"));
  }
}

TEST_F(Check, SnapshotAfterTheWindow_SaysNothing) {
  file.window(10us, 1ms).task(5, "five", 2ms, 9);
  file.add(numbered(cpu0, {1, 2, 3}));
  EXPECT_EQ(check("snapshot-counts").verdict, Verdict::kNotApplicable);
}

// 5 forks 9, which runs once and is switched out in `state`.
BuiltChunk child(ChunkBuilder& cpu, kf_u32 state, bool exits) {
  cpu.after(1us).fork(5, 9, 9, {.start_ns = 11'000}).after(1us).switch_to(9, KF_ST_RUNNING, {.nsw = 1});
  if (exits) cpu.after(1us).exit(9, true);
  return cpu.after(1us).switch_to(5, state, {.nsw = 1}).build();
}

TEST_F(Check, LifeFromBirthToEnd_IsOk) {
  file.window(10us, 100ms).task(5, "five", 90ms, 1);
  file.add(child(cpu0, KF_ST_DEAD, true));
  expect_ok("lives");
}

TEST_F(Check, ChildInTheSnapshot_IsOk) {
  file.window(10us, 200ms).task(5, "five", 190ms, 1).task(9, "nine", 190ms, 1, 11us);
  file.add(child(cpu0, KF_ST_RUNNING, false));
  expect_ok("lives");
}

TEST_F(Check, ChildThatVanishes_IsViolated) {
  file.window(10us, 100ms).task(5, "five", 90ms, 1);
  file.add(child(cpu0, KF_ST_RUNNING, false));
  expect_violated("lives", "is not in the snapshot");
}

TEST_F(Check, ChildThatVanishesInAHole_IsExcused) {
  lose(20ms, 30ms);
  file.window(10us, 100ms).task(5, "five", 90ms, 1);
  file.add(child(cpu0, KF_ST_RUNNING, false));
  expect_excused("lives");
}

TEST_F(Check, EndWithoutExit_IsViolated) {
  file.add(child(cpu0, KF_ST_DEAD, false));
  expect_violated("lives", "has ended without having exited");
}

TEST_F(Check, ThreadNobodyCreated_IsViolated) {
  file.window(10us, 200ms).task(5, "five", 190ms, 2).task(9, "nine", 190ms, 0, 20us);
  file.add(numbered(cpu0, {1, 2}));
  expect_violated("lives", "nobody was seen creating it");
}

TEST_F(Check, DeadThreadRuns_IsViolated) {
  file.add(child(cpu0, KF_ST_DEAD, true));
  file.add(cpu0.after(1us).switch_to(9, KF_ST_RUNNING, {.nsw = 2}).build());
  expect_violated("lives", "runs after its end");
}

TEST_F(Check, DeadThreadInTheSnapshot_IsViolated) {
  file.window(10us, 100ms).task(5, "five", 90ms, 1).task(9, "nine", 90ms, 1, 11us);
  file.add(child(cpu0, KF_ST_DEAD, true));
  expect_violated("lives", "the snapshot afterwards has it alive");
}

// ------------------------------------------------------------------ calls

TEST_F(Check, CallsOneAfterTheOther_AreOk) {
  file.add(cpu0.after(5us).syscall(0, 1, {.took = 1us}).after(5us).syscall(1, 1, {.took = 1us}).build());
  expect_ok("call-times");
  expect_ok("calls-switched-out");
}

TEST_F(Check, OverlappingCalls_AreViolated) {
  file.add(cpu0.after(5us).syscall(0, 1, {.took = 1us}).after(5us).syscall(1, 1, {.took = 8us}).build());
  expect_violated("call-times", "began 3 us before the thread's previous one ended");
}

TEST_F(Check, CallThatBeganAtTwoTimes_IsViolated) {
  cpu0.at(30us).switch_to(7, KF_ST_RUNNING, {.nsw = 1, .sys = call(0), .in_call_for = 4us});
  cpu0.at(32us).switch_to(5, KF_ST_RUNNING, {.nsw = 1});
  file.add(cpu0.at(40us).syscall(0, 1, {.took = 20us, .blocked = true}).build());
  expect_violated("call-times", "this call began 20 us ago, but an event during it says 14 us");
}

TEST_F(Check, CallThatBeganAtTwoTimesInAHole_IsExcused) {
  lose(31us, 39us);
  cpu0.at(30us).switch_to(7, KF_ST_RUNNING, {.nsw = 1, .sys = call(0), .in_call_for = 4us});
  cpu0.at(32us).switch_to(5, KF_ST_RUNNING, {.nsw = 1});
  file.add(cpu0.at(40us).syscall(0, 1, {.took = 20us, .blocked = true}).build());
  expect_excused("call-times");
}

BuiltChunk call_with_sleep(ChunkBuilder& cpu, bool says_so) {
  return cpu.after(5us)
      .switch_to(7, KF_ST_SLEEP, {.nsw = 1})
      .after(1us)
      .woken(5)
      .after(1us)
      .switch_to(5, KF_ST_RUNNING, {.nsw = 1})
      .after(1us)
      .syscall(0, 1, {.took = 4us, .blocked = says_so})
      .build();
}

TEST_F(Check, CallThatSleptAndSaysSo_IsOk) {
  file.add(call_with_sleep(cpu0, true));
  expect_ok("calls-switched-out");
}

TEST_F(Check, CallThatSleptAndDoesNotSaySo_IsViolated) {
  file.add(call_with_sleep(cpu0, false));
  expect_violated("calls-switched-out", "was switched out during the call");
}

TEST_F(Check, CallThatSaysItSleptButDidNot_IsViolated) {
  file.add(cpu0.after(5us).syscall(0, 1, {.took = 1us, .blocked = true}).build());
  expect_violated("calls-switched-out", "there was no switch");
}

TEST_F(Check, CallThatSleptInAHole_IsExcused) {
  file.add(cpu0.at(20us).waking(8).build());
  cpu0.at(21us).switch_to(7).after(1us).switch_to(5, KF_ST_RUNNING).build();
  file.add(cpu0.at(25us).syscall(0, 1, {.took = 4us, .blocked = true}).build());
  file.meta.losses.ring_events = 2;
  expect_excused("calls-switched-out");
}

// ------------------------------------------------------------------ the report

TEST_F(Check, EvidenceIsBounded) {
  for (int i = 0; i < 20; ++i) cpu0.after(5us).syscall(0, 1, {.took = 1us, .blocked = true});
  file.add(cpu0.build());
  const CheckReport report = check_dump(file.dump(), {.evidence = 3});
  EXPECT_EQ(find(report, "calls-switched-out").violations, 20u);
  EXPECT_EQ(find(report, "calls-switched-out").evidence.size(), 3u);
  EXPECT_TRUE(report.violated());
}

TEST_F(Check, EmptyDump_ViolatesNothing) {
  const CheckReport report = check_dump(file.dump());
  EXPECT_FALSE(report.violated());
  EXPECT_EQ(find(report, "wake-before-run").verdict, Verdict::kNotApplicable);
}

}  // namespace
}  // namespace kflight::analyze
