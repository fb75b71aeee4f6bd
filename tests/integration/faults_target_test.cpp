// SPDX-License-Identifier: Apache-2.0
//
// What a target does to its recorder: processes by the hundred, ids used again, other namespaces, other programs under the
// same id, names of any bytes, a stop, a death within a call. Where a program is not needed, this process is the target.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "integration/dump_facts.hpp"

namespace kflight::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const Words kSleepTrigger{"--trigger", "syscall:nanosleep,clock_nanosleep>50ms", "--post", "0s"};

// A child that ends at once; its id, which is free again.
pid_t fork_and_reap() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

// The kernel gives the next process an id above this one.
bool set_last_pid(pid_t pid) {
  std::ofstream file("/proc/sys/kernel/ns_last_pid");
  file << pid << std::flush;
  return file.good();
}

void pin_to_last_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
  sched_setaffinity(0, sizeof set, &set);
}

// A child that is preempted while the kernel takes its memory back, which it does behind the last trace of the child's end.
pid_t fork_and_reap_while_busy() {
  constexpr std::size_t kBytes = 256 << 20;
  const pid_t child = fork();
  if (child == 0) {
    void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    pin_to_last_cpu();
    _exit(memory == MAP_FAILED);
  }
  std::atomic<bool> done{false};
  std::thread busy([&done] {
    pin_to_last_cpu();
    while (!done) continue;
  });
  waitpid(child, nullptr, 0);
  done = true;
  busy.join();
  return child;
}

class FaultsOfTarget : public RecordTest {
 protected:
  // Runs `kflight record FLAGS -- COMMAND` to its end. Its only dump's cause.
  Cause cause_of_command(Words command) {
    const std::string directory = temp() / "dumps";
    std::filesystem::create_directory(directory);
    Words words{"record", "-o", directory, "--name", "target" + std::to_string(getpid())};
    words.insert(words.end(), kSleepTrigger.begin(), kSleepTrigger.end());
    words.push_back("--");
    words.insert(words.end(), command.begin(), command.end());
    const Output output = kflight(words);
    EXPECT_EQ(output.status, 0) << output.err;
    const auto files = files_in(directory);
    EXPECT_EQ(files.size(), 1u);
    return files.empty() ? Cause{} : open_dump(directory + "/" + *files.begin()).meta().cause;
  }
  std::uint64_t births(const Dump& dump, pid_t pid) {
    return count<ForkEvent>(dump, {}, [&](const ForkEvent& e) { return static_cast<pid_t>(e.child_tid) == pid; });
  }
};

TEST_F(FaultsOfTarget, HundredsOfForksPerSecond_AreAllFollowed) {
  Workload storm = start_workload("fork_storm");
  Recorder recorder = start_recorder({"--pid", std::to_string(storm.pid()), "--syscalls", "slow"});
  storm.go();
  const Json report = storm.report();
  while (status_of(recorder)["targets_alive"] != 1) {
  }
  const Dump dump = dump_now(recorder);
  const auto forks = report["did"]["forks"].get<std::uint64_t>();
  EXPECT_EQ(lost_events(dump), 0u);
  EXPECT_GE(count<ForkEvent>(dump, {}, [&](const ForkEvent& e) { return e.parent_tid == report["tids"]["forker"]; }),
            forks);
  EXPECT_LE(dump.meta().targets.size(), 1024u);
  EXPECT_GT(dump.meta().targets.size(), forks / 2);
  EXPECT_EQ(recorder.stop(), 0);
  storm.end();
}

// More ends than the control ring holds: the last target's own is among those that get lost.
TEST_F(FaultsOfTarget, EndMissedInAStorm_EndsTheRecorderAllTheSame) {
  Workload storm = start_workload("fork_storm", {"--forks", "2500", "--burn-us", "10"});
  Recorder recorder = start_recorder({"--pid", std::to_string(storm.pid())});
  recorder.child().signal(SIGSTOP);
  storm.go();
  storm.report();
  EXPECT_EQ(storm.end(), 0);
  recorder.child().signal(SIGCONT);
  EXPECT_EQ(recorder.child().wait(), 0);
  EXPECT_THAT(recorder.child().err(), HasSubstr("ended: the target has ended"));
}

