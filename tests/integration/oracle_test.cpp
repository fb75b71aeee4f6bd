// SPDX-License-Identifier: Apache-2.0
//
// Each program with a planted cause, recorded: explain names the cause, and its share is what the program itself
// measured, within 2 ms or 5 %; of the same program without the cause it says nothing of the kind.
#include "integration/oracle.hpp"
#include "analyze/blame.hpp"

namespace kflight::test {
namespace {

class Oracle : public RecordTest, public testing::WithParamInterface<OracleRow> {
 protected:
  struct Run {
    Planted planted;
    std::string dump;
  };

  // Records the row's program from its start to its report.
  Run record(Words more) {
    Words arguments = GetParam().arguments;
    arguments.insert(arguments.end(), more.begin(), more.end());
    Workload workload = start_workload(GetParam().workload, arguments);
    Recorder recorder =
        start_recorder({"--pid", std::to_string(workload.pid()), "--syscalls", "slow", "--min-age", "60s"});
    workload.go();
    Run run{Planted(workload.report()), ""};
    if (run.planted.skipped.empty()) run.dump = dump_path(recorder);
    EXPECT_EQ(recorder.stop(), 0);
    workload.end();
    return run;
  }

  // What `kflight explain` prints of the run, as JSON.
  Json explained_by_program(const Run& run) {
    const auto time = [](std::uint64_t ns) { return "@" + std::to_string(ns); };
    const Output output = kflight({"explain", "--json", run.dump, "--tid", std::to_string(run.planted.subject),
                                   "--from", time(run.planted.t0), "--to", time(run.planted.t1)});
    EXPECT_EQ(output.status, 0) << output.err;
    return output.json();
  }
};

void expect_same_sums(const Json& program, const analyze::Blame& blame) {
  std::map<std::string, std::uint64_t> ours, theirs;
  for (const analyze::BlameLine& line : blame.lines)
    ours[std::string(analyze::category_name(line.category))] += line.ns;
  for (const Json& leaf : program["leaves"]) theirs[leaf["category"]] += leaf["ns"].get<std::uint64_t>();
  EXPECT_EQ(ours, theirs);
}

// Other programs of the machine may share one name, and with it a row.
void expect_no_single_culprit(const model::Trace& trace, const analyze::Blame& blame, const Planted& planted) {
  for (const analyze::BlameRow& row : blame.rows) {
    const bool is_one = row.who.kind == analyze::Who::Kind::kThread &&
                        planted.culprits.contains(trace.timeline().thread(row.who.id).tid);
    EXPECT_TRUE(!is_one || row.ns < planted.length_ns() / 2) << row.ns;
  }
}

// Nothing else can have taken more.
void expect_top(const model::Trace& trace, const analyze::Blame& blame, const Planted& planted, const Found& found,
                const std::string& story) {
  const analyze::BlameRow& top = blame.rows[0];
  EXPECT_GE(top.ns + found.unknown_ns + found.helpers_ns + planted.tolerance_ns(), planted.owed_ns())
      << "the planted cause is not the top row";
  if (top.who.kind != analyze::Who::Kind::kThread) return;
  EXPECT_THAT(story, testing::HasSubstr(model::thread_name(trace.timeline(), top.who.id, planted.t1)));
}

TEST_P(Oracle, CauseIsNamedWithItsShare) {
  const Run run = record({});
  const Planted& planted = run.planted;
  if (!planted.skipped.empty()) GTEST_SKIP() << planted.skipped;
  const model::Trace trace = open_trace(run.dump);
  const analyze::Explanation explanation = explain_planted(trace, planted);
  const Found found = look_for(planted, trace, explanation);
  SCOPED_TRACE(testing::Message() << "of " << planted.length_ns() << " ns the cause took " << planted.at_least_ns
                                  << " to " << planted.at_most_ns << ", the chain was delayed " << planted.delayed_ns
                                  << "; explained as\n"
                                  << found.leaves);
  // Some systems hide threads from any recorder; while they have a CPU, it is blind.
  const std::uint64_t blind_ns = trace.timeline().losses().blind_ns(planted.t0, planted.t1);
  EXPECT_TRUE(found.unknown_ns == 0 || blind_ns != 0);
  EXPECT_GE(found.cause_ns + found.unknown_ns + found.helpers_ns + planted.tolerance_ns(), planted.owed_ns());
  EXPECT_LE(found.cause_ns, planted.at_most_ns + planted.tolerance_ns());
  EXPECT_LE(found.other_ns, planted.disturbed_ns() + planted.tolerance_ns());
  EXPECT_GE(explanation.deepest, GetParam().least_depth);
  EXPECT_EQ(explanation.cycles, 0u);

  const analyze::Blame blame = analyze::sum_up(trace, explanation);
  const Json program = explained_by_program(run);
  expect_same_sums(program, blame);
  if (planted.culprits.size() > 1) return expect_no_single_culprit(trace, blame, planted);
  if (planted.owed_ns() > planted.length_ns() / 2 + found.unknown_ns + found.helpers_ns)
    expect_top(trace, blame, planted, found, program["story"]);
}

TEST_P(Oracle, CleanTwinHasNoSuchCause) {
  if (!GetParam().has_clean_twin) GTEST_SKIP() << "this program has no twin without the cause";
  const Run run = record({"--clean"});
  if (!run.planted.skipped.empty()) GTEST_SKIP() << run.planted.skipped;
  const model::Trace trace = open_trace(run.dump);
  const analyze::Explanation explanation = explain_planted(trace, run.planted);
  const Found found = look_for(run.planted, trace, explanation);
  SCOPED_TRACE(testing::Message() << "of " << run.planted.length_ns() << " ns\n" << found.leaves);
  if (run.planted.culprits.size() > 1) {  // they do the same work, but do not wait for each other
    EXPECT_LT(explanation.deepest, GetParam().least_depth);
  } else {
    EXPECT_LE(found.cause_ns, run.planted.unavoidable_ns + run.planted.tolerance_ns());
  }
}

INSTANTIATE_TEST_SUITE_P(Row, Oracle, testing::ValuesIn(oracle_rows().begin(), oracle_rows().end()), row_name);

}  // namespace
}  // namespace kflight::test
