// SPDX-License-Identifier: Apache-2.0
//
// smoke_test.cpp - the whole way from a trigger to an answer, short enough for every kernel of scripts/vmtest.sh, and
// the same with features of the kernel left out. An emulated machine stops and stretches time, so the planted cause has
// to be the largest and most of the time; its exact share is for oracle_test.cpp.
#include <set>

#include "integration/dump_facts.hpp"
#include "record/kernel_caps.hpp"

namespace kflight::test {
namespace {

using namespace nlohmann::literals;
using testing::HasSubstr;

class Smoke : public RecordTest {
 protected:
  Json explain(const Words& what) {
    Words words{"explain", "--json"};
    words.insert(words.end(), what.begin(), what.end());
    const Output output = kflight(words);
    EXPECT_EQ(output.status, 0) << output.err;
    return output.json();
  }

  // Some systems hide threads from any recorder; what happens on a CPU that one of them has, nobody can say.
  static bool blinded(const Json& explained) {
    return explained["loss"]["blind_ns"] != 0 && explained["leaves"][0]["category"] == "unknown";
  }

  // What explain says first, which has to be most of it.
  static Json top(const Json& explained) {
    const Json causes = explained.value("leaves", Json::array());
    if (causes.empty()) return Json::object();
    EXPECT_GE(causes[0].value("pct", 0.0), 60.0) << causes.dump(1);
    return causes[0];
  }

  void expect_holder_sleeps(const Words& more) {
    Json report, explained;
    for (int run = 0; run == 0 || (run < 3 && blinded(explained)); ++run) {
      Workload workload = start_workload("mutex_sleeper");
      Words words{"--pid", std::to_string(workload.pid()), "--trigger", "syscall:futex>100ms", "--post", "0s"};
      words.insert(words.end(), more.begin(), more.end());
      Recorder recorder = start_recorder(words);
      workload.go();
      path_ = recorder.wait_for_dump();
      report = workload.report();
      EXPECT_EQ(recorder.stop(), 0);
      workload.end();
      ASSERT_FALSE(path_.empty());
      EXPECT_EQ(open_dump(path_).meta().cause.trigger, "syscall:futex>100ms");
      explained = explain({path_});
    }
    const Json cause = top(explained);
    EXPECT_EQ(cause.value("category", ""), "timer") << cause;
    EXPECT_EQ(cause.value("/who/tid"_json_pointer, 0), report.value("/tids/holder"_json_pointer, -1)) << cause;
  }

  // Of the subject's time while the cause acted, as the workload reports it; with a dump on request. Nothing when this
  // machine cannot run it.
  std::optional<Json> explained_run(const std::string& name, const Words& arguments = {}) {
    Json explained;
    for (int run = 0; run == 0 || (run < 3 && blinded(explained)); ++run) {
      Workload workload = start_workload(name, arguments);
      Recorder recorder = start_recorder({"--pid", std::to_string(workload.pid()), "--min-age", "60s"});
      workload.go();
      report_ = workload.report();
      path_ = dump_path(recorder);
      EXPECT_EQ(recorder.stop(), 0);
      workload.end();
      if (report_.contains("skipped")) return std::nullopt;
      const Json& acted = report_["measured"];
      const bool known = acted["to"] != 0;
      const auto time = [](const Json& ns) { return "@" + std::to_string(ns.get<std::uint64_t>()); };
      explained = explain({path_, "--tid", std::to_string(report_["subject"].get<std::uint32_t>()), "--from",
                           time(known ? acted["from"] : report_["t0"]), "--to", time(known ? acted["to"] : report_["t1"])});
    }
    return explained;
  }

