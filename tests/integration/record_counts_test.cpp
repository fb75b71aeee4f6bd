// SPDX-License-Identifier: Apache-2.0
//
// A program that does a known number of things, beside what the kernel counted for it: the dump holds exactly these,
// none lost and none invented, whatever the mode of the system calls.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

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

class CallsOfCpus : public RecordTest {};

// A dump tells of the calls that CPUs are in, quick ones too. The next dump must say how they ended: without that the
// thread would seem to be in the call for as long as it makes no other that is told.
TEST_F(CallsOfCpus, ThatADumpCameAcross_End) {
  Recorder recorder = start_recorder({"--pid", std::to_string(getpid()), "--no-follow", "--syscalls", "slow"});
  std::atomic<pid_t> reader{0};
  std::jthread thread([&](const std::stop_token& stop) {
    reader = gettid();
    const int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    std::vector<char> bytes(16384);
    while (!stop.stop_requested())
      if (read(zeros, bytes.data(), bytes.size()) < 0) break;
    close(zeros);
  });
  std::size_t begun = 0, ended = 0;
  for (int dumps = 0; dumps < 200 && begun < 5; ++dumps) {
    begun = ended = 0;
    const Dump dump = dump_now(recorder);
    std::uint64_t open_since = 0;  // 0: no call that a dump came across
    for (const Event& event : dump.events()) {
      if (const auto* open = std::get_if<SyscallOpenEvent>(&event); open && open->tid == static_cast<std::uint32_t>(reader))
        open_since = open->enter_ns;
      const auto* call = std::get_if<SyscallEvent>(&event);
      if (!call || call->tid != static_cast<std::uint32_t>(reader) || open_since == 0) continue;
      ++begun;
      ended += call->enter_ns == open_since;
      open_since = 0;
    }
  }
  EXPECT_GE(begun, 5u);
  EXPECT_EQ(ended, begun);
  thread.request_stop();
  thread.join();
  EXPECT_EQ(recorder.stop(), 0);
}

}  // namespace
}  // namespace kflight::test
