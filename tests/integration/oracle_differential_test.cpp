// SPDX-License-Identifier: Apache-2.0
//
// Real dumps, converted to the reference model's events: kflight and the model explain random stretches of them alike.
// Where there is no model (KFLIGHT_ORACLE) there is nothing to compare with.
#include "integration/dump_facts.hpp"

namespace kflight::test {
namespace {

struct Program {
  const char* workload;
  Words arguments;
};

void PrintTo(const Program& program, std::ostream* out) { *out << program.workload; }

class Differential : public RecordTest, public testing::WithParamInterface<Program> {};

TEST_P(Differential, ModelExplainsARealDumpAlike) {
  if (!std::filesystem::exists(KF_ORACLE)) GTEST_SKIP() << "there is no reference model: " << KF_ORACLE;
  Workload workload = start_workload(GetParam().workload, GetParam().arguments);
  Recorder recorder = start_recorder({"--pid", std::to_string(workload.pid()), "--min-age", "60s"});
  workload.go();
  const Json report = workload.report();
  const std::string path = dump_path(recorder);
  EXPECT_EQ(recorder.stop(), 0);
  workload.end();
  if (report.contains("skipped")) GTEST_SKIP() << report["skipped"];

  const Output output = run({"env", std::string("KFLIGHT_ORACLE=") + KF_ORACLE, KF_PYTHON, KF_DIFFERENTIAL,
                             KF_ORACLE_EXPORT, "dump", path, "1", "250"});
  EXPECT_EQ(output.status, 0) << output.out << output.err;
  if (output.status != 0) keep(path);
  RecordProperty("compared", output.out);
}

INSTANTIATE_TEST_SUITE_P(Workload, Differential,
                         testing::Values(Program{"counts", {"--getppid", "0"}}, Program{"pipe_pingpong", {}},
                                         Program{"race_wake", {"--rounds", "3000"}}, Program{"convoy", {}},
                                         Program{"epoll_upstream", {"--transport", "tcp", "--requests", "3"}},
                                         Program{"fork_storm", {"--forks", "100"}}, Program{"mmap_fault", {}},
                                         Program{"exec_thread", {}}),
                         [](const auto& program) { return std::string(program.param.workload); });

}  // namespace
}  // namespace kflight::test
