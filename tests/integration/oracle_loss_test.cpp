// SPDX-License-Identifier: Apache-2.0
//
// The programs with a planted cause again, while events are lost: rings of the smallest size, more events than they
// hold, and a recorder that is stopped half of the time. Then explain may say "unknown" or mark what it infers; it must
// not say anything wrong as if it knew.
#include <atomic>
#include <chrono>
#include <thread>

#include "integration/oracle.hpp"

namespace kflight::test {
namespace {

using namespace std::chrono_literals;

// While it lives, a recorder gets no CPU for half of the time.
class Stutter {
 public:
  explicit Stutter(const Recorder& recorder) : pid_(recorder.child().pid()), thread_([this] { run(); }) {}
  ~Stutter() {
    stop_ = true;
    thread_.join();
  }

 private:
  void run() const {
    while (!stop_) {
      kill(pid_, SIGSTOP);
      std::this_thread::sleep_for(40ms);
      kill(pid_, SIGCONT);
      std::this_thread::sleep_for(40ms);
    }
  }

  const pid_t pid_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class OracleUnderLoss : public RecordTest, public testing::WithParamInterface<OracleRow> {};

TEST_P(OracleUnderLoss, IsUnknownWhereItIsNotRight) {
  Workload workload = start_workload(GetParam().workload, GetParam().arguments);
  Workload load = start_workload("nesting_stress", {"--run", "1000000000", "--pairs", "1", "--timer-us", "60"});
  Recorder recorder = start_recorder(
      {"--pid", std::to_string(workload.pid()), "--syscalls", "slow", "--min-age", "60s", "--ring-bytes", "64KiB"});
  load.go();
  Json report;
  {
    const Stutter stutter(recorder);
    workload.go();
    report = workload.report();
  }
  load.child().signal(SIGKILL);
  const Planted planted(report);
  const std::string path = dump_path(recorder);
  EXPECT_EQ(recorder.stop(), 0);
  workload.end();
  if (!planted.skipped.empty()) GTEST_SKIP() << planted.skipped;

  const model::Trace trace = open_trace(path);
  const analyze::Explanation explanation = explain_planted(trace, planted);
  const Found found = look_for(planted, trace, explanation);
  std::uint64_t sum_ns = 0;
  for (const analyze::Leaf& leaf : explanation.leaves) sum_ns += leaf.length_ns();
  SCOPED_TRACE(testing::Message() << "of " << planted.length_ns() << " ns the cause took " << planted.at_least_ns
                                  << " to " << planted.at_most_ns << ", the chain was delayed " << planted.delayed_ns
                                  << ", blind " << trace.timeline().losses().blind_ns(planted.t0, planted.t1)
                                  << "; explained as\n"
                                  << found.leaves);
  EXPECT_EQ(sum_ns, planted.length_ns());
  // A guess may be wrong, and says that it is one.
  const std::uint64_t open_ns = found.unknown_ns + found.guessed_ns;
  EXPECT_LE(found.cause_ns - found.cause_inferred_ns, planted.at_most_ns + planted.tolerance_ns());
  EXPECT_GE(found.cause_ns + open_ns + found.helpers_ns + planted.tolerance_ns(), planted.owed_ns());
  EXPECT_LE(found.other_ns - found.other_inferred_ns, planted.disturbed_ns() + planted.tolerance_ns());
  if (HasFailure()) keep(path);
}

INSTANTIATE_TEST_SUITE_P(Row, OracleUnderLoss, testing::ValuesIn(oracle_rows().begin(), oracle_rows().end()), row_name);

}  // namespace
}  // namespace kflight::test
