// SPDX-License-Identifier: Apache-2.0
//
// What fires and what does not, and what the dump says about the call that did. Where a workload is not needed, this
// process is the target itself: it makes the call and knows its own thread and times.
#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <fstream>
#include <thread>

#include "integration/dump_facts.hpp"

namespace kflight::test {
namespace {

using namespace std::chrono_literals;

std::uint64_t boottime_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint32_t own_tid() { return static_cast<std::uint32_t>(syscall(SYS_gettid)); }

struct Pipe {
  explicit Pipe(int flags = 0) {
    if (pipe2(fds, O_CLOEXEC | flags) != 0) ADD_FAILURE() << "no pipe";
  }
  ~Pipe() {
    close(fds[0]);
    close(fds[1]);
  }
  int fds[2];
};

// poll(2) on nothing: a call the harness does not make. Returns what surrounds it.
Interval slow_poll(int ms) {
  const std::uint64_t t0 = boottime_ns();
  poll(nullptr, 0, ms);
  return {t0, boottime_ns()};
}

class Trigger : public RecordTest {
 protected:
  Recorder watch(pid_t pid, Words triggers, Words more = {"--post", "0s"}) {
    Words words{"--pid", std::to_string(pid), "--no-follow"};
    for (const std::string& trigger : triggers) words.insert(words.end(), {"--trigger", trigger});
    words.insert(words.end(), more.begin(), more.end());
    return start_recorder(words);
  }
  Recorder watch_us(Words triggers, Words more = {"--post", "0s"}) { return watch(getpid(), triggers, more); }

  void read_nothing() {
    char byte = 0;
    EXPECT_EQ(read(empty_.fds[0], &byte, 1), -1);
  }

  // Runs the whole workload under the trigger: nothing may fire.
  void expect_silence(const std::string& name, Words arguments, const std::string& trigger) {
    Workload workload = start_workload(name, std::move(arguments));
    Recorder recorder = watch(workload.pid(), {trigger});
    workload.go();
    workload.report();
    EXPECT_EQ(status_of(recorder)["fired"]["total"], 0) << name << " under " << trigger;
    EXPECT_EQ(recorder.stop(), 0);
    EXPECT_TRUE(files_in(recorder.directory()).empty());
  }