// As above, but what finds no room is the end of the call that the only dump shows in flight.
TEST_F(FaultsOfTarget, EndOfACallMissedInAStorm_IsNotWaitedForForEver) {
  Recorder recorder = start_recorder(
      {"--pid", std::to_string(getpid()), "--trigger", "inflight:read>100ms", "--post", "0s", "--max-dumps", "1"});
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  std::thread stuck([&] {
    char byte = 0;
    EXPECT_EQ(read(fds[0], &byte, 1), 1);
  });
  const std::string path = recorder.wait_for_dump();
  recorder.child().signal(SIGSTOP);
  for (int i = 0; i < 1500; ++i) fork_and_reap();
  EXPECT_EQ(write(fds[1], "x", 1), 1);
  stuck.join();
  recorder.child().signal(SIGCONT);
  EXPECT_EQ(recorder.child().wait(), 0);
  EXPECT_THAT(recorder.child().err(), HasSubstr("missed when and how"));
  EXPECT_TRUE(open_dump(path).resolutions().empty());
  for (const int fd : fds) close(fd);
}

TEST_F(FaultsOfTarget, ProgramsUnderTheSameId_AreTheSameTarget) {
  const Cause cause = cause_of_command({"sh", "-c", "exec sh -c 'exec sleep 0.2'"});
  EXPECT_EQ(cause.comm.view(), "sleep");
}

TEST_F(FaultsOfTarget, ChildInAPidNamespace_HasTheHostsIds) {
  const Cause cause = cause_of_command({"unshare", "--pid", "--fork", "sleep", "0.2"});
  EXPECT_EQ(cause.comm.view(), "sleep");
  EXPECT_GT(cause.tid, 1u);  // what it is in there
}

TEST_F(FaultsOfTarget, EntersAnotherNamespace_IsFollowed) {
  Child& holder = start({"unshare", "--pid", "--fork", "--kill-child", "sh", "-c", "echo inside; exec sleep 1000"});
  ASSERT_TRUE(holder.wait_for_line("inside"));
  const std::string task = "/proc/" + std::to_string(holder.pid()) + "/task/" + std::to_string(holder.pid());
  std::string inner;
  std::ifstream(task + "/children") >> inner;
  const Cause cause = cause_of_command({"nsenter", "--pid", "--target", inner, "sleep", "0.2"});
  EXPECT_EQ(cause.comm.view(), "sleep");
  EXPECT_GT(cause.tid, 2u);
  holder.signal(SIGKILL);
}

TEST_F(FaultsOfTarget, IdsUsedAgainAndWrappedAround_AreTwoLives) {
  if (!set_last_pid(getpid())) GTEST_SKIP() << "this kernel has no ns_last_pid to have an id used again";
  Recorder recorder = start_recorder({"--pid", std::to_string(getpid()), "--syscalls", "all"});
  std::vector<pid_t> twice;
  for (int tries = 0; twice.size() < 3 && tries < 500; ++tries) {
    const pid_t first = fork_and_reap();
    if (set_last_pid(first - 1) && fork_and_reap() == first) twice.push_back(first);
  }
  pid_t pid_max = 0, before = 0, after = 0;
  std::ifstream("/proc/sys/kernel/pid_max") >> pid_max;
  for (int below = 2; after >= before && below < 100; ++below) {  // the highest ids may be somebody's
    set_last_pid(pid_max - below);
    before = after = fork_and_reap();
    for (int i = 0; after >= before && i < below; ++i) after = fork_and_reap();
  }
  const Dump dump = dump_now(recorder);
  EXPECT_EQ(recorder.stop(), 0);
  ASSERT_FALSE(twice.empty()) << "other processes took every id first";
  for (const pid_t pid : twice) EXPECT_GE(births(dump, pid), 2u) << pid;
  EXPECT_LT(after, before);
  EXPECT_GE(births(dump, after), 1u);
}

TEST_F(FaultsOfTarget, PreemptedInItsEnd_ItsCallIsNotTheNextOnesOfItsId) {
  if (!set_last_pid(getpid())) GTEST_SKIP() << "this kernel has no ns_last_pid to have an id used again";
  Recorder recorder = start_recorder({"--pid", std::to_string(getpid()), "--syscalls", "all"});
  int twice = 0;
  for (int tries = 0; twice < 5 && tries < 20; ++tries) {
    const pid_t first = fork_and_reap_while_busy();
    twice += set_last_pid(first - 1) && fork_and_reap() == first;
  }
  const Dump dump = dump_now(recorder);
  EXPECT_EQ(recorder.stop(), 0);
  ASSERT_GT(twice, 0) << "other processes took every id first";
  const auto returns = [](const SyscallEvent& e) { return e.nr == SYS_exit_group || e.nr == SYS_exit; };
  EXPECT_EQ(count<SyscallEvent>(dump, {}, returns), 0u);
}

