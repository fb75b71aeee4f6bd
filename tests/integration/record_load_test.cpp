// SPDX-License-Identifier: Apache-2.0
//
// As many events as the machine can make, while dumps are taken: nothing is lost with the sizes kflight ships with, no
// event is missing around a dump, and where the rings are made too small on purpose every loss is dated and counted.
#include <chrono>
#include <thread>

#include "integration/dump_facts.hpp"

namespace kflight::test {
namespace {

using namespace std::chrono_literals;

class Load : public RecordTest {
 protected:
  Recorder record(Words more = {}) {
    Words words{"--all", "--syscalls", "all"};
    words.insert(words.end(), more.begin(), more.end());
    return start_recorder(words);
  }
  void expect_whole(const std::string& path) { EXPECT_EQ(lost_events(open_dump(path)), 0u) << path; }
};

TEST_F(Load, DumpsUnderMessagingLoad_MissNothing) {
  Recorder recorder = record();
  Child& load = start({"perf", "bench", "sched", "messaging", "--thread", "--group", "4", "--nr_loops", "100000000"});
  std::vector<std::string> paths;
  for (int i = 0; i < 2; ++i) {
    std::this_thread::sleep_for(500ms);
    paths.push_back(dump_path(recorder));
  }
  EXPECT_TRUE(load.running()) << load.err();
  load.signal(SIGKILL);
  load.wait();
  EXPECT_EQ(recorder.stop(), 0);
  for (const std::string& path : paths) expect_whole(path);
}

TEST_F(Load, EventsInsideEvents_AreNeitherTornNorLost) {
  Recorder recorder = record();
  Workload workload = start_workload("nesting_stress", {"--run", "6000"});
  workload.go();
  std::vector<std::string> paths;
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(1s);
    paths.push_back(dump_path(recorder));
  }
  const Json report = workload.report();
  EXPECT_GT(report["did"]["signals"], 0);
  paths.push_back(dump_path(recorder));
  EXPECT_EQ(recorder.stop(), 0);
  for (const std::string& path : paths) expect_whole(path);
}

TEST_F(Load, LossesOfASmallRing_AreDatedAndCounted) {
  Recorder recorder = record({"--ring-bytes", "64KiB"});
  Workload workload = start_workload("nesting_stress", {"--run", "1500"});
  workload.go();
  std::this_thread::sleep_for(300ms);
  recorder.child().signal(SIGSTOP);
  std::this_thread::sleep_for(300ms);
  recorder.child().signal(SIGCONT);
  workload.report();
  const std::string path = dump_path(recorder);
  EXPECT_EQ(recorder.stop(), 0);

  const Dump dump = open_dump(path);
  ASSERT_EQ(dump.meta().window.limited_by, "start");
  std::uint64_t lost = 0;
  for (const Event& event : dump.events()) {
    const auto* loss = std::get_if<LossEvent>(&event);
    if (loss == nullptr || loss->reason != 0) continue;
    EXPECT_LT(loss->from_ns, loss->ts_ns);
    lost += loss->count;
  }
  EXPECT_GT(lost, 0u);
  EXPECT_EQ(lost, dump.meta().losses.ring_events);
}

}  // namespace
}  // namespace kflight::test
