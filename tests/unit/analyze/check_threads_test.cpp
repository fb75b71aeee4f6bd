// SPDX-License-Identifier: Apache-2.0
//
// The invariants of threads: their switch-outs, wakings, lives, and the snapshot of them.
#include "support/check_fixture.hpp"

namespace kflight::test {
namespace {

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

// The recorder lost events that the window does not reach back to: a switch-out may have been among them.
TEST_F(Check, BaseStateBehindALossBeforeTheWindow_IsNoPlaceToCountFrom) {
  file.meta.losses.ring_events = 1;
  file.base_tasks.push_back({.tid = 5, .out_ns = 9'000, .out_nsw = 7});
  file.base_lanes.push_back({.lane = 0, .known = 1, .cur_tid = 5, .through_ns = 10'000});
  file.add(numbered(cpu0, {9}));
  EXPECT_NE(check("thread-sequence").verdict, Verdict::kViolated);
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

// While a recorder attaches, some CPUs already run its programs.
TEST_F(Check, SwitchOutBeforeTheWindow_IsNothingToCountFrom) {
  file.window(100us, 10ms);
  file.add(numbered(cpu0, {1}));
  file.add(numbered(cpu0.at(200us), {4, 5}));
  expect_ok("thread-sequence");
}

TEST_F(Check, ForkBeforeTheWindow_IsNothingToCountFrom) {
  file.window(100us, 10ms);
  cpu0.after(1us).fork(5, 9, 9).at(200us).switch_to(9, KF_ST_RUNNING, {.nsw = 1});
  cpu0.after(1us).switch_to(5, KF_ST_RUNNING, {.nsw = 4}).after(1us).switch_to(9, KF_ST_RUNNING, {.nsw = 2});
  file.add(cpu0.build());
  expect_ok("thread-sequence");
}

TEST_F(Check, RunWithoutWaking_IsViolated) {
  file.add(begin_turn(cpu0, 5).after(1us).switch_to(7).after(5us).switch_to(5, KF_ST_RUNNING).build());
  expect_violated("wake-before-run", "runs after 5 us of sleep, and nobody woke it");
}

// It may have been woken before the window, on its way to sleep.
TEST_F(Check, RunWithoutWakingAfterATurnThatBeganEarlier_IsNoViolation) {
  file.add(cpu0.after(1us).switch_to(7).after(5us).switch_to(5, KF_ST_RUNNING).build());
  EXPECT_NE(check("wake-before-run").verdict, Verdict::kViolated);
}

TEST_F(Check, RunWithoutWakingAfterALossElsewhere_IsExcused) {
  file.add(begin_turn(cpu0, 5).at(20us).switch_to(7).at(60us).switch_to(5, KF_ST_RUNNING).build());
  file.add(cpu1.at(30us).waking(8).build());
  cpu1.at(40us).waking(5).build();
  file.add(cpu1.at(50us).waking(8).build());
  file.meta.losses.ring_events = 1;
  expect_excused("wake-before-run");
}

// 5 is enqueued, and nobody was seen waking it.
BuiltChunk queued_without_waking(ChunkBuilder& cpu) {
  return cpu.at(11us).switch_to(7).at(15us).wakeup(5, 0).at(17us).switch_to(5, KF_ST_RUNNING).build();
}

TEST_F(Check, WakeupWithoutWaking_IsViolated) {
  file.add(queued_without_waking(begin_turn(cpu0, 5)));
  expect_violated("wake-before-run", "is queued after 4 us of sleep, and nobody woke it");
}

TEST_F(Check, WakeupWithoutWakingInAHole_IsExcused) {
  lose(12us, 14us);
  file.add(queued_without_waking(begin_turn(cpu0, 5)));
  expect_excused("wake-before-run");
}

// It may have met the thread on its way to sleep.
TEST_F(Check, WakeupWithoutWakingAfterAHoleWhileItStillRan_IsExcused) {
  lose(10'500ns, 10'800ns);
  file.add(queued_without_waking(begin_turn(cpu0, 5)));
  expect_excused("wake-before-run");
}

TEST_F(Check, WakeupWithoutWakingAfterAHoleBeforeItRan_IsViolated) {
  lose(1us, 2us);
  file.add(queued_without_waking(begin_turn(cpu0, 5)));
  expect_violated("wake-before-run", "is queued after 4 us of sleep, and nobody woke it");
}

// Wakings by others are not recorded then.
TEST_F(Check, WakeupWithoutWakingInScopeTarget_IsNoViolation) {
  file.meta.config.scope = "target";
  file.add(queued_without_waking(begin_turn(cpu0, 5)));
  EXPECT_NE(check("wake-before-run").verdict, Verdict::kViolated);
}

// A process that a target forks is none itself then: of its switches only those with targets are recorded.
TEST_F(Check, ChildThatIsNotFollowedInScopeTarget_IsNotJudged) {
  file.meta.config.scope = "target";
  file.meta.config.target_pids = {5};
  file.task(5, "five", 9ms, 0, 1us).task(9, "nine", 9ms);
  file.add(cpu0.after(1us)
               .fork(5, 9, 9)
               .after(1us)
               .switch_to(9, KF_ST_RUNNING, {.nsw = 1})
               .after(1us)
               .switch_to(5, KF_ST_RUNNING, {.preempt = true, .nsw = 1})
               .after(1us)
               .switch_to(9, KF_ST_RUNNING, {.nsw = 2})
               .after(1us)
               .switch_to(5, KF_ST_RUNNING, {.preempt = true, .nsw = 9})
               .build());
  file.meta.config.follow = true;
  EXPECT_EQ(check("thread-sequence").verdict, Verdict::kViolated);
  file.meta.config.follow = false;
  EXPECT_NE(check("thread-sequence").verdict, Verdict::kViolated);
}

TEST_F(Check, WakingBeforeTheSwitchOut_IsNoViolation) {
  file.add(cpu1.at(20us).waking(5).build());
  file.add(begin_turn(cpu0, 5).at(21us).switch_to(7).after(5us).switch_to(5, KF_ST_RUNNING).build());
  const InvariantReport report = check("wake-before-run");
  EXPECT_EQ(report.verdict, Verdict::kOk) << said(report);
  EXPECT_EQ(report.remarks.at(0).count, 1u);
}

TEST_F(Check, ThreadThatWakesItself_WasNotWoken) {
  file.add(begin_turn(cpu0, 5).after(1us).waking(5).after(1us).switch_to(7).after(5us).switch_to(5, KF_ST_RUNNING).build());
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
  file.add(begin_turn(cpu0, 5).after(1us).switch_to(7).after(5us).switch_to(5, KF_ST_RUNNING).build());
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

}  // namespace
}  // namespace kflight::test
