// SPDX-License-Identifier: Apache-2.0
//
// A recorder is killed at any moment: its window becomes a dump that `kflight check` finds nothing wrong with, whoever
// makes it, `kflight recover` or the next recorder of that name. bench/kills.sh does the same many more times.
#include <linux/magic.h>
#include <sys/vfs.h>

#include <chrono>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "integration/dump_facts.hpp"
#include "record/recorder_name.hpp"

namespace kflight::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class Recover : public RecordTest {
 protected:
  Recorder record(Words more = {}) {
    Words words{"--all", "--syscalls", "all"};
    words.insert(words.end(), more.begin(), more.end());
    return start_recorder(words);
  }
  static void kill(Recorder& recorder) {
    recorder.child().signal(SIGKILL);
    EXPECT_EQ(recorder.child().wait(), 128 + SIGKILL);
  }
  // The dump of what is left of it; "" when that failed.
  std::string recover(const Recorder& recorder) {
    const Output output = kflight({"recover", "--name", recorder.name(), "--json", "-o",
                                   temp() / ("recovered" + std::to_string(++recovered_) + ".kfr")});
    EXPECT_EQ(output.status, 0) << output.err;
    if (output.status != 0) return "";
    EXPECT_EQ(output.json().value("damaged_chunks", -1), 0);
    EXPECT_EQ(output.json().value("pid", -1), recorder.child().pid());
    EXPECT_FALSE(std::filesystem::exists(record::control_socket_path(recorder.name())));
    return output.json().value("path", "");
  }
  std::set<std::string> left() const { return files_in(windows()); }

 private:
  int recovered_ = 0;
};

// What the loss at its end has to look like: one per CPU, from its last event to the window's end.
void expect_stated_loss(const Dump& dump) {
  std::map<std::uint32_t, std::uint64_t> last_ns;
  for (const auto& event : dump.events()) {
    const auto& h = head(event);
    if (!h.nested && !std::holds_alternative<LossEvent>(event)) last_ns[h.cpu] = h.ts_ns;
  }
  std::set<std::uint32_t> cpus;
  for (const kf_loss& loss : dump.losses()) {
    if (loss.kind != KF_LOSS_UNFLUSHED) continue;
    EXPECT_TRUE(cpus.insert(loss.lane).second);
    EXPECT_EQ(loss.to_ns, dump.window_end_ns());
    if (last_ns.contains(loss.lane)) {
      EXPECT_GE(loss.from_ns, last_ns[loss.lane]);
    }
  }
  EXPECT_GE(cpus.size(), dump.meta().host.cpus_online);
}

// Small windows, so that chunks leave them all the time. That the dumps are consistent is what every test ends with.
TEST_F(Recover, KilledAtRandomMomentsUnderLoad) {
  constexpr int kKills = 6;
  Child& load = start({"perf", "bench", "sched", "messaging", "--thread", "--group", "1", "--nr_loops", "100000000"});
  std::mt19937 random(std::random_device{}());
  for (int i = 0; i < kKills; ++i) {
    Recorder recorder = record({"--max-bytes", i % 2 == 0 ? "2MiB" : "16MiB"});
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 2500));
    kill(recorder);
    const std::string path = recover(recorder);
    ASSERT_NE(path, "");
    const Dump dump = open_dump(path);
    EXPECT_EQ(dump.meta().cause.kind, "recovered");
    expect_stated_loss(dump);
    EXPECT_TRUE(left().empty());
  }
  EXPECT_TRUE(load.running()) << load.err();
  load.signal(SIGKILL);
  load.wait();
}