TEST_F(FaultsOfTarget, TheDeadThatNobodyHasReaped_AreInNoCall) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  siginfo_t info{};
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
  Recorder recorder = start_recorder({"--all", "--syscalls", "slow"});
  const Dump dump = dump_now(recorder);
  EXPECT_EQ(recorder.stop(), 0);
  const auto tasks = dump.tasks();
  const auto dead = std::ranges::find(tasks, static_cast<std::uint32_t>(child), &kf_task::tid);
  ASSERT_NE(dead, tasks.end());
  EXPECT_FALSE(dead->flags & KF_TASK_HAS_SYS) << "call " << dead->nr;
  waitpid(child, nullptr, 0);
}

TEST_F(FaultsOfTarget, NamesOfAnyBytes_ReachNoTerminalAndBreakNoJson) {
  const Words names{"\x1b[31mred\x07", "a\nb\tc\rd", "\xff\xfe\x80", "\"\\quote'", "%s%n{}", "<&>;$(id)", "\xe2\x80\xae",
                    "\x01\x02\x7f", " ", "15 bytes \xf0\x9f\x98\x80 \xf0\x9f"};
  Recorder recorder =
      start_recorder({"--pid", std::to_string(getpid()), "--trigger", "syscall:poll>5ms", "--post", "0s", "--cooldown", "0s"});
  std::vector<std::string> paths;
  for (const std::string& name : names) {
    std::thread([&name] {
      prctl(PR_SET_NAME, name.c_str());
      poll(nullptr, 0, 10);
    }).join();
    paths.push_back(recorder.wait_for_dump());
  }
  EXPECT_EQ(recorder.stop(), 0);
  std::set<std::string> seen;
  for (std::size_t i = 0; i < names.size(); ++i) {
    seen.insert(std::string(open_dump(paths[i]).meta().cause.comm.view()));
    for (const Words& words : {Words{"info"}, Words{"explain"}, Words{"events"}, Words{"check"}}) {
      Words command = words;
      command.push_back(paths[i]);
      const Output output = kflight(command);
      EXPECT_EQ(output.status, 0) << words[0] << ": " << output.err;
      const auto is_control = [](char c) { return (c >= 0 && c < ' ' && c != '\n') || c == 0x7f; };
      EXPECT_TRUE(std::ranges::none_of(output.out + output.err, is_control)) << words[0] << " of name " << i;
    }
    for (const Words& words : {Words{"info", "--json"}, Words{"explain", "--json"}, Words{"check", "--json"}}) {
      Words command = words;
      command.push_back(paths[i]);
      EXPECT_FALSE(kflight(command).json().is_discarded()) << words[0] << " of name " << i;
    }
  }
  for (const std::string& name : names) EXPECT_TRUE(seen.contains(name.substr(0, 15))) << testing::PrintToString(name);
}

TEST_F(FaultsOfTarget, StoppedTarget_IsDumpedAndLeftAsItIs) {
  Workload workload = start_workload("nanosleep");
  Recorder recorder = start_recorder({"--pid", std::to_string(workload.pid()), "--syscalls", "slow"});
  workload.child().signal(SIGSTOP);
  const auto stopped = [&](const Dump& dump) {
    const auto task = std::ranges::find(dump.tasks(), static_cast<std::uint32_t>(workload.pid()), &kf_task::tid);
    return task != dump.tasks().end() && task->state == KF_ST_STOPPED;
  };
  while (!stopped(dump_now(recorder))) {
  }
  workload.child().signal(SIGCONT);
  workload.go();
  workload.report();
  EXPECT_FALSE(stopped(dump_now(recorder)));
  workload.child().signal(SIGSTOP);
  EXPECT_EQ(recorder.stop(), 0);
  workload.child().signal(SIGCONT);
  EXPECT_EQ(workload.end(), 0);
}

TEST_F(FaultsOfTarget, KilledInTheCallThatFired_EndsTheRecorder) {
  Child& target = start({"sh", "-c", "while read line; do :; done"});
  Recorder recorder = start_recorder(
      {"--pid", std::to_string(target.pid()), "--trigger", "inflight:read>50ms", "--post", "0s", "--max-dumps", "1"});
  target.send_line("again");  // a call that begins while it is recorded
  const std::string path = recorder.wait_for_dump();
  EXPECT_TRUE(recorder.child().running());
  target.signal(SIGKILL);
  EXPECT_EQ(recorder.child().wait(), 0);
  EXPECT_TRUE(open_dump(path).complete());
}

}  // namespace
}  // namespace kflight::test
