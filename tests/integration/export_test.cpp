// SPDX-License-Identifier: Apache-2.0
//
// Real recordings, exported in both formats and held against each other by Perfetto's own trace processor.
#include <fstream>

#include "integration/dump_facts.hpp"

namespace kflight::test {
namespace {

class Export : public RecordTest {
 protected:
  std::string exported(const std::string& dump, const std::string& format) {
    const Output output = kflight({"export", dump, "--format", format});
    EXPECT_EQ(output.status, 0) << output.err;
    return output.out.substr(0, output.out.find('\n'));
  }

  // False: the trace processor is not there.
  bool agree(const std::string& dump) {
    const Output output =
        run({KF_SOURCE_DIR "/tests/perfetto/compare.sh", exported(dump, "perfetto"), exported(dump, "jsonl")});
    if (output.status == 77) return false;
    EXPECT_EQ(output.status, 0) << output.out << output.err;
    return true;
  }
};

TEST_F(Export, SlowCall_IsThereInBothFormatsAndTheyAgree) {
  Workload workload = start_workload("mutex_sleeper", {"--hold", "300"});
  Recorder recorder =
      start_recorder({"--pid", std::to_string(workload.pid()), "--trigger", "syscall>100ms", "--post", "50ms"});
  workload.go();
  const std::string path = recorder.wait_for_dump();
  workload.report();
  EXPECT_EQ(recorder.stop(), 0);

  std::ifstream lines(exported(path, "jsonl"));
  const Dump dump = open_dump(path);
  const Cause& cause = dump.meta().cause;
  std::uint64_t explained_ns = 0;
  Json last;
  for (std::string line; std::getline(lines, line);) {
    last = Json::parse(line);
    if (last["kind"] == "explain")
      explained_ns += last["end_ns"].get<std::uint64_t>() - last["begin_ns"].get<std::uint64_t>();
  }
  EXPECT_EQ(last["kind"], "end");
  EXPECT_EQ(explained_ns, cause.exit_ns - cause.enter_ns) << "every ns of the call has a cause";
  std::filesystem::remove(path.substr(0, path.size() - 4) + ".jsonl");
  if (!agree(path)) GTEST_SKIP() << "Perfetto's trace processor is not installed";
}

TEST_F(Export, ThreadsThatComeAndGo_KeepTheirTimes) {
  Recorder recorder = start_recorder({"--all", "--syscalls", "all"});
  for (const char* name : {"fork_storm", "exec_thread", "thread_churn"}) {
    Workload workload = start_workload(name);
    workload.go();
    workload.report();
    workload.end();
  }
  const std::string path = dump_path(recorder);
  EXPECT_EQ(recorder.stop(), 0);
  if (!agree(path)) GTEST_SKIP() << "Perfetto's trace processor is not installed";
}

TEST_F(Export, CallsSeenOnlyWhereTheyBlock_AreTaken) {
  Workload workload = start_workload("epoll_upstream");
  Recorder recorder = start_recorder({"--pid", std::to_string(workload.pid()), "--syscalls", "blocked"});
  workload.go();
  workload.report();
  const std::string path = dump_path(recorder);
  EXPECT_EQ(recorder.stop(), 0);
  if (!agree(path)) GTEST_SKIP() << "Perfetto's trace processor is not installed";
}

}  // namespace
}  // namespace kflight::test
