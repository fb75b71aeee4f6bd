// SPDX-License-Identifier: Apache-2.0
//
// Whose recording it is: a command from its first instruction, its children, processes by name that come later,
// everybody; and what is said about targets that end, are gone, or are none.
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "integration/dump_facts.hpp"
#include "integration/oracle.hpp"

namespace kflight::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const Words kSleepTrigger{"--trigger", "syscall:nanosleep,clock_nanosleep>50ms", "--post", "0s"};

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

pid_t pid_of_nobody() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

class Targets : public RecordTest {
 protected:
  // Runs `kflight record FLAGS -- COMMAND` to its end; dumps go to dumps().
  Output record_command(const Words& flags, const Words& command) {
    std::filesystem::create_directory(dumps());
    return kflight(Words{"record", "-o", dumps(), "--name", "command" + std::to_string(getpid())} + flags +
                   Words{"--"} + command);
  }
  Output record_pid(pid_t pid) {
    return kflight(
        {"record", "-o", temp().path(), "--name", "nobody" + std::to_string(getpid()), "--pid", std::to_string(pid)});
  }
  std::string dumps() const { return temp() / "dumps"; }
  std::string only_dump() const {
    const auto files = files_in(dumps());
    EXPECT_EQ(files.size(), 1u);
    return files.empty() ? "" : dumps() + "/" + *files.begin();
  }
};

TEST_F(Targets, Command_PassesItsExitStatusOn) {
  EXPECT_EQ(record_command({}, {"true"}).status, 0);
  EXPECT_EQ(record_command({}, {"sh", "-c", "exit 3"}).status, 3);
  EXPECT_EQ(record_command({}, {"sh", "-c", "kill -KILL $$"}).status, 128 + SIGKILL);
  EXPECT_TRUE(files_in(dumps()).empty());
}

// A process can only be reaped some time after it has exited: here, when whoever traces it has looked.
TEST_F(Targets, CommandThatIsSlowToEnd_StillGivesItsStatus) {
  Child& recorder = start({kflight_path(), "record", "-o", temp().path(), "--name", "slow" + std::to_string(getpid()), "--",
                           "sh", "-c", "echo pid $$; read line; exit 3"});
  const pid_t command = std::stoi(recorder.wait_for_line("pid ").value_or("0"));
  ASSERT_EQ(ptrace(PTRACE_SEIZE, command, nullptr, nullptr), 0);
  recorder.send_line("go");
  while (recorder.running() && recorder.err().find("ended: the target has ended") == std::string::npos) {
  }
  std::this_thread::sleep_for(300ms);  // one that does not wait is gone by then
  int status = 0;
  EXPECT_EQ(waitpid(command, &status, __WALL), command);
  EXPECT_EQ(recorder.wait(), 3);
}

TEST_F(Targets, Command_IsRecordedFromItsFirstInstruction) {
  const Output output = record_command(Words{"--syscalls", "all"} + kSleepTrigger, {"sleep", "0.2"});
  EXPECT_EQ(output.status, 0);
  const std::string path = only_dump();
  const Dump dump = open_dump(path);
  const std::uint32_t tid = dump.meta().cause.tid;
  std::uint64_t exec_ns = 0;
  std::vector<std::uint32_t> calls;  // from the exec on
  for (const Event& event : dump.events()) {
    if (head(event).tid != tid) continue;
    if (const auto* exec = std::get_if<ExecEvent>(&event)) {
      exec_ns = exec->ts_ns;
      EXPECT_TRUE(exec->filename.ends_with("/sleep")) << exec->filename;
    }
    if (const auto* call = std::get_if<SyscallEvent>(&event); call != nullptr && exec_ns != 0)
      calls.push_back(call->nr);
  }
  ASSERT_NE(exec_ns, 0u);
  ASSERT_GT(calls.size(), 10u);
  EXPECT_EQ(calls[0], nr_of("execve"));
  EXPECT_EQ(calls[1], nr_of("brk"));  // the dynamic linker's first
}