TEST_F(Recover, EveryCommandWorksOnWhatWasRecovered) {
  Workload workload = start_workload("nanosleep");
  Recorder recorder = start_recorder({"--pid", std::to_string(workload.pid()), "--syscalls", "all"});
  workload.go();
  workload.report();
  std::this_thread::sleep_for(1500ms);  // the CPU's batches leave with later events, the state once a second
  kill(recorder);
  const std::string path = recover(recorder);
  const Output info = kflight({"info", path});
  EXPECT_EQ(info.status, 0);
  EXPECT_THAT(info.out, HasSubstr("recovered"));
  EXPECT_THAT(info.out, HasSubstr("PID " + std::to_string(recorder.child().pid())));
  EXPECT_THAT(info.out, HasSubstr("not handed over"));
  EXPECT_EQ(kflight({"explain", path}).status, 0);
  EXPECT_EQ(kflight({"events", path, "--limit", "10"}).status, 0);
  EXPECT_EQ(kflight({"export", path, "-o", temp() / "recovered.perfetto-trace"}).status, 0);
  EXPECT_GT(count<SyscallEvent>(open_dump(path), {}, [](const SyscallEvent&) { return true; }), 0u);
}

TEST_F(Recover, TheNextRecorderSavesTheWindowFirst) {
  Recorder killed = record();
  kill(killed);
  EXPECT_THAT(kflight({"doctor"}).out, HasSubstr("kflight recover --name " + killed.name()));

  const std::string directory = temp() / "next";
  std::filesystem::create_directory(directory);
  Child& next = start({kflight_path(), "record", "--all", "--name", killed.name(), "-o", directory});
  const auto path = next.wait_for_line("recovered ");
  ASSERT_TRUE(path) << next.err();
  EXPECT_EQ(open_dump(*path).meta().cause.kind, "recovered");
  EXPECT_TRUE(path->starts_with(directory + "/"));
  ASSERT_TRUE(next.wait_for_line("ready"));
  EXPECT_EQ(left().size(), 1u);  // its own
  next.signal(SIGINT);
  EXPECT_EQ(next.wait(), 0);
  EXPECT_TRUE(left().empty());
}

TEST_F(Recover, WhatCannotBeReadIsNoReasonNotToRecord) {
  std::filesystem::create_directory(windows());
  std::filesystem::permissions(windows(), std::filesystem::perms(0700));
  std::ofstream(windows() + "/odd.window") << "no window";
  const Output refused = kflight({"recover", "--name", "odd"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("`rm " + windows() + "/odd.window` frees the memory"));
  Recorder recorder = record({"--name", "odd"});
  EXPECT_THAT(recorder.child().err(), HasSubstr("removed what a killed recorder left behind"));
  EXPECT_NE(status_of(recorder).value("window_file", ""), "");
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Recover, ALivingRecorderIsAskedForADump) {
  Recorder recorder = record();
  const Output output = kflight({"recover", "--name", recorder.name()});
  EXPECT_EQ(output.status, 1);
  EXPECT_THAT(output.err, HasSubstr("kflight dump --name " + recorder.name()));
  EXPECT_EQ(recorder.stop(), 0);
  EXPECT_TRUE(left().empty());
  EXPECT_THAT(kflight({"recover"}).err, HasSubstr("no recorder was killed"));
}

TEST_F(Recover, WithoutATmpfsItRecordsAndSaysWhatThatMeans) {
  const std::string on_disk = temp() / "windows";
  setenv("KFLIGHT_WINDOW_DIR", on_disk.c_str(), 1);
  struct statfs info {};
  ASSERT_EQ(::statfs(temp().path().c_str(), &info), 0);
  if (info.f_type == TMPFS_MAGIC) GTEST_SKIP() << "the temporary directory is a tmpfs itself";
  Recorder recorder = record();
  EXPECT_THAT(recorder.child().err(), HasSubstr("the window will be lost if the recorder is killed"));
  EXPECT_EQ(status_of(recorder).value("window_file", "?"), "");
  EXPECT_TRUE(files_in(on_disk).empty());
  dump_now(recorder);
  EXPECT_EQ(recorder.stop(), 0);
}

}  // namespace
}  // namespace kflight::test
