// SPDX-License-Identifier: Apache-2.0
//
// What happens to a recorder: it gets no CPU, no memory, no disk, nobody to talk to, a second one beside it, other
// clocks, one CPU less. Recording goes on or ends cleanly, what was lost is dated, and every dump is consistent (the
// harness holds each against `kflight check`). What a target does to it is in faults_target_test.cpp; docs/reliability.md
// lists all.
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/clocks.hpp"
#include "integration/dump_facts.hpp"

namespace kflight::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// A group of the cgroup file system's either version, with a limit of memory; gone with this object.
class MemoryLimit {
 public:
  explicit MemoryLimit(std::uint64_t bytes) {
    const std::string name = "/kflight-test-" + std::to_string(getpid());
    for (const auto& [root, file] : {std::pair{"/sys/fs/cgroup/memory", "/memory.limit_in_bytes"},
                                     std::pair{"/sys/fs/cgroup", "/memory.max"}}) {
      put(std::string(root) + "/cgroup.subtree_control", "+memory");
      std::error_code refused;
      if (!std::filesystem::create_directory(root + name, refused)) continue;
      path_ = root + name;
      if (put(path_ + file, std::to_string(bytes))) return;
      std::filesystem::remove(std::exchange(path_, {}), refused);
    }
  }
  ~MemoryLimit() {
    std::error_code busy;  // for a moment after the last process's end
    while (!path_.empty() && !std::filesystem::remove(path_, busy) && busy) std::this_thread::sleep_for(10ms);
  }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

  bool works() const { return !path_.empty(); }
  std::string processes() const { return path_ + "/cgroup.procs"; }

 private:
  static bool put(const std::string& file, const std::string& text) {
    const int fd = open(file.c_str(), O_WRONLY | O_CLOEXEC);
    const bool written = fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    if (fd >= 0) close(fd);
    return written;
  }
  std::string path_;
};

class Faults : public RecordTest {
 protected:
  std::string own_name() const { return "faults" + std::to_string(getpid()); }
  // That a recorder of this name can start, and that it writes a dump.
  void expect_fresh_start(const std::string& name) {
    Recorder next = start_recorder({"--all", "--name", name});
    EXPECT_NE(dump_path(next), "");
    EXPECT_EQ(next.stop(), 0);
  }
};

TEST_F(Faults, StoppedForASecond_LosesThatSecondAndSaysSo) {
  Workload load = start_workload("nesting_stress", {"--run", "1000000000"});
  Recorder recorder = start_recorder(
      {"--pid", std::to_string(getpid()), "--trigger", "syscall:poll>20ms", "--post", "0s", "--ring-bytes", "256KiB"});
  load.go();
  std::this_thread::sleep_for(200ms);
  const std::uint64_t stopped_ns = boottime_ns();
  recorder.child().signal(SIGSTOP);
  std::this_thread::sleep_for(500ms);
  poll(nullptr, 0, 50);  // a trigger fires while nobody listens
  const std::uint64_t fired_ns = boottime_ns();
  std::this_thread::sleep_for(500ms);
  const std::uint64_t continued_ns = boottime_ns();
  recorder.child().signal(SIGCONT);

  const std::string path = recorder.wait_for_dump();
  load.child().signal(SIGKILL);
  load.child().wait();
  const Dump dump = open_dump(path);
  EXPECT_EQ(dump.meta().cause.kind, "syscall");
  EXPECT_LE(dump.meta().cause.exit_ns, fired_ns);
  EXPECT_GE(dump.meta().cause.received_ns, continued_ns);
  std::uint64_t lost = 0, lost_meanwhile = 0, events_after = 0;
  for (const Event& event : dump.events()) {
    if (head(event).ts_ns > continued_ns) ++events_after;
    const auto* loss = std::get_if<LossEvent>(&event);
    if (loss == nullptr || loss->reason != 0) continue;
    lost += loss->count;
    if (loss->from_ns < continued_ns && loss->ts_ns > stopped_ns) lost_meanwhile += loss->count;
  }
  EXPECT_GT(lost_meanwhile, 0u);
  EXPECT_GT(events_after, 0u);
  EXPECT_EQ(lost, dump.meta().losses.ring_events);
  EXPECT_NE(dump_path(recorder), "");
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Faults, MemoryLimitOfItsGroup_EndsItOrNotAndLeavesNothing) {
  for (const std::uint64_t mib : {8, 24, 512}) {
    const MemoryLimit limit(mib << 20);
    if (!limit.works()) GTEST_SKIP() << "no cgroup with a limit of memory can be made here";
    Workload load = start_workload("nesting_stress", {"--run", "1000000000"});
    const std::string directory = temp() / ("limit" + std::to_string(mib));
    std::filesystem::create_directory(directory);
    Child& recorder = start({"sh", "-c", R"(echo $$ >"$1" && shift && exec "$@")", "sh", limit.processes(),
                             kflight_path(), "record", "--all", "--syscalls", "all", "--name", own_name(), "-o",
                             directory, "--max-bytes", "64MiB", "--min-age", "60s"});
    load.go();
    const bool ready = recorder.wait_for_line("ready").has_value();
    for (int i = 0; i < 40 && recorder.running(); ++i) std::this_thread::sleep_for(50ms);
    bool dumped = false;
    if (recorder.running()) {
      dumped = kflight({"dump", "--name", own_name()}).status == 0;
      recorder.signal(SIGINT);
    }
    // Killed for want of memory, be it while it dumps or ends, refused with a reason, or nothing of the kind.
    const int status = recorder.wait();
    const bool killed = status == 128 + SIGKILL;
    EXPECT_TRUE(killed || (status == 0 && dumped) || (!ready && status == 1 && !recorder.err().empty()))
        << recorder.transcript();
    EXPECT_TRUE(mib < 512 || (status == 0 && dumped)) << recorder.transcript();
    for (const std::string& file : files_in(directory))
      EXPECT_TRUE(file.ends_with(".kfr") || (killed && file.ends_with(".kfr.partial"))) << file;
    load.child().signal(SIGKILL);
    load.child().wait();
    RecordProperty("status_with_" + std::to_string(mib) + "_MiB", status);
    expect_fresh_start(own_name());
  }
}

