// SPDX-License-Identifier: Apache-2.0
//
// cmd_explain.cpp - `kflight explain`: where a slow operation's time went, for a person (text fitted to the terminal), a
// program (JSON) or a flame graph (folded stacks).
#include <unistd.h>

#include "analyze/explain_analysis.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/times.hpp"
#include "model/trace.hpp"

namespace kflight::cli {
namespace {

Result<analyze::AnalysisOptions> analysis_options(const ExplainOptions& options, const Dump& dump) {
  analyze::AnalysisOptions analysis;
  analysis.list = options.list;
  analysis.all_slow = options.all_slow;
  if (options.rows) analysis.rows = *options.rows;
  analysis.choice.tid = options.tid;
  if (options.op) analysis.choice.op = *options.op;
  const DumpClock clock(dump);
  if (options.from) {
    KF_TRY_ASSIGN(analysis.choice.from_ns, clock.resolve(*options.from));
  }
  if (options.to) {
    KF_TRY_ASSIGN(analysis.choice.to_ns, clock.resolve(*options.to));
  }
  return analysis;
}

Result<std::string> answer(const ExplainOptions& options) {
  KF_TRY_ASSIGN(Dump dump, Dump::open(options.path));
  KF_TRY_ASSIGN(const analyze::AnalysisOptions analysis, analysis_options(options, dump));
  const model::Trace trace(std::move(dump));
  if (options.folded) return analyze::folded_explain(trace, analysis);
  KF_TRY_ASSIGN(const analyze::Report report, analyze::run_explain(trace, analysis));
  if (options.json) return report.json + "\n";
  return analyze::render(report, {.columns = terminal_columns(), .colour = ::isatty(1) != 0});
}

}  // namespace

int cmd_explain(const ExplainOptions& options) {
  const auto text = answer(options);
  return text ? print_and_finish(*text) : fail(text.error());
}

}  // namespace kflight::cli
