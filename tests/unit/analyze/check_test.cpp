// SPDX-License-Identifier: Apache-2.0
//
// The invariants of the file itself and of its CPUs, and the report.
#include "support/check_fixture.hpp"

namespace kflight::test {
namespace {

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
  file.add(sleep_and_wake(begin_turn(cpu0, 5, 0)));
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
  file.task(5, "five", 9ms).task(9, "nine", 9ms);
  file.add(
      cpu0.after(1us).switch_to(70, KF_ST_RUNNING).after(1us).current(8).waking(6).after(1us).switch_to(9).build());
  const InvariantReport report = check("one-thread-per-cpu");
  EXPECT_EQ(report.verdict, Verdict::kOk) << said(report);
  EXPECT_EQ(report.remarks.at(0).count, 1u);
}

// What interrupts it is hidden, too: a waking, here, whose enqueue is on another CPU.
TEST_F(Check, ThreadThatIsHiddenAtTheWindowsEnd_LeavesAHole) {
  file.task(5, "five", 9ms).task(6, "six", 9ms);
  file.add(cpu0.after(2us).switch_to(70, KF_ST_RUNNING).build());
  file.add(begin_turn(cpu1, 6).after(1us).switch_to(0, KF_ST_SLEEP).after(5us).wakeup(6, 1).after(1us).switch_to(6).build());
  expect_excused("wake-before-run");
  EXPECT_EQ(check("one-thread-per-cpu").remarks.at(0).count, 1u);
}

// Only the base state tells that it had the CPU when the window began.
TEST_F(Check, ThreadThatIsHiddenAtTheWindowsBegin_LeavesAHole) {
  file.task(8, "eight", 9ms).task(9, "nine", 9ms);
  file.base_lanes.resize(2);
  file.base_lanes[0] = {.lane = 0, .known = 1, .cur_tid = 70, .through_ns = 500};
  file.base_lanes[1] = {.lane = 1, .known = 1, .cur_tid = 71, .through_ns = 500};
  file.add(cpu0.after(1us).current(8).waking(6).after(1us).switch_to(9).build());
  expect_excused("current-task");
  expect_excused("one-thread-per-cpu");
  EXPECT_EQ(check("one-thread-per-cpu").remarks.at(0).count, 2u);  // and the CPU of which nothing is heard
}

// Where threads are hidden at all, one may have had a CPU from before the recording on.
TEST_F(Check, CpuOfWhichNothingIsHeardUntilLater_MayHaveRunAHiddenThread) {
  file.task(5, "five", 9ms).task(7, "seven", 9ms);
  file.add(begin_turn(cpu0, 5).after(1us).switch_to(0, KF_ST_SLEEP).after(5us).wakeup(5, 0).after(1us).switch_to(5).build());
  file.add(cpu1.at(50us).waking(9).build());
  expect_violated("wake-before-run", "nobody woke it");
  file.add(cpu0.after(1us).switch_to(70, KF_ST_RUNNING, {.nsw = 1}).after(1us).current(7).waking(9).build());
  expect_excused("wake-before-run");
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
}  // namespace kflight::test
