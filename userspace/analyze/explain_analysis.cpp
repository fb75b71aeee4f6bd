// SPDX-License-Identifier: Apache-2.0
#include "analyze/explain_analysis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "analyze/explain_report.hpp"
#include "dump/syscalls.hpp"
#include "model/names.hpp"

namespace kflight::analyze {

using model::kNone;

namespace {

constexpr std::size_t kListed = 30;  // operations of --list and --all-slow

std::string result_text(const Operation& op, const model::Trace& trace) {
  if (op.in_flight) return "in flight";
  if (op.call == kNone) return "";
  if (!op.ret) return "thread ended";
  return dump::describe_result(trace.timeline().thread(op.thread).calls[op.call].nr, *op.ret);
}

std::string before_end(const model::Trace& trace, std::uint64_t t_ns) {
  const std::uint64_t end_ns = trace.timeline().end_ns();
  return t_ns <= end_ns ? "-" + duration_text(end_ns - t_ns) : "+" + duration_text(t_ns - end_ns);
}

Report list_report(const model::Trace& trace, const std::vector<Operation>& operations) {
  Table table;
  table.columns = {{"op", true}, {"took", true}, {"thread"}, {"call", false, true}, {"result"}, {"began", true}};
  nlohmann::json listed = nlohmann::json::array();
  for (std::size_t i = 0; i < operations.size(); ++i) {
    const Operation& op = operations[i];
    table.rows.push_back({fmt::format("{}", i + 1), duration_text(op.length_ns()),
                          model::thread_label(trace.timeline(), op.thread, op.begin_ns), op.what,
                          result_text(op, trace), before_end(trace, op.begin_ns)});
    listed.push_back({{"op", i + 1},
                      {"duration_ns", op.length_ns()},
                      {"tid", trace.timeline().thread(op.thread).tid},
                      {"comm", model::thread_name(trace.timeline(), op.thread, op.begin_ns)},
                      {"what", op.what},
                      {"t0_ns", op.begin_ns},
                      {"t1_ns", op.end_ns},
                      {"in_flight", op.in_flight}});
  }
  Report report;
  if (operations.empty()) {
    report.blocks.emplace_back(
        Paragraph{"",
                  "No call with a known beginning is in this dump; --tid explains any stretch of "
                  "a thread's time."});
  } else {
    report.blocks.emplace_back(std::move(table));
  }
  report.json = nlohmann::json{{"operations", listed}}.dump(2, ' ', true, nlohmann::json::error_handler_t::replace);
  return report;
}

// The slowest operations' causes added up; each counts with all its time.
Report together_report(const model::Trace& trace, const std::vector<Operation>& operations, std::size_t most) {
  struct Sum {
    std::uint64_t ns = 0, operations = 0, longest_ns = 0;
  };
  std::map<std::string, Sum> sums;
  std::uint64_t total_ns = 0;
  for (const Operation& op : operations) {
    const Explanation explanation = explain(trace, op.thread, op.begin_ns, op.end_ns);
    const Blame blame = sum_up(trace, explanation);
    const ExplainedOperation e{trace, op, explanation, blame};
    std::map<std::string, std::uint64_t> of_this_one;  // several lines can have one text
    for (const BlameLine& line : blame.lines)
      of_this_one[fmt::format("{}: {}", category_text(line.category), who_text(e, line.who))] += line.ns;
    for (const auto& [what, ns] : of_this_one) {
      Sum& sum = sums[what];
      sum.ns += ns;
      ++sum.operations;
      sum.longest_ns = std::max(sum.longest_ns, ns);
    }
    total_ns += explanation.length_ns();
  }
  std::vector<std::pair<std::string, Sum>> rows(sums.begin(), sums.end());
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second.ns > b.second.ns; });

  Table table;
  table.columns = {{"time", true}, {"share", true}, {"spent on", false, true}, {"in ops", true}, {"most in one", true}};
  nlohmann::json causes = nlohmann::json::array();
  Sum rest;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& [what, sum] = rows[i];
    causes.push_back({{"what", what}, {"ns", sum.ns}, {"operations", sum.operations}, {"max_ns", sum.longest_ns}});
    if (i >= most) {
      rest.ns += sum.ns;
      continue;
    }
    table.rows.push_back({duration_text(sum.ns), percent_text(sum.ns, total_ns), what,
                          fmt::format("{}", sum.operations), duration_text(sum.longest_ns)});
  }
  if (rows.size() > most)
    table.rows.push_back(
        {duration_text(rest.ns), percent_text(rest.ns, total_ns), fmt::format("{} other", rows.size() - most)});
  table.total = {duration_text(total_ns), percent_text(total_ns, total_ns), "in all"};
  Report report;
  report.blocks.emplace_back(Paragraph{"", fmt::format("The {} slowest operations together:", operations.size())});
  report.blocks.emplace_back(std::move(table));
  report.json = nlohmann::json{{"operations", operations.size()}, {"duration_ns", total_ns}, {"causes", causes}}.dump(
      2, ' ', true, nlohmann::json::error_handler_t::replace);
  return report;
}

// Frames are separated by ';', so names must not hold one.
std::string frame(std::string text) {
  std::replace(text.begin(), text.end(), ';', ':');
  return text;
}

std::string wait_frame(const ExplainedOperation& e, const ChainNode& node) {
  const std::string wait = wait_text(e, node);
  return wait.empty() ? wait : frame(wait) + ';';
}

}  // namespace

Result<Report> run_explain(const model::Trace& trace, const AnalysisOptions& options) {
  if (options.list) return list_report(trace, slowest_operations(trace, kListed));
  if (options.all_slow) {
    const std::vector<Operation> operations = slowest_operations(trace, kListed);
    if (operations.empty()) return list_report(trace, operations);
    return together_report(trace, operations, options.rows);
  }
  KF_TRY_ASSIGN(const Operation operation, choose_operation(trace, options.choice));
  const Explanation explanation = explain(trace, operation.thread, operation.begin_ns, operation.end_ns);
  const Blame blame = sum_up(trace, explanation);
  std::optional<model::Symbolizer> symbols;
  if (trace.dump() != nullptr && !trace.stacks().empty()) symbols.emplace(*trace.dump());
  return explain_report({trace, operation, explanation, blame, symbols ? &*symbols : nullptr}, {.rows = options.rows});
}

Result<std::string> folded_explain(const model::Trace& trace, const AnalysisOptions& options) {
  KF_TRY_ASSIGN(const Operation operation, choose_operation(trace, options.choice));
  const Explanation explanation = explain(trace, operation.thread, operation.begin_ns, operation.end_ns);
  const Blame blame = sum_up(trace, explanation);
  const ExplainedOperation e{trace, operation, explanation, blame};
  std::vector<std::string> stacks(blame.nodes.size());
  std::string out;
  for (std::size_t i = 0; i < blame.nodes.size(); ++i) {
    const ChainNode& node = blame.nodes[i];
    const std::string name =
        frame(node.thread == model::kNoThread ? who_text(e, node.end)
                                              : model::thread_name(e.timeline(), node.thread, explanation.end_ns));
    stacks[i] = node.parent == kNone ? name : stacks[node.parent] + ';' + wait_frame(e, node) + name;
    for (std::size_t c = 0; c < kCategories; ++c)
      if (node.by_category[c] != 0)
        out += fmt::format("{};{} {}\n", stacks[i], category_text(static_cast<Category>(c)), node.by_category[c]);
  }
  return out;
}

}  // namespace kflight::analyze
