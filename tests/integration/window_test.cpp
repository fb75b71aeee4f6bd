// SPDX-License-Identifier: Apache-2.0
//
// How far the window reaches, and that it says so: which bound limits it, and what is known about threads that did
// nothing within it.
#include <algorithm>

#include "integration/dump_facts.hpp"

namespace kflight::test {
namespace {

class WindowReach : public RecordTest {};

TEST_F(WindowReach, FullWindow_SaysSoAndKnowsWhoIsBlocked) {
  Workload idle = start_workload("long_idle");
  Recorder recorder = start_recorder({"--all", "--syscalls", "all", "--max-bytes", "1MiB"});
  Workload load = start_workload("nesting_stress", {"--run", "1500"});
  load.go();
  load.report();
  const std::string path = dump_path(recorder);
  idle.go();
  const Json report = idle.report();
  EXPECT_EQ(recorder.stop(), 0);

  const Dump dump = open_dump(path);
  const WindowInfo& window = dump.meta().window;
  EXPECT_EQ(window.limited_by, "max-bytes");
  EXPECT_LE(window.bytes, 1u << 20);
  EXPECT_GE(dump.window_begin_ns(), window.from_ns);
  EXPECT_LT(window.from_ns, window.to_ns);
  EXPECT_EQ(lost_events(dump), 0u);

  const auto asleep_since = report["did"]["asleep_since_ns"].get<std::uint64_t>();
  ASSERT_LT(asleep_since, window.from_ns);
  for (const auto& [role, call] : {std::pair{"reader", "read"}, {"waiter", "futex"}}) {
    const auto tid = report["tids"][role].get<std::uint32_t>();
    const auto task = std::ranges::find(dump.base_tasks(), tid, &kf_base_task::tid);
    ASSERT_NE(task, dump.base_tasks().end()) << role;
    EXPECT_EQ(task->tgid, report["pid"]);
    EXPECT_EQ(task->out_state, KF_ST_SLEEP);
    EXPECT_EQ(task->sys.nr, nr_of(call));
    EXPECT_EQ(std::string_view(task->comm), role);
    const auto open = std::ranges::find(dump.open_calls(), tid, &kf_open_call::tid);
    ASSERT_NE(open, dump.open_calls().end()) << role;
    EXPECT_EQ(open->nr, nr_of(call));
  }
}

TEST_F(WindowReach, SmallMinAge_LimitsAQuietWindow) {
  Recorder recorder = start_recorder({"--all", "--min-age", "500ms"});
  while (status_of(recorder)["window"]["limited_by"] != "min-age") {
  }
  const std::string path = dump_path(recorder);
  EXPECT_EQ(recorder.stop(), 0);
  const Dump dump = open_dump(path);
  EXPECT_EQ(dump.meta().window.limited_by, "min-age");
  EXPECT_GE(dump.meta().window.to_ns - dump.meta().window.from_ns, 500'000'000u);
}

TEST_F(WindowReach, YoungRecorder_ReachesBackToItsStart) {
  Recorder recorder = start_recorder({"--all"});
  const std::string path = dump_path(recorder);
  EXPECT_EQ(recorder.stop(), 0);
  EXPECT_EQ(open_dump(path).meta().window.limited_by, "start");
}

}  // namespace
}  // namespace kflight::test