TEST_F(Faults, KilledBesideAnother_TheOtherGoesOn) {
  Workload workload = start_workload("counts", {"--getppid", "500", "--forks", "0"});
  const std::string pid = std::to_string(workload.pid());
  Recorder first = start_recorder({"--pid", pid, "--syscalls", "all"});
  Recorder second = start_recorder({"--pid", pid, "--syscalls", "all"});
  Child& dump = start({kflight_path(), "dump", "--name", first.name()});
  first.child().signal(SIGKILL);
  EXPECT_EQ(first.child().wait(), 128 + SIGKILL);
  dump.wait();
  workload.go();
  const Json report = workload.report();
  const Dump other = dump_now(second);
  EXPECT_EQ(lost_events(other), 0u);
  EXPECT_EQ(count<SyscallEvent>(other, {report["t0"], report["t1"]},
                                [&](const SyscallEvent& e) {
                                  return static_cast<pid_t>(e.tid) == workload.pid() && e.nr == nr_of("getppid");
                                }),
            500u);
  EXPECT_EQ(second.stop(), 0);
  expect_fresh_start(first.name());
}

TEST_F(Faults, NobodyReadsItsOutput_DumpsAreWrittenAllTheSame) {
  const std::string directory = temp() / "unread";
  std::filesystem::create_directory(directory);
  // The shell's other end of the pipe is gone once it has seen "ready".
  Child& child = start({"sh", "-c", R"({ "$@"; echo "status $?" >&2; } | head -n 1)", "sh", kflight_path(), "record",
                        "--all", "--name", own_name(), "-o", directory});
  ASSERT_TRUE(child.wait_for_line("ready"));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(kflight({"dump", "--name", own_name()}).status, 0);
  EXPECT_EQ(files_in(directory).size(), 2u);
  EXPECT_EQ(kflight({"stop", "--name", own_name()}).status, 0);
  EXPECT_EQ(child.wait(), 0);
  EXPECT_THAT(child.err(), HasSubstr("status 0"));
}

TEST_F(Faults, NoRoomForItsMessages_DumpsAreWrittenAllTheSame) {
  const std::string directory = temp() / "unsaid";
  std::filesystem::create_directory(directory);
  Child& child = start({"sh", "-c", R"(exec "$@" 2>/dev/full)", "sh", kflight_path(), "record", "--all", "--name",
                        own_name(), "-o", directory});
  ASSERT_TRUE(child.wait_for_line("ready"));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(kflight({"dump", "--name", own_name()}).status, 0);
  EXPECT_EQ(files_in(directory).size(), 2u);
  EXPECT_EQ(kflight({"stop", "--name", own_name()}).status, 0);
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(run({"sh", "-c", R"("$@" 2>/dev/full)", "sh", kflight_path(), "no-such-command"}).status, 2);
}