TEST_F(Targets, CommandThatCannotRun_IsAnError) {
  const Output missing = record_command({}, {"/nonexistent/program"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr("/nonexistent/program"));
  const Output not_executable = record_command({}, {"/etc/passwd"});
  EXPECT_EQ(not_executable.status, 1);
  EXPECT_THAT(not_executable.err, HasSubstr("/etc/passwd"));
}

TEST_F(Targets, Children_AreFollowed) {
  EXPECT_EQ(record_command(kSleepTrigger, {"sh", "-c", "sleep 0.2; true"}).status, 0);
  EXPECT_EQ(open_dump(only_dump()).meta().cause.comm.view(), "sleep");
}

TEST_F(Targets, NoFollow_LeavesChildrenOut) {
  EXPECT_EQ(record_command(Words{"--no-follow"} + kSleepTrigger, {"sh", "-c", "sleep 0.2; true"}).status, 0);
  EXPECT_TRUE(files_in(dumps()).empty());
}

TEST_F(Targets, CommGlobWithWait_TakesAProcessThatStartsLater) {
  Recorder recorder = start_recorder(Words{"--comm", "nanosle?p", "--wait"} + kSleepTrigger);
  EXPECT_EQ(status_of(recorder)["targets_alive"], 0);
  Workload workload = start_workload("nanosleep");
  while (status_of(recorder)["targets_alive"] != 1) {
  }
  workload.go();
  EXPECT_EQ(open_dump(recorder.wait_for_dump()).meta().cause.tgid, static_cast<std::uint32_t>(workload.pid()));
  EXPECT_EQ(workload.end(), 0);
  while (status_of(recorder)["targets_alive"] != 0) {
  }
  EXPECT_TRUE(recorder.child().running());
  EXPECT_EQ(recorder.stop(), 0);
}

// The program's first call that matters follows its exec at once: who is told by userspace would have missed its begin.
TEST_F(Targets, CommGlobWithWait_MissesNoCallOfAProgramThatBlocksAtOnce) {
  constexpr int kPrograms = 20;
  const std::string name = "nap" + std::to_string(getpid());
  std::filesystem::create_symlink("/bin/sleep", temp() / name);
  Recorder recorder = start_recorder(Words{"--comm", name.substr(0, name.size() - 1) + "?", "--wait", "--cooldown", "1h"} +
                                     kSleepTrigger);
  for (int i = 0; i < kPrograms; ++i) EXPECT_EQ(run({temp() / name, "0.06"}).status, 0);
  EXPECT_EQ(status_of(recorder)["fired"]["total"], kPrograms);
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Targets, CommGlobThatNobodyMatches_IsAnErrorWithoutWait) {
  const Output output =
      kflight({"record", "-o", temp().path(), "--name", "nobody" + std::to_string(getpid()), "--comm", "no-such-name"});
  EXPECT_EQ(output.status, 1);
  EXPECT_THAT(output.err, HasSubstr("--wait"));
}

TEST_F(Targets, All_RecordsTheCallsOfEveryProcess) {
  Recorder recorder = start_recorder({"--all", "--syscalls", "all"});
  Workload workload = start_workload("counts", {"--getppid", "100"});
  workload.go();
  const Json report = workload.report();
  const Dump dump = dump_now(recorder);
  EXPECT_EQ(
      count<SyscallEvent>(dump, {report["t0"], report["t1"]},
                          [&](const SyscallEvent& e) { return e.tid == report["pid"] && e.nr == nr_of("getppid"); }),
      100u);
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Targets, LastTargetEnds_EndsTheRecorder) {
  Workload workload = start_workload("nanosleep");
  Recorder recorder = start_recorder({"--pid", std::to_string(workload.pid())});
  workload.go();
  workload.report();
  EXPECT_EQ(workload.end(), 0);
  EXPECT_EQ(recorder.child().wait(), 0);
  EXPECT_THAT(recorder.child().err(), HasSubstr("the target has ended"));
}

TEST_F(Targets, UnknownPid_IsRefused) {
  const pid_t pid = pid_of_nobody();
  const Output output = record_pid(pid);
  EXPECT_EQ(output.status, 1);
  EXPECT_THAT(output.err, HasSubstr(std::to_string(pid)));
  EXPECT_EQ(output.out, "");
}

TEST_F(Targets, KernelThread_IsRefused) {
  const Output output = record_pid(2);  // kthreadd
  EXPECT_EQ(output.status, 2);
  EXPECT_THAT(output.err, HasSubstr("kernel thread"));
  EXPECT_EQ(output.out, "");
}

TEST_F(Targets, TwoRecorders_NeedTwoNames) {
  Workload workload = start_workload("counts", {"--getppid", "500", "--forks", "0"});
  const std::string pid = std::to_string(workload.pid());
  Recorder first = start_recorder({"--pid", pid, "--syscalls", "all"});
  const Output refused = kflight({"record", "-o", temp().path(), "--name", first.name(), "--pid", pid});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr(first.name()));
  Recorder second = start_recorder({"--pid", pid, "--syscalls", "all"});

  workload.go();
  workload.report();
  for (const Recorder* recorder : {&first, &second}) {
    EXPECT_EQ(count<SyscallEvent>(dump_now(*recorder), {},
                                  [&](const SyscallEvent& e) {
                                    return static_cast<pid_t>(e.tid) == workload.pid() && e.nr == nr_of("getppid");
                                  }),
              500u);
  }
  EXPECT_EQ(first.stop(), 0);
  EXPECT_EQ(second.stop(), 0);
}