  Pipe empty_{O_NONBLOCK};
};

TEST_F(Trigger, SlowCall_IsNamedWithThreadNumberAndDuration) {
  Workload workload = start_workload("mutex_sleeper", {"--hold", "300"});
  Recorder recorder = watch(workload.pid(), {"syscall>100ms"});
  workload.go();
  const std::string path = recorder.wait_for_dump();
  const Json report = workload.report();
  const Dump dump = open_dump(path);
  const Cause& cause = dump.meta().cause;
  EXPECT_EQ(cause.kind, "syscall");
  EXPECT_EQ(cause.trigger, "syscall>100ms");
  EXPECT_EQ(cause.tid, report["subject"]);
  EXPECT_EQ(cause.tgid, report["pid"]);
  EXPECT_EQ(cause.nr, nr_of("futex"));
  EXPECT_FALSE(cause.call_in_flight);
  EXPECT_GE(cause.enter_ns, report["t0"].get<std::uint64_t>());
  EXPECT_LE(cause.exit_ns, report["t1"].get<std::uint64_t>());
  EXPECT_GE(cause.exit_ns - cause.enter_ns, 100'000'000u);
  // Waking the recorder is an event of its own, before the call's.
  const auto same_call = [&](const SyscallEvent& e) { return e.tid == cause.tid && e.enter_ns == cause.enter_ns; };
  EXPECT_EQ(count<SyscallEvent>(dump, {cause.exit_ns, report["t1"]}, same_call), 1u);
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Trigger, CallsMeantToWait_FireOnlyByName) {
  expect_silence("nanosleep", {}, "syscall>50ms");
  expect_silence("poll_timeout", {}, "syscall>50ms");
  expect_silence("poll_timeout", {"--futex", "1"}, "syscall>50ms");

  Workload workload = start_workload("nanosleep");
  Recorder recorder = watch(workload.pid(), {"syscall:nanosleep,clock_nanosleep>50ms"});
  workload.go();
  const Dump dump = open_dump(recorder.wait_for_dump());
  const Json report = workload.report();
  const Cause& cause = dump.meta().cause;
  EXPECT_EQ(cause.tid, report["subject"]);
  EXPECT_GE(cause.exit_ns - cause.enter_ns, report["did"]["asked_ns"].get<std::uint64_t>());
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Trigger, CleanTwin_StaysSilent) {
  expect_silence("nanosleep", {"--clean"}, "syscall:nanosleep,clock_nanosleep>50ms");
  expect_silence("long_idle", {}, "syscall>50ms");
}

TEST_F(Trigger, UpperBound_LeavesOutLongerCalls) {
  Recorder recorder = watch_us({"syscall:poll>2ms<100ms"});
  slow_poll(150);
  EXPECT_EQ(status_of(recorder)["fired"]["total"], 0);
  Interval last;
  for (int i = 0; i < 20; ++i) last = slow_poll(5);
  const Dump dump = open_dump(recorder.wait_for_dump());
  const Cause& cause = dump.meta().cause;
  EXPECT_EQ(cause.tid, own_tid());
  EXPECT_EQ(cause.nr, nr_of("poll"));
  EXPECT_LE(cause.exit_ns, last.t1);
  EXPECT_LT(cause.exit_ns - cause.enter_ns, 100'000'000u);
  EXPECT_GE(cause.exit_ns - cause.enter_ns, 2'000'000u);
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Trigger, Errno_MatchesTheResultOnly) {
  Recorder recorder = watch_us({"syscall:read!EAGAIN"});
  char byte = 0;
  EXPECT_EQ(read(-1, &byte, 1), -1);  // EBADF
  EXPECT_EQ(status_of(recorder)["fired"]["total"], 0);
  read_nothing();
  const Dump dump = open_dump(recorder.wait_for_dump());
  const Cause& cause = dump.meta().cause;
  EXPECT_EQ(cause.tid, own_tid());
  EXPECT_EQ(cause.ret, -EAGAIN);
  EXPECT_EQ(cause.args[0], static_cast<std::uint64_t>(empty_.fds[0]));
  EXPECT_TRUE(cause.fd_path.starts_with("pipe:[")) << cause.fd_path;
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Trigger, SeveralTriggers_SayWhichOneFired) {
  Recorder recorder =
      watch_us({"syscall:poll>20ms", "syscall:read!EAGAIN", "inflight:poll>10s"}, {"--post", "0s", "--cooldown", "0s"});
  read_nothing();
  EXPECT_EQ(open_dump(recorder.wait_for_dump()).meta().cause.trigger, "syscall:read!EAGAIN");
  slow_poll(30);
  EXPECT_EQ(open_dump(recorder.wait_for_dump()).meta().cause.trigger, "syscall:poll>20ms");
  EXPECT_EQ(recorder.stop(), 0);
}

// A call meets both; the first one has just had its dump.
TEST_F(Trigger, CallThatMeetsTwo_IsDumpedForTheOneWithoutCooldown) {
  Recorder recorder =
      watch_us({"syscall:poll,pselect6>20ms", "syscall:poll>20ms"}, {"--post", "0s", "--cooldown", "1h"});
  const timespec thirty_ms{0, 30'000'000};
  pselect(0, nullptr, nullptr, nullptr, &thirty_ms, nullptr);
  EXPECT_EQ(open_dump(recorder.wait_for_dump()).meta().cause.trigger, "syscall:poll,pselect6>20ms");
  slow_poll(30);
  EXPECT_EQ(open_dump(recorder.wait_for_dump()).meta().cause.trigger, "syscall:poll>20ms");
  EXPECT_EQ(status_of(recorder)["fired"]["total"], 2);
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Trigger, CallInFlight_IsDumpedWhileStuckAndResolvedLater) {
  Recorder recorder = watch_us({"inflight:read>100ms"}, {"--post", "0s", "--max-dumps", "1"});
  Pipe pipe;
  std::atomic<std::uint32_t> tid = 0;
  std::thread stuck([&] {
    tid = own_tid();
    char byte = 0;
    EXPECT_EQ(read(pipe.fds[0], &byte, 1), 1);
  });
  const std::string path = recorder.wait_for_dump();
  {
    const Dump dump = open_dump(path);
    const Cause& cause = dump.meta().cause;
    EXPECT_EQ(cause.kind, "inflight");
    EXPECT_EQ(cause.tid, tid);
    EXPECT_TRUE(cause.call_in_flight);
    EXPECT_EQ(cause.exit_ns, 0u);
    EXPECT_GE(cause.fired_ns - cause.enter_ns, 100'000'000u);
    EXPECT_TRUE(dump.resolutions().empty());
    EXPECT_TRUE(std::ranges::any_of(dump.open_calls(), [&](const kf_open_call& call) { return call.tid == tid; }));
  }
  EXPECT_TRUE(recorder.child().running()) << "the call has not returned yet";
  EXPECT_EQ(write(pipe.fds[1], "x", 1), 1);
  stuck.join();
  EXPECT_EQ(recorder.child().wait(), 0);  // one dump was asked for, and it is whole now

  const Dump dump = open_dump(path);
  EXPECT_TRUE(dump.complete());
  ASSERT_EQ(dump.resolutions().size(), 1u);
  const kf_ctl& end = dump.resolutions().front();
  EXPECT_EQ(end.tid, tid);
  EXPECT_EQ(end.enter_ns, dump.meta().cause.enter_ns);
  EXPECT_GT(end.exit_ns, dump.meta().cause.fired_ns);
  EXPECT_EQ(end.ret, 1);
}

// Two threads behind the same thing are stuck alike and go on one after the other: the dump is about the first.
TEST_F(Trigger, CallsInFlightThatEndTogether_LeaveTheDumpWithItsOwnsEnd) {
  Recorder recorder = watch_us({"inflight:read>100ms"}, {"--post", "3s", "--max-dumps", "1"});
  Pipe pipes[2];
  std::atomic<std::uint32_t> tids[2] = {};
  std::vector<std::thread> stuck;
  for (int i = 0; i < 2; ++i) {
    stuck.emplace_back([&, i] {
      tids[i] = own_tid();
      char byte = 0;
      EXPECT_EQ(read(pipes[i].fds[0], &byte, 1), 1);
    });
    while (status_of(recorder)["fired"]["total"] != i + 1) {
    }
  }
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(write(pipes[i].fds[1], "x", 1), 1);
    stuck[i].join();
  }
  const std::string path = recorder.wait_for_dump();
  EXPECT_EQ(recorder.child().wait(), 0);
  const Dump dump = open_dump(path);
  EXPECT_EQ(dump.meta().cause.tid, tids[0]);
  EXPECT_EQ(dump.meta().cause.merged, 1u);
  ASSERT_EQ(dump.resolutions().size(), 1u);
  EXPECT_EQ(dump.resolutions().front().tid, tids[0]);
  EXPECT_EQ(dump.resolutions().front().enter_ns, dump.meta().cause.enter_ns);
}

TEST_F(Trigger, FiringsBeforeAndAfterTheDump_AreMergedAndCounted) {
  Recorder recorder = watch_us({"syscall:read!EAGAIN"}, {"--post", "2s", "--cooldown", "1h"});
  for (int i = 0; i < 5; ++i) {
    read_nothing();
    std::this_thread::sleep_for(5ms);
  }
  const Dump dump = open_dump(recorder.wait_for_dump());
  EXPECT_EQ(dump.meta().cause.merged, 4u);
  EXPECT_GE(dump.window_end_ns(), dump.meta().cause.fired_ns + 2'000'000'000u);
  read_nothing();  // within the cooldown
  Json fired;
  do fired = status_of(recorder)["fired"];
  while (fired["total"] != 6);
  EXPECT_EQ(fired["merged"], 4);
  EXPECT_EQ(fired["suppressed"], 1);
  EXPECT_EQ(recorder.stop(), 0);
  EXPECT_EQ(files_in(recorder.directory()).size(), 1u);
}

// The kernel sends about one record per millisecond and counts what else fires.
TEST_F(Trigger, FiringsWithinAMillisecond_AreToldWithTheirOwnDump) {
  Recorder recorder = watch_us({"syscall:read!EAGAIN"}, {"--post", "1s", "--cooldown", "0s"});
  for (int i = 0; i < 10; ++i) read_nothing();
  EXPECT_EQ(open_dump(recorder.wait_for_dump()).meta().cause.merged, 9u);
  read_nothing();
  EXPECT_EQ(open_dump(recorder.wait_for_dump()).meta().cause.merged, 0u);
  const Json fired = status_of(recorder)["fired"];
  EXPECT_EQ(fired["total"], 11);
  EXPECT_EQ(fired["merged"], 9);
  EXPECT_EQ(fired["suppressed"], 0);
  EXPECT_EQ(recorder.stop(), 0);
}

// While the dumps asked for before are still being written, nothing is promised that would not be kept.
TEST_F(Trigger, FiringWhileTheRecorderEnds_IsNotAnnounced) {
  Recorder recorder = watch_us({"syscall:read!EAGAIN"}, {"--post", "10s"});
  for (int i = 0; i < 12; ++i) start({kflight_path(), "dump", "--name", recorder.name()});
  recorder.wait_for_dump();
  recorder.child().signal(SIGINT);
  while (recorder.child().running()) read_nothing();
  EXPECT_EQ(recorder.child().wait(), 0);
  std::size_t announced = 0, written = 0;
  const std::string said = recorder.child().err();
  for (auto at = said.find("; dump in "); at != std::string::npos; at = said.find("; dump in ", at + 1)) ++announced;
  for (const std::string& file : files_in(recorder.directory()))
    written += open_dump(recorder.directory() + "/" + file).meta().cause.kind == "syscall";
  EXPECT_EQ(announced, written) << said;
}

TEST_F(Trigger, MaxDumps_EndsTheRecorder) {
  Recorder recorder = watch_us({"syscall:read!EAGAIN"}, {"--post", "0s", "--cooldown", "0s", "--max-dumps", "2"});
  while (recorder.child().running()) {
    read_nothing();
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(recorder.child().wait(), 0);
  EXPECT_EQ(files_in(recorder.directory()).size(), 2u);
}

TEST_F(Trigger, MaxDumpBytes_RemovesTheOldest) {
  Recorder recorder = start_recorder({"--pid", std::to_string(getpid()), "--max-dump-bytes", "1KiB"});
  std::ofstream(recorder.directory() + "/foreign.kfr") << "somebody else's";
  std::string last;
  for (int i = 0; i < 3; ++i) last = dump_path(recorder);
  EXPECT_EQ(files_in(recorder.directory()),
            (std::set<std::string>{"foreign.kfr", std::filesystem::path(last).filename()}));
  EXPECT_EQ(recorder.stop(), 0);
}

}  // namespace
}  // namespace kflight::test