// Ctrl-S, or a console in which somebody selects text: the terminal takes nothing until it goes on.
TEST_F(Faults, TerminalThatWasStopped_HoldsNothingUp) {
  const int ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_TRUE(ours >= 0 && grantpt(ours) == 0 && unlockpt(ours) == 0) << "no terminal";
  const std::string name = ptsname(ours);
  const int terminal = open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_GE(terminal, 0) << name;
  const std::string directory = temp() / "stopped";
  std::filesystem::create_directory(directory);
  Child& child = start({"sh", "-c", R"(t=$1; shift; exec "$@" >"$t" 2>&1)", "sh", name, kflight_path(), "record",
                        "--all", "--name", own_name(), "-o", directory});
  std::string said;
  const auto listen = [&] {
    char bytes[4096];
    pollfd fd{ours, POLLIN, 0};
    const ssize_t more = poll(&fd, 1, 50) == 1 ? read(ours, bytes, sizeof bytes) : 0;
    if (more > 0) said.append(bytes, static_cast<std::size_t>(more));
    return more > 0;
  };
  while (said.find("ready") == std::string::npos && (listen() || child.running())) {
  }
  EXPECT_EQ(tcflow(terminal, TCOOFF), 0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(kflight({"dump", "--name", own_name()}).status, 0);
    std::this_thread::sleep_for(600ms);  // a status line is due
  }
  EXPECT_EQ(tcflow(terminal, TCOON), 0);
  EXPECT_EQ(kflight({"stop", "--name", own_name()}).status, 0);
  EXPECT_EQ(child.wait(), 0);
  for (int i = 0; i < 200 && said.find("ended:") == std::string::npos; ++i) listen();  // the kernel passes it on when it likes
  while (listen()) {
  }
  EXPECT_THAT(said, HasSubstr("messages are not here: standard error did not take them"));
  EXPECT_THAT(said, HasSubstr("ended: asked to stop"));
  for (const std::string& file : files_in(directory)) EXPECT_THAT(said, HasSubstr("dump " + directory + "/" + file));
  close(terminal);
  close(ours);
}

TEST_F(Faults, BootTimeOfATimeNamespace_IsRefused) {
  const Output shifted = run({"unshare", "--time", "--boottime", "1000", kflight_path(), "record", "--all", "--name",
                              own_name(), "-o", temp().path()});
  if (shifted.err.find("unshare") == 0) GTEST_SKIP() << "no time namespaces here: " << shifted.err;
  EXPECT_EQ(shifted.status, 1);
  EXPECT_THAT(shifted.err, HasSubstr("1000.000000000 s ahead"));
  expect_fresh_start(own_name());
}

// Times in a dump are the kernel's, whatever clock the target is shown.
TEST_F(Faults, TargetInATimeNamespace_IsDatedByTheKernelsClock) {
  const std::string directory = temp() / "shifted";
  std::filesystem::create_directory(directory);
  const std::uint64_t before_ns = boottime_ns();
  const Output output =
      kflight({"record", "-o", directory, "--name", own_name(), "--trigger", "syscall:clock_nanosleep>50ms", "--post",
               "0s", "--", "unshare", "--time", "--boottime", "100000", "--monotonic", "100000", "sleep", "0.2"});
  if (output.err.find("unshare:") != std::string::npos) GTEST_SKIP() << "no time namespaces here: " << output.err;
  EXPECT_EQ(output.status, 0) << output.err;
  const auto files = files_in(directory);
  ASSERT_EQ(files.size(), 1u);
  const Cause cause = open_dump(directory + "/" + *files.begin()).meta().cause;
  EXPECT_GE(cause.enter_ns, before_ns);
  EXPECT_LE(cause.exit_ns, boottime_ns());
  EXPECT_GE(cause.exit_ns - cause.enter_ns, 190'000'000u);
}

std::vector<std::uint32_t> hotplug_losses(const Dump& dump) {
  std::vector<std::uint32_t> kinds;
  for (const kf_loss& loss : dump.losses()) {
    if (loss.kind != KF_LOSS_OFFLINE && loss.kind != KF_LOSS_ONLINE) continue;
    EXPECT_EQ(loss.lane, 1u);
    EXPECT_LT(loss.from_ns, loss.to_ns);
    kinds.push_back(loss.kind);
  }
  return kinds;
}

// Not on a machine that others use: what they bound to the CPU would lose it for good.
TEST_F(Faults, CpuGoesOfflineAndComesBack_RecordingGoesOnAndSaysWhatCouldNotBeSeen) {
  const std::string switch_of_cpu1 = "/sys/devices/system/cpu/cpu1/online";
  if (std::getenv("KFLIGHT_TEST_EMULATED") == nullptr)
    GTEST_SKIP() << "only in a virtual machine of its own (scripts/vmtest.sh): others may have bound threads to the CPU";
  if (!std::filesystem::exists(switch_of_cpu1)) GTEST_SKIP() << "this machine has no second CPU, or it cannot be switched off";
  Workload load = start_workload("pipe_pingpong", {"--rounds", "100000000"});
  Recorder recorder = start_recorder({"--all", "--sample", "50", "--min-age", "600s"});
  load.go();
  std::vector<std::uint32_t> expected;
  for (int i = 0; i < 2; ++i) {
    std::ofstream(switch_of_cpu1) << "0" << std::flush;
    expected.push_back(KF_LOSS_OFFLINE);
    EXPECT_EQ(hotplug_losses(open_dump(dump_path(recorder))), expected);
    std::ofstream(switch_of_cpu1) << "1" << std::flush;
    expected.push_back(KF_LOSS_ONLINE);
    EXPECT_EQ(hotplug_losses(open_dump(dump_path(recorder))), expected);
  }
  load.child().signal(SIGKILL);
  load.child().wait();
  EXPECT_EQ(recorder.stop(), 0);
}

}  // namespace
}  // namespace kflight::test