TEST_F(Targets, WhoWaitsToBeReaped_IsNoTarget) {
  const std::string name = "reaper" + std::to_string(getpid());
  ASSERT_EQ(prctl(PR_SET_NAME, name.c_str()), 0);
  const pid_t zombie = fork();
  if (zombie == 0) _exit(0);
  siginfo_t ended{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(zombie), &ended, WEXITED | WNOWAIT), 0);
  const Output by_number = record_pid(zombie);
  EXPECT_EQ(by_number.status, 1);
  EXPECT_THAT(by_number.err, HasSubstr("has ended; its parent has not asked for its exit status yet"));
  const Output by_name = kflight({"record", "-o", temp().path(), "--name", "zombies" + std::to_string(getpid()), "--comm",
                                  name, "--no-follow", "--duration", "1ms"});
  EXPECT_THAT(by_name.err, HasSubstr("recording 1 process;")) << "this one alone";
  EXPECT_EQ(waitpid(zombie, nullptr, 0), zombie);
}

// Switches of others are left out, but whoever was born ends, the target's last thread included.
TEST_F(Targets, WithTheScopeOfTheTarget_EveryLifeEnds) {
  Child& shell = start({"sh", "-c", "read line; for i in 1 2 3; do /bin/true; done"});
  Recorder recorder = start_recorder({"--pid", std::to_string(shell.pid()), "--scope", "target", "--wait"});
  std::set<std::uint32_t> strangers;
  for (int i = 0; i < 20; ++i) strangers.insert(static_cast<std::uint32_t>(pid_of_nobody()));
  shell.send_line("go");
  shell.wait();
  const model::Trace trace = open_trace(dump_path(recorder));
  EXPECT_EQ(recorder.stop(), 0);
  std::size_t known = 0;
  for (const model::Thread& thread : trace.timeline().threads()) {
    if (!strangers.contains(thread.tid) && thread.tgid != static_cast<std::uint32_t>(shell.pid())) continue;
    ++known;
    ASSERT_FALSE(thread.intervals.empty());
    EXPECT_EQ(thread.intervals.back().state, model::State::kExited) << thread.tid;
  }
  EXPECT_EQ(known, strangers.size() + 1);
}

}  // namespace
}  // namespace kflight::test