  std::string path_;  // of the dump
  Json report_;       // of the workload
};

TEST_F(Smoke, HolderOfAMutexSleeps) { expect_holder_sleeps({}); }

TEST_F(Smoke, HogHasTheCpu) {
  const auto explained = explained_run("cpu_hog", {"--fifo", "1"});
  if (!explained) GTEST_SKIP() << report_["skipped"];
  const Json cause = top(*explained);
  EXPECT_EQ(cause.value("category", ""), "contention") << cause;
  EXPECT_EQ(cause.value("/who/tid"_json_pointer, 0), report_.value("/tids/hog"_json_pointer, -1)) << cause;
}

TEST_F(Smoke, SleepsByItself) {
  const auto explained = explained_run("nanosleep");
  ASSERT_TRUE(explained);
  const Json cause = top(*explained);
  EXPECT_EQ(cause.value("category", ""), "timer") << cause;
  EXPECT_EQ(cause.value("/who/tid"_json_pointer, 0), report_.value("subject", -1)) << cause;
}

// Between its quotas it computes, and others may have the CPU.
TEST_F(Smoke, QuotaIsUsedUp) {
  const auto explained = explained_run("cgroup_throttle");
  if (!explained) GTEST_SKIP() << report_["skipped"];
  double percent = 0;
  for (const Json& cause : (*explained)["leaves"])
    if (cause["category"] == "cpu-quota") percent += cause["pct"].get<double>();
  EXPECT_GE(percent, 20) << explained->dump(1);
}

// ------------------------------------------------------------------ features left out

class SmokeWithout : public Smoke, public testing::WithParamInterface<const char*> {};

// Recording works, the dump says what is missing, it passes check (the harness sees to that), and the cause is found.
TEST_P(SmokeWithout, CauseIsFoundAndTheLackIsSaid) {
  Words without;
  const std::string ids = GetParam();
  for (std::size_t at = 0; at < ids.size();) {
    const std::size_t end = std::min(ids.find(' ', at), ids.size());
    without.insert(without.end(), {"--without", ids.substr(at, end - at)});
    at = end + 1;
  }
  expect_holder_sleeps(without);
  ASSERT_FALSE(path_.empty());
  const auto missing = open_dump(path_).meta().config.missing;
  std::size_t asked = 0;
  for (const std::string& line : missing) asked += line.find("(left out on request): ") != line.npos;
  EXPECT_EQ(asked, without.size() / 2) << testing::PrintToString(missing);
}

// Alone, and as kernels of that time have them.
INSTANTIATE_TEST_SUITE_P(Feature, SmokeWithout,
                         testing::Values("task_pt_regs", "prev_state", "preempt_count", "perf_events", "quotas",
                                         "blocked_on", "rt_mutex", "rdonly_cast", "current_task", "block_rq_complete",
                                         "irq_handler_entry", "hrtimer_expire_entry", "contention_begin",
                                         "rdonly_cast current_task blocked_on"));
// Before 5.12 and 5.11: the object for old kernels.
INSTANTIATE_TEST_SUITE_P(Kernel510, SmokeWithout,
                         testing::Values("compare_and_swap",
                                         "compare_and_swap task_btf rdonly_cast current_task task_pt_regs "
                                         "prev_state rt_mutex blocked_on contention_begin"));

TEST_F(Smoke, UnknownFeatureIsRefused) {
  const Output output = kflight({"record", "--all", "--without", "blockd_on", "-o", temp().path()});
  EXPECT_EQ(output.status, 2);
  EXPECT_THAT(output.err, HasSubstr("did you mean 'blocked_on'?"));
}

TEST_F(Smoke, RequiredTracepointCannotBeLeftOut) {
  const Output output = kflight({"record", "--all", "--without", "sched_switch", "-o", temp().path()});
  EXPECT_EQ(output.status, 1);
  EXPECT_THAT(output.err, HasSubstr("no tracepoint sched_switch: nothing can be recorded"));
}

// Whatever can be left out one by one is known to the doctor by that name, and no name stands for two things.
TEST_F(Smoke, DoctorNamesEveryFeatureOnce) {
  const Output output = kflight({"doctor", "--json"});
  const Json doctor = output.json();
  std::multiset<std::string> ids;
  for (const Json& finding : doctor["findings"])
    if (finding.contains("id")) ids.insert(finding["id"].get<std::string>());
  const auto caps = record::read_kernel_caps();
  ASSERT_TRUE(caps) << caps.error().what;
  for (const record::Feature& feature : record::kernel_features(*caps)) {
    EXPECT_EQ(ids.count(feature.id), 1u) << feature.id;
    const auto without = record::read_kernel_caps({feature.id});
    ASSERT_TRUE(without) << without.error().what;
    for (const record::Feature& left : record::kernel_features(*without))
      EXPECT_FALSE(left.id == feature.id && left.present) << feature.id;
  }
  EXPECT_GT(doctor["programs"].size(), 20u);
  for (const Json& program : doctor["programs"]) EXPECT_GT(program["verified_instructions"], 0) << program;
}

}  // namespace
}  // namespace kflight::test
