// SPDX-License-Identifier: Apache-2.0
//
// What people and programs read of an explanation.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "analyze/explain_analysis.hpp"
#include "analyze/timeline_check.hpp"
#include "support/worked_example.hpp"

namespace kflight::test {
namespace {

using analyze::AnalysisOptions;
using analyze::Report;
using model::Trace;
using testing::HasSubstr;
using testing::Not;
using W = WorkedExample;

Trace worked_trace() {
  DumpMeta meta;
  meta.cause.has_call = true;
  meta.cause.tid = W::T;
  meta.cause.nr = call_named("read").nr;
  meta.cause.enter_ns = W::us(1000);
  meta.cause.exit_ns = W::us(31200);
  return Trace(W::trace().timeline(1000, W::us(40000)), meta);
}

AnalysisOptions whole_example() {
  AnalysisOptions options;
  options.choice = {.tid = W::T, .from_ns = W::us(0), .to_ns = W::us(31500), .op = {}};
  return options;
}

Report explained(const AnalysisOptions& options) {
  auto report = analyze::run_explain(worked_trace(), options);
  EXPECT_TRUE(report.has_value()) << (report ? "" : report.error().what);
  return report ? *report : Report{};
}

TEST(ExplainReport, WorkedExampleAsText) {
  const std::string text = analyze::render(explained(whole_example()), {.columns = 120});
  for (const char* part :
       {"17.3 ms   54.9 %  disk 254:0 (service 17.15 ms, queue 100 us, completion 50 us)", "T > S > H > jbd2",
        "5.8 ms   18.4 %  S on CPU", "4 ms   12.7 %  Z' had CPU 1 while S was runnable", "31.5 ms  100.0 %  in all",
        "exact 100.0 %, inferred 0.0 %, unknown 0.0 %; no events are missing in this time."})
    EXPECT_THAT(text, HasSubstr(part)) << text;
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(ExplainReport, FirstSentenceNamesTheCause) {
  const std::string text = analyze::render(explained({}), {.columns = 4000});
  EXPECT_THAT(text.substr(0, text.find('.', text.find("along"))), HasSubstr("disk 254:0")) << text;
  EXPECT_THAT(text, testing::StartsWith("read fd 3 of T took 30.2 ms; "));
  EXPECT_THAT(text, HasSubstr("S waited 20 ms in futex 0x7f001040 for H, H waited 18 ms in fsync fd 7 for jbd2"));
  EXPECT_THAT(text, HasSubstr("4 ms Z' had CPU 1 while S was runnable"));
}

TEST(ExplainReport, TextFitsTheWidth) {
  for (const std::size_t columns : {60, 80, 120}) {
    std::string text = analyze::render(explained(whole_example()), {.columns = columns});
    for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
      EXPECT_LE(end - begin, columns) << text.substr(begin, end - begin);
  }
}

TEST(ExplainReport, ColourOnlyWhenAskedFor) {
  EXPECT_THAT(analyze::render(explained({}), {.columns = 80, .colour = true}), HasSubstr("\x1b["));
}

TEST(ExplainReport, JsonAddsUp) {
  const auto json = nlohmann::json::parse(explained(whole_example()).json);
  EXPECT_EQ(json["op"]["duration_ns"], 31'500'000);
  std::uint64_t leaves = 0, self = 0;
  for (const auto& leaf : json["leaves"]) leaves += leaf["ns"].get<std::uint64_t>();
  for (const auto& [key, value] : json["self"].items())
    if (value.is_number()) self += value.get<std::uint64_t>();
  for (const auto& [key, value] : json["self"]["blocked"].items()) self += value.get<std::uint64_t>();
  EXPECT_EQ(leaves, 31'500'000u);
  EXPECT_EQ(self, 31'500'000u);
  EXPECT_EQ(json["self"]["blocked"]["file"], 30'000'000);
  std::vector<std::uint64_t> children(json["tree"].size());
  for (const auto& node : json["tree"]) {
    std::uint64_t exclusive = 0;
    for (const auto& [key, value] : node["exclusive"].items()) exclusive += value.get<std::uint64_t>();
    EXPECT_EQ(exclusive, node["exclusive_ns"]);
    if (!node["parent"].is_null())
      children[node["parent"].get<std::size_t>()] += node["inclusive_ns"].get<std::uint64_t>();
  }
  for (std::size_t i = 0; i < children.size(); ++i)
    EXPECT_EQ(json["tree"][i]["inclusive_ns"], json["tree"][i]["exclusive_ns"].get<std::uint64_t>() + children[i]);
  EXPECT_EQ(json["tree"][0]["inclusive_ns"], 31'500'000);
  EXPECT_EQ(json["quality"]["exact_ns"], 31'500'000);
}

TEST(ExplainReport, FoldedStacksAddUp) {
  const auto folded = analyze::folded_explain(worked_trace(), whole_example());
  ASSERT_TRUE(folded.has_value());
  EXPECT_THAT(*folded,
              HasSubstr("T;read fd 3;S;futex 0x7f001040;H;fsync fd 7;jbd2;disk 254:0;disk service 17150000\n"));
  std::uint64_t sum = 0;
  for (std::size_t begin = 0, end; (end = folded->find('\n', begin)) != std::string::npos; begin = end + 1)
    sum += std::stoull(folded->substr(folded->rfind(' ', end) + 1));
  EXPECT_EQ(sum, 31'500'000u);
}

TEST(ExplainReport, ThreadsOfOneNameThatHadTheCpuAreOneCause) {
  TraceBuilder t;
  t.named(1, "victim").named(2, "child").named(3, "child").runs(0, 1).queued(2, 0).queued(3, 0).at(10'000).cpu(0);
  t.switch_to(2, {.preempt = true}).at(20'000).switch_to(3, {.preempt = true}).at(30'000).switch_to(1);
  const Trace trace(t.timeline(1000, 40'000));
  AnalysisOptions options;
  options.choice = {.tid = 1, .from_ns = 1000, .to_ns = 30'000, .op = {}};
  const auto report = analyze::run_explain(trace, options);
  ASSERT_TRUE(report.has_value());
  EXPECT_THAT(analyze::render(*report, {.columns = 4000}),
              HasSubstr("69.0 % of it (20 us): 2 threads named child had the CPU while victim was runnable"));
}

TEST(ExplainReport, PriorityInversionIsTold) {
  TraceBuilder t;
  constexpr std::uint32_t High = 1, Low = 2, Middle = 3;
  t.named(High, "high").named(Low, "low").named(Middle, "middle").runs(0, High).runs(1, Low).queued(Middle, 1);
  t.at(10'000).cpu(1).switch_to(Middle, {.preempt = true, .prev_prio = 139, .next_prio = 110});
  t.at(20'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "futex", .prev_prio = 100});
  t.at(9'000'000).cpu(1).switch_to(Low, {.preempt = true, .prev_prio = 110, .next_prio = 139});
  t.at(9'500'000).waking(High).wakeup(High, 0).cpu(0).switch_to(High, {.next_prio = 100});
  const Trace trace(t.timeline(1000, 10'000'000));
  AnalysisOptions options;
  options.choice.tid = High;
  const auto report = analyze::run_explain(trace, options);
  ASSERT_TRUE(report.has_value());
  EXPECT_THAT(
      analyze::render(*report, {.columns = 4000}),
      HasSubstr(
          "priority inversion: high waits for low, which middle, less important than the waiter, kept off its CPU"));
}

TEST(ExplainChoice, TriggersCallIsTheDefault) {
  const auto json = nlohmann::json::parse(explained({}).json);
  EXPECT_EQ(json["op"]["t0_ns"], W::us(1000));
  EXPECT_EQ(json["op"]["t1_ns"], W::us(31200));
  EXPECT_EQ(json["op"]["what"], "read fd 3");
}

TEST(ExplainChoice, ListHasTheSlowestFirst) {
  AnalysisOptions options;
  options.list = true;
  const auto json = nlohmann::json::parse(explained(options).json);
  ASSERT_EQ(json["operations"].size(), 3u);
  EXPECT_EQ(json["operations"][0]["what"], "read fd 3");
  EXPECT_EQ(json["operations"][1]["what"], "futex 0x7f001040");
  EXPECT_EQ(json["operations"][2]["what"], "fsync fd 7");
}

TEST(ExplainChoice, OperationByNumber) {
  AnalysisOptions options;
  options.choice.op = 3;
  EXPECT_EQ(nlohmann::json::parse(explained(options).json)["op"]["thread"]["tid"], W::H);
}

TEST(ExplainChoice, AllSlowOnesTogether) {
  AnalysisOptions options;
  options.all_slow = true;
  const auto json = nlohmann::json::parse(explained(options).json);
  EXPECT_EQ(json["operations"], 3);
  std::uint64_t sum = 0;
  for (const auto& cause : json["causes"]) sum += cause["ns"].get<std::uint64_t>();
  EXPECT_EQ(json["duration_ns"], sum);
}

// Two calls of one thread are two lines of one text.
TEST(ExplainChoice, AllSlowOnesTogether_CountsOperations) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "futex", .enter_ns = 9'000});
  t.at(20'000).cpu(1).returns("getppid", 12'000, 1).at(30'000).returns("getpid", 25'000, 1);
  t.at(50'000).waking(7).wakeup(7, 0).cpu(0).switch_to(7).at(52'000).returns("futex", 9'000, 0);
  AnalysisOptions options;
  options.all_slow = true;
  const auto report = analyze::run_explain(Trace(t.timeline(1000, 100'000)), options);
  ASSERT_TRUE(report);
  const auto json = nlohmann::json::parse(report->json);
  EXPECT_EQ(json["operations"], 3);
  bool found = false;
  for (const auto& cause : json["causes"]) {
    EXPECT_LE(cause["operations"], 3);
    if (cause["max_ns"] != 13'000) continue;
    found = true;
    EXPECT_EQ(cause["operations"], 3);
    EXPECT_EQ(cause["ns"], 13'000 + 8'000 + 5'000);
  }
  EXPECT_TRUE(found) << report->json;
}

// A read whose return was lost, says a later wait in no call; another thread's is in flight.
TEST(ExplainChoice, CallWhoseReturnIsLost_IsNotInFlight) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read", .enter_ns = 9'000});
  t.at(20'000).cpu(1).waking(7).wakeup(7, 0).cpu(0).switch_to(7).loss(15'000, 3);
  t.at(25'000).cpu(1).switch_to(0, {.state = KF_ST_SLEEP, .call = "write", .enter_ns = 24'000});
  const auto listed = [&t] {
    AnalysisOptions options;
    options.list = true;
    return nlohmann::json::parse(analyze::run_explain(Trace(t.timeline(1000, 100'000)), options)->json)["operations"];
  };
  EXPECT_EQ(listed().size(), 2u) << "nothing but a loss speaks against it";
  t.at(30'000).cpu(0).switch_to(0, {.state = KF_ST_DISK}).at(31'000).waking(7, {.ctx = KF_CTX_HARDIRQ}).switch_to(7);
  ASSERT_EQ(listed().size(), 1u);
  EXPECT_EQ(listed()[0]["tid"], 8);
  EXPECT_EQ(listed()[0]["in_flight"], true);
}

// The trigger fired in a call whose return was lost.
TEST(ExplainChoice, TriggersCallWhoseReturnIsLost_EndsWhereItWasLastSeen) {
  TraceBuilder t;
  t.runs(0, 7).runs(1, 8).at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP, .call = "read", .enter_ns = 9'000});
  t.at(20'000).cpu(1).waking(7).wakeup(7, 0).cpu(0).at(21'000).switch_to(7);
  t.at(30'000).switch_to(0, {.state = KF_ST_DISK}).at(31'000).waking(7, {.ctx = KF_CTX_HARDIRQ}).switch_to(7);
  DumpMeta meta;
  meta.cause.has_call = true;
  meta.cause.tid = 7;
  meta.cause.nr = call_named("read").nr;
  meta.cause.enter_ns = 9'000;
  const auto report = analyze::run_explain(Trace(t.timeline(1000, 100'000), meta), {});
  ASSERT_TRUE(report);
  const auto op = nlohmann::json::parse(report->json)["op"];
  EXPECT_EQ(op["t1_ns"], 21'000);
  EXPECT_EQ(op["in_flight"], false);
}

TEST(ExplainReport, CpuIsNamedOnlyWhereItIsTheOnlyOne) {
  TraceBuilder t;
  t.named(1, "victim").named(2, "hog").runs(0, 1).runs(1, 0).queued(2, 0).at(10'000).cpu(0);
  t.switch_to(2, {.preempt = true}).at(40'000).switch_to(0, {.state = KF_ST_SLEEP});
  t.at(41'000).waking(2, {.ctx = KF_CTX_HARDIRQ}).wakeup(2, 1).cpu(1).switch_to(2).migrate(1, 1);
  t.at(45'000).switch_to(1, {.preempt = true});
  const Trace trace(t.timeline(1000, 50'000));
  const auto text_until = [&trace](std::uint64_t to_ns) {
    AnalysisOptions options;
    options.choice = {.tid = 1, .from_ns = 10'000, .to_ns = to_ns, .op = {}};
    return analyze::render(*analyze::run_explain(trace, options), {.columns = 4000});
  };
  EXPECT_THAT(text_until(40'000), HasSubstr("hog had CPU 0 while victim was runnable"));
  EXPECT_THAT(text_until(45'000), HasSubstr("hog had the CPUs while victim was runnable"));
  EXPECT_THAT(text_until(45'000), Not(HasSubstr("hog had CPU")));
}

TEST(ExplainReport, EventsBeyondTheCapAreTold) {
  TraceBuilder t;
  t.runs(0, 7).losses().push_back({KF_LOSS_CAPPED, 0xffffffff, 20'000, 30'000, 5});
  const Trace trace(t.timeline(1000, 100'000));
  const auto report = [&trace](std::uint64_t from_ns, std::uint64_t to_ns) {
    AnalysisOptions options;
    options.choice = {.tid = 7, .from_ns = from_ns, .to_ns = to_ns, .op = {}};
    return *analyze::run_explain(trace, options);
  };
  EXPECT_THAT(analyze::render(report(10'000, 50'000), {}), HasSubstr("block or signal events are missing (capped)"));
  EXPECT_THAT(analyze::render(report(30'000, 50'000), {}), HasSubstr("no events are missing"));
  EXPECT_EQ(nlohmann::json::parse(report(10'000, 50'000).json)["loss"]["capped"], true);
  EXPECT_EQ(nlohmann::json::parse(report(30'000, 50'000).json)["loss"]["capped"], false);
}

TEST(ExplainChoice, WrongOnesSayWhatToDo) {
  const auto error_of = [](const analyze::OperationChoice& choice) {
    const auto report = analyze::run_explain(worked_trace(), {.choice = choice});
    return report ? std::string("none") : report.error().what;
  };
  EXPECT_THAT(error_of({.tid = 4711}), HasSubstr("no event of thread 4711"));
  EXPECT_THAT(error_of({.tid = W::T, .from_ns = 5000, .to_ns = 5000}), HasSubstr("--from must lie before --to"));
  EXPECT_THAT(error_of({.from_ns = 5000}), HasSubstr("add --tid"));
  EXPECT_THAT(error_of({.op = 17}), HasSubstr("there is no operation 17; the list has 3"));
  EXPECT_THAT(error_of({.op = 0}), HasSubstr("there is no operation 0"));
}

TEST(ExplainChoice, IntervalOutsideTheWindowIsUnknownNotWrong) {
  AnalysisOptions options;
  options.choice = {.tid = W::T, .from_ns = W::us(50000), .to_ns = W::us(60000), .op = {}};
  const auto json = nlohmann::json::parse(explained(options).json);
  EXPECT_EQ(json["quality"]["unknown_ns"], 10'000'000);
}

TEST(TimelineCheck, HoldsForTheWorkedExample) {
  for (const auto& report : analyze::check_timeline(worked_trace())) {
    const bool needs_dump = report.name == "kernel-times";
    EXPECT_EQ(report.verdict, needs_dump ? analyze::Verdict::kNotApplicable : analyze::Verdict::kOk) << report.name;
    EXPECT_EQ(report.checked == 0u, needs_dump) << report.name;
  }
}

}  // namespace
}  // namespace kflight::test
