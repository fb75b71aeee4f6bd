// SPDX-License-Identifier: Apache-2.0
//
// handoff_test.cpp - events that say how work went from one to the next, on real BPF: requests to disks agree with the
// kernel's own statistics, work items, signals, mutexes and quotas are seen with the right names, and none of them
// exist with causes off.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fstream>
#include <map>

#include "base/clocks.hpp"
#include "integration/dump_facts.hpp"

namespace kflight::test {
namespace {

// Written and read so far by one disk; `before_ns` and `after_ns` enclose the reading.
struct DiskStats {
  std::uint64_t before_ns = 0, after_ns = 0;
  std::uint64_t read_bytes = 0, written_bytes = 0;
};

DiskStats read_disk(const std::string& numbers) {
  constexpr std::uint64_t kSector = 512;
  DiskStats out;
  std::uint64_t reads, merged, read_sectors, read_ms, writes, writes_merged, write_sectors;
  std::ifstream stat("/sys/dev/block/" + numbers + "/stat");
  out.before_ns = boottime_ns();
  stat >> reads >> merged >> read_sectors >> read_ms >> writes >> writes_merged >> write_sectors;
  out.after_ns = boottime_ns();
  out.read_bytes = read_sectors * kSector;
  out.written_bytes = write_sectors * kSector;
  return out;
}

// Of the disk that holds the folder; empty when none does or it is a partition, which has statistics of its own.
std::string disk_of(const std::string& folder) {
  struct stat status {};
  if (stat(folder.c_str(), &status) != 0) return "";
  const std::string numbers = std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
  const std::string device = "/sys/dev/block/" + numbers;
  const bool whole = std::filesystem::exists(device + "/stat") && !std::filesystem::exists(device + "/partition");
  return whole ? numbers : "";
}

constexpr std::uint8_t kRead = 0, kWrite = 1;

class Handoff : public RecordTest {
 protected:
  struct Run {
    std::string path;
    Json report;
  };
  // A workload from its start to its report, recorded with all that goes with causes; nothing if this machine cannot run it.
  std::optional<Run> record(const std::string& name, const Words& arguments = {}, const Words& recorder_arguments = {}) {
    return seeing_all([&] { return record_once(name, arguments, recorder_arguments); },
                      [](const std::optional<Run>& run) {
                        return run && ran_hidden_thread(run->path, {run->report["t0"], run->report["t1"]});
                      });
  }
  Json explained(const Run& run) {
    const Output output = kflight({"explain", run.path, "--json", "--tid", run.report["subject"].dump(), "--from",
                                   "@" + run.report["t0"].dump(), "--to", "@" + run.report["t1"].dump()});
    EXPECT_EQ(output.status, 0) << output.err;
    return output.json();
  }
  static std::uint64_t sum(const Json& explanation, const std::string& category) {
    std::uint64_t ns = 0;
    for (const Json& leaf : explanation["leaves"])
      if (leaf["category"].get<std::string>().starts_with(category)) ns += leaf["ns"].get<std::uint64_t>();
    return ns;
  }
  static std::string text(const Json& explanation) { return explanation.dump(1); }

