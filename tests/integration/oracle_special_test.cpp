// SPDX-License-Identifier: Apache-2.0
//
// Programs whose fault only a detector will name (herd, thread leak), and those made for the rules underneath
// (wakings that overtake the sleeper): what explain has to say of them, which is the chain and its leaves.
#include "integration/oracle.hpp"

namespace kflight::test {
namespace {

using analyze::Explanation;

class OracleSpecial : public RecordTest {
 protected:
  struct Run {
    Json report;
    model::Trace trace;
  };

  Run record(const std::string& workload, const Words& arguments = {}) {
    Workload program = start_workload(workload, arguments);
    Recorder recorder =
        start_recorder({"--pid", std::to_string(program.pid()), "--syscalls", "slow", "--min-age", "60s"});
    program.go();
    Json report = program.report();
    const std::string path = dump_path(recorder);
    EXPECT_EQ(recorder.stop(), 0);
    program.end();
    return {std::move(report), open_trace(path)};
  }

  static Explanation explain(const Run& run, const std::string& role) {
    const std::uint64_t t0 = run.report["t0"], t1 = run.report["t1"];
    const model::ThreadId id = run.trace.timeline().find_thread(run.report["tids"][role], t0);
    EXPECT_NE(id, model::kNoThread);
    return analyze::explain(run.trace, id, t0, t1);
  }
};

// Where a machine cannot run a program, its test is skipped; it must not wait for a program that is not coming.
TEST_F(OracleSpecial, ProgramThatCannotRunHere_SaysSoWhenItsTurnComes) {
  Workload program = start_workload("kworker", {"--dir", "/proc"});  // where no file can be made
  Recorder recorder = start_recorder({"--pid", std::to_string(program.pid())});
  program.go();
  EXPECT_FALSE(Planted(program.report()).skipped.empty());
  EXPECT_EQ(recorder.stop(), 0);
  EXPECT_EQ(program.end(), 77);
}

// Wakings often come before the sleeper's switch-out; each sleep still ends with its own.
TEST_F(OracleSpecial, RaceWake_EverySleepHasItsWaking) {
  const Run run = record("race_wake");
  if (run.report.contains("skipped")) GTEST_SKIP() << run.report["skipped"];
  const model::Timeline& timeline = run.trace.timeline();
  RecordProperty("early_wakes", std::to_string(timeline.counters().early_wakes));
  EXPECT_EQ(timeline.counters().lost_switches, 0u);
  for (const char* role : {"main", "peer"}) {
    const Explanation explanation = explain(run, role);
    EXPECT_EQ(explanation.cycles, 0u);
    const std::uint64_t blind_ns = timeline.losses().blind_ns(explanation.begin_ns, explanation.end_ns);
    std::uint64_t unknown_ns = 0;
    for (const analyze::Leaf& leaf : explanation.leaves)
      if (leaf.quality == analyze::Quality::kUnknown) unknown_ns += leaf.length_ns();
    EXPECT_TRUE(unknown_ns == 0 || blind_ns != 0) << role << ": " << unknown_ns;
    const model::Thread& thread = timeline.thread(explanation.thread);
    std::uint64_t switches = 0;
    for (std::size_t i = 0; i + 1 < thread.intervals.size(); ++i) {
      const model::Interval& interval = thread.intervals[i];
      ASSERT_TRUE(interval.state != model::State::kBlocked || interval.wake != model::kNone) << role;
      switches += interval.state == model::State::kRunning;
    }
    const Json& counts = run.report["counts"][role];
    if (blind_ns != 0) continue;
    EXPECT_GE(switches, counts["voluntary"].get<std::uint64_t>() + counts["involuntary"].get<std::uint64_t>());
  }
}

// The waiters of a herd are woken in vain; with one waked at a time hardly any is.
TEST_F(OracleSpecial, Herd_WakesInVain) {
  const auto vain = [this](const Words& arguments) {
    const Run run = record("herd", arguments);
    std::uint64_t wakes = 0;
    for (int i = 0; i < 8; ++i) wakes += explain(run, "waiter" + std::to_string(i)).false_wakeups;
    return wakes;
  };
  const std::uint64_t herd = vain({}), clean = vain({"--clean"});
  EXPECT_GT(herd, 100u);
  EXPECT_LT(clean, herd / 4);
}

}  // namespace
}  // namespace kflight::test
