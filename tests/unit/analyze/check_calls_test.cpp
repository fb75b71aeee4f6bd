// SPDX-License-Identifier: Apache-2.0
//
// The invariants of system calls.
#include "support/check_fixture.hpp"

namespace kflight::test {
namespace {

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

// A call that one event told of ends before another one begins, however short both are.
TEST_F(Check, CallWithoutEndBeforeTheNextOne_IsViolated) {
  cpu0.at(30us).switch_to(7, KF_ST_RUNNING, {.nsw = 1, .sys = call(0), .in_call_for = 4us});
  cpu0.at(32us).switch_to(5, KF_ST_RUNNING, {.nsw = 1});
  file.add(cpu0.at(40us).switch_to(7, KF_ST_RUNNING, {.nsw = 2, .sys = call(1), .in_call_for = 2us}).build());
  expect_violated("call-times", "this call began 2 us ago, but an event during it says 14 us");
}

TEST_F(Check, CallThatBeganAtTwoTimesInAHole_IsExcused) {
  lose(31us, 39us);
  cpu0.at(30us).switch_to(7, KF_ST_RUNNING, {.nsw = 1, .sys = call(0), .in_call_for = 4us});
  cpu0.at(32us).switch_to(5, KF_ST_RUNNING, {.nsw = 1});
  file.add(cpu0.at(40us).syscall(0, 1, {.took = 20us, .blocked = true}).build());
  expect_excused("call-times");
}

// A recorder that attaches sees calls begin before it sees them end.
TEST_F(Check, CallAnnouncedBeforeTheWindow_IsNoViolation) {
  file.window(35us, 10ms);
  cpu0.at(30us).switch_to(7, KF_ST_RUNNING, {.nsw = 1, .sys = call(0), .in_call_for = 4us});
  cpu0.at(32us).switch_to(5, KF_ST_RUNNING, {.nsw = 1});
  file.add(cpu0.at(40us).syscall(0, 1, {.took = 2us}).build());
  expect_ok("call-times");
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

}  // namespace
}  // namespace kflight::test