 private:
  std::optional<Run> record_once(const std::string& name, const Words& arguments, const Words& recorder_arguments) {
    Workload workload = start_workload(name, arguments);
    Words words{"--pid", std::to_string(workload.pid()), "--syscalls", "all", "--min-age", "60s"};
    words.insert(words.end(), recorder_arguments.begin(), recorder_arguments.end());
    Recorder recorder = start_recorder(words);
    workload.go();
    Run run;
    run.report = workload.report();
    if (run.report.contains("skipped")) return std::nullopt;
    run.path = dump_path(recorder);
    workload.end();
    EXPECT_EQ(recorder.stop(), 0);
    return run;
  }
};

std::uint64_t completed_bytes(const Dump& dump, std::uint32_t dev, std::uint8_t op, Interval interval) {
  std::uint64_t bytes = 0;
  for (const Event& event : dump.events()) {
    const auto* e = std::get_if<BlockEvent>(&event);
    const bool counts = e && e->phase == KF_BLOCK_COMPLETE && e->op == op && e->dev == dev;
    if (counts && interval.holds(e->ts_ns)) bytes += e->bytes;
  }
  return bytes;
}

TEST_F(Handoff, RequestsAgreeWithTheDisksOwnStatistics) {
  const std::string disk = disk_of("/var/tmp");
  if (disk.empty()) GTEST_SKIP() << "/var/tmp is on no disk of its own";
  const auto colon = disk.find(':');
  const auto dev =
      static_cast<std::uint32_t>(std::stoul(disk.substr(0, colon)) << 20 | std::stoul(disk.substr(colon + 1)));

  struct Measured {
    DiskStats first, last;
    std::uint64_t asked_for = 0;
    std::string path;
  };
  const auto [first, last, asked_for, path] = seeing_all(
      [&] {
        Workload workload = start_workload("fsync_slow", {"--mib", "8"});
        Recorder recorder = start_recorder({"--pid", std::to_string(workload.pid()), "--min-age", "60s"});
        Measured now{.first = read_disk(disk)};
        workload.go();
        now.asked_for = workload.report()["did"]["bytes"];
        now.last = read_disk(disk);
        now.path = dump_path(recorder);
        workload.end();
        EXPECT_EQ(recorder.stop(), 0);
        return now;
      },
      [](const Measured& m) { return ran_hidden_thread(m.path, {m.first.before_ns, m.last.after_ns}); });
  const Dump dump = open_dump(path);
  ASSERT_EQ(dump.meta().losses.capped, 0u);
  ASSERT_EQ(lost_events(dump), 0u);

  // A request that completes while the statistics are read may or may not be in them, nor one that is being booked.
  constexpr std::uint64_t kBookingNs = 1'000'000;
  const Interval inner{first.after_ns + kBookingNs, last.before_ns - kBookingNs};
  const Interval outer{first.before_ns - kBookingNs, last.after_ns + kBookingNs};
  const std::uint64_t written = last.written_bytes - first.written_bytes, read = last.read_bytes - first.read_bytes;
  EXPECT_GE(written, asked_for);
  EXPECT_LE(completed_bytes(dump, dev, kWrite, inner), written);
  EXPECT_GE(completed_bytes(dump, dev, kWrite, outer), written);
  EXPECT_LE(completed_bytes(dump, dev, kRead, inner), read);
  EXPECT_GE(completed_bytes(dump, dev, kRead, outer), read);
}

TEST_F(Handoff, StepsOfARequestComeInOrder) {
  const auto run = record("fsync_slow", {"--mib", "8"});
  ASSERT_TRUE(run);
  struct Steps {
    std::uint64_t insert_ns = 0, issue_ns = 0;
  };
  std::map<std::uint64_t, Steps> open;
  std::uint64_t whole = 0;
  const Dump dump = open_dump(run->path);
  for (const Event& event : dump.events()) {
    const auto* e = std::get_if<BlockEvent>(&event);
    if (!e || e->bytes == 0) continue;
    Steps& steps = open[e->request];
    if (e->phase == KF_BLOCK_INSERT) steps = {e->ts_ns, 0};
    if (e->phase == KF_BLOCK_ISSUE) steps.issue_ns = e->ts_ns;
    if (e->phase != KF_BLOCK_COMPLETE) continue;
    if (steps.issue_ns != 0) {
      ++whole;
      EXPECT_LE(steps.insert_ns, steps.issue_ns);
      EXPECT_LE(steps.issue_ns, e->ts_ns);
    }
    open.erase(e->request);
  }
  EXPECT_GT(whole, 0u);
}

TEST_F(Handoff, AnIoLimitIsNamed) {
  const auto run = record("disk_throttle");
  if (!run) GTEST_SKIP() << "no cgroup with an I/O limit can be made here";
  const Json explanation = explained(*run);
  const auto length = explanation["op"]["duration_ns"].get<std::uint64_t>();
  EXPECT_GE(sum(explanation, "disk:queue") * 10, length * 8) << text(explanation);
  const bool held_back = std::ranges::any_of(explanation["leaves"], [](const Json& leaf) {
    return leaf.value("held_back", false) && leaf.value("operation", "") == "write";
  });
  EXPECT_TRUE(held_back) << text(explanation);
}

std::uint64_t wakings_by_work(const Dump& dump, const Json& report) {
  const auto subject = report["subject"].get<std::uint32_t>();
  const Interval all{report["t0"], report["t1"]};
  return count<WakingEvent>(dump, {}, [&](const WakingEvent& e) {
    return e.wakee == subject && all.holds(e.ts_ns) && e.cause == KF_CAUSE_WORK;
  });
}

TEST_F(Handoff, AKworkersWorkIsFollowedToTheDisk) {
  auto run = record("kworker");
  // On a busy machine every write may be done before anybody waits for it, and nobody has to be woken.
  for (int again = 0; run && again < 3 && wakings_by_work(open_dump(run->path), run->report) == 0; ++again)
    run = record("kworker");
  if (!run) GTEST_SKIP() << "no direct I/O in /var/tmp";
  const Dump dump = open_dump(run->path);
  std::set<std::uint64_t> named;
  for (const KernelSymbol& symbol : dump.kernel_symbols()) named.insert(symbol.begin);
  const Interval all{run->report["t0"], run->report["t1"]};
  std::uint64_t items = 0, known = 0;
  for (const Event& event : dump.events()) {
    if (const auto* work = std::get_if<WorkEvent>(&event); work && all.holds(work->ts_ns)) {
      ++items;
      known += work->queued_ns != 0;
      EXPECT_LE(work->queued_ns, work->started_ns);
      EXPECT_LE(work->started_ns, work->ts_ns);
      EXPECT_TRUE(named.empty() || named.contains(work->function)) << std::hex << work->function;
    }
  }
  EXPECT_GE(wakings_by_work(dump, run->report), 1u);
  EXPECT_GE(items, 1u);
  EXPECT_GE(known * 10, items * 9);  // who queued it is forgotten when two items share a place
  const Json explanation = explained(*run);
  const auto length = explanation["op"]["duration_ns"].get<std::uint64_t>();
  EXPECT_GT(sum(explanation, "workqueue"), 0u) << text(explanation);
  EXPECT_LE(sum(explanation, "unknown") * 20, length) << text(explanation);
  EXPECT_GT(sum(explanation, "disk:"), 0u) << text(explanation);
}

TEST_F(Handoff, SignalsNameTheirSender) {
  const auto run = record("signal_wake");
  ASSERT_TRUE(run);
  const Dump dump = open_dump(run->path);
  const auto receiver = run->report["pid"].get<std::uint32_t>();
  const auto sender = run->report["tids"]["sender"].get<std::uint32_t>();
  constexpr std::uint8_t kSigusr2 = 12;
  const auto sent = count<SignalEvent>(dump, {}, [&](const SignalEvent& e) {
    return e.tid == sender && e.target_tgid == receiver && e.signal == kSigusr2 && e.ctx == KF_CTX_TASK;
  });
  EXPECT_EQ(sent, 1u);
  EXPECT_NE(text(explained(*run)).find("signal SIGUSR2"), std::string::npos) << text(explained(*run));
}

TEST_F(Handoff, AStopNamesWhoStopped) {
  const auto run = record("stop_cont");
  ASSERT_TRUE(run);
  const Json explanation = explained(*run);
  std::uint64_t stopped_ns = 0;
  for (const Json& leaf : explanation["leaves"])
    if (leaf["category"] == "signal/stop" && leaf["who"].value("tid", 0) == run->report["pid"])
      stopped_ns += leaf["ns"].get<std::uint64_t>();
  EXPECT_GE(stopped_ns * 10, explanation["op"]["duration_ns"].get<std::uint64_t>() * 8) << text(explanation);
}

bool has_inversion(const Json& explanation) {
  return std::ranges::any_of(
      explanation["notes"], [](const Json& note) { return note.get<std::string>().starts_with("priority inversion"); });
}

TEST_F(Handoff, APiFutexNamesItsOwnerAndKnowsNoInversion) {
  const auto run = record("prio_inversion", {"--pi", "1"});
  if (!run) GTEST_SKIP() << "no real-time priorities here";
  const Dump dump = open_dump(run->path);
  const auto waiter = run->report["subject"].get<std::uint32_t>();
  const auto owner = run->report["tids"]["low"].get<std::uint32_t>();
  const auto waits = count<LockWaitEvent>(dump, {}, [&](const LockWaitEvent& e) {
    return e.tid == waiter && e.owner_tid == owner && e.lock_kind == KF_LOCK_RT_MUTEX;
  });
  EXPECT_EQ(waits, 1u);
  EXPECT_FALSE(has_inversion(explained(*run)));
}

TEST_F(Handoff, AnOrdinaryLockDoesInvert) {
  const auto run = record("prio_inversion");
  if (!run) GTEST_SKIP() << "needs two CPUs";
  EXPECT_TRUE(has_inversion(explained(*run))) << text(explained(*run));
}

TEST_F(Handoff, ThrottledTimeEndsWithTheRefill) {
  const auto run = record("cgroup_throttle");
  if (!run) GTEST_SKIP() << "no cgroup with a CPU quota can be made here";
  const Dump dump = open_dump(run->path);
  const auto subject = run->report["subject"].get<std::uint32_t>();
  const Interval all{run->report["t0"], run->report["t1"]};
  std::set<std::uint64_t> groups;
  std::uint64_t throttled = 0;
  for (const Event& event : dump.events()) {
    if (const auto* e = std::get_if<ThrottleEvent>(&event); e && e->tid == subject && all.holds(e->ts_ns))
      groups.insert(e->group);
    if (const auto* e = std::get_if<SwitchEvent>(&event); e && e->tid == subject && e->throttled && all.holds(e->ts_ns))
      ++throttled;
  }
  EXPECT_EQ(groups.size(), 1u);
  EXPECT_GE(throttled, 2u);
  const auto refills = count<RefillEvent>(dump, all, [&](const RefillEvent& e) { return groups.contains(e.group); });
  EXPECT_GE(refills + 1, throttled);
  // The kernel's own figure counts the group's CPUs; the thread is on one of them.
  const auto quota_ns = sum(explained(*run), "cpu-quota");
  const auto kernels_ns = run->report["did"]["throttled_ns"].get<std::uint64_t>();
  EXPECT_NEAR(static_cast<double>(quota_ns), static_cast<double>(kernels_ns), 0.1 * static_cast<double>(kernels_ns));
}

TEST_F(Handoff, CausesOffHasNoneOfThem) {
  const auto run = record("signal_wake", {}, {"--causes", "off"});
  ASSERT_TRUE(run);
  std::uint64_t events = 0;
  const Dump dump = open_dump(run->path);
  for (const Event& event : dump.events())
    visit(
        event, [&](const BlockEvent&) { ++events; }, [&](const WorkEvent&) { ++events; },
        [&](const SignalEvent&) { ++events; }, [&](const LockWaitEvent&) { ++events; },
        [&](const ThrottleEvent&) { ++events; }, [&](const RefillEvent&) { ++events; });
  EXPECT_EQ(events, 0u);
}

}  // namespace
}  // namespace kflight::test
