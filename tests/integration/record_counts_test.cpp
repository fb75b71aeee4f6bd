// SPDX-License-Identifier: Apache-2.0
//
// A program that does a known number of things, beside what the kernel counted for it: the dump holds exactly these,
// none lost and none invented, whatever the mode of the system calls.
#include "integration/dump_facts.hpp"

namespace kflight::test {
namespace {

class Counts : public RecordTest, public testing::WithParamInterface<const char*> {};

struct Counted {
  std::uint32_t tid = 0;
  Interval interval;
  Json kernel;
};

Counted counted(const Json& report, const std::string& role) {
  const Json& counts = report["counts"][role];
  return {report["tids"][role].get<std::uint32_t>(), {counts["t0"], counts["t1"]}, counts};
}

void expect_kernels_switches(const Dump& dump, const Counted& thread) {
  const auto outs =
      count<SwitchEvent>(dump, thread.interval, [&](const SwitchEvent& e) { return e.tid == thread.tid; });
  const auto ins =
      count<SwitchEvent>(dump, thread.interval, [&](const SwitchEvent& e) { return e.next_tid == thread.tid; });
  const std::uint64_t expected =
      thread.kernel["voluntary"].get<std::uint64_t>() + thread.kernel["involuntary"].get<std::uint64_t>();
  EXPECT_EQ(outs, expected);
  // It runs at both ends of the interval. A kernel that hides a thread from tracers also hides the switch from it to
  // this one: then a few switch-ins are missing, there is never one too many.
  EXPECT_LE(ins, outs);
  EXPECT_GE(ins + 1 + outs / 20, outs);
  // The kernel counts queueing, which a thread that is woken before it is off its CPU can miss.
  EXPECT_NEAR(static_cast<double>(outs), thread.kernel["switched_in"].get<double>(), 1 + outs / 100.0);
}

TEST_P(Counts, ForksSwitchesAndCalls_AreExact) {
  const std::string syscalls = GetParam();
  Workload workload = start_workload("counts");
  Recorder recorder =
      start_recorder({"--pid", std::to_string(workload.pid()), "--syscalls", syscalls, "--min-age", "60s"});
  workload.go();
  const Json report = workload.report();
  const std::string path = dump_path(recorder);
  const Dump dump = open_dump(path);

  const auto main_tid = report["pid"].get<std::uint32_t>();
  const Interval all{report["t0"], report["t1"]};
  std::set<std::uint32_t> children;
  for (const Event& event : dump.events()) {
    const auto* fork = std::get_if<ForkEvent>(&event);
    if (fork != nullptr && fork->parent_tid == main_tid && !fork->is_thread && all.holds(fork->ts_ns))
      children.insert(fork->child_tid);
  }
  EXPECT_EQ(children.size(), report["did"]["forks"].get<std::size_t>());
  EXPECT_EQ(count<ExitEvent>(dump, all, [&](const ExitEvent& e) { return children.contains(e.exiting_tid); }),
            children.size());
  for (const char* role : {"main", "echo"}) expect_kernels_switches(dump, counted(report, role));
  const auto getppids = count<SyscallEvent>(dump, all, [&](const SyscallEvent& e) {
    return e.tid == main_tid && e.nr == nr_of("getppid") && e.ret == getpid();
  });
  if (syscalls == "all") {
    EXPECT_EQ(getppids, report["did"]["getppid"].get<std::uint64_t>());
  } else if (syscalls == "blocked") {
    EXPECT_EQ(getppids, 0u);
  }

  EXPECT_EQ(lost_events(dump), 0u);
  EXPECT_EQ(recorder.stop(), 0);
}

INSTANTIATE_TEST_SUITE_P(Syscalls, Counts, testing::Values("all", "slow", "blocked"),
                         [](const auto& mode) { return std::string(mode.param); });

}  // namespace
}  // namespace kflight::test
