// SPDX-License-Identifier: Apache-2.0
//
// cmd_check.cpp - `kflight check`: holds a dump against what every recording must obey.
#include "analyze/timeline_check.hpp"
#include "cli/check_text.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"

namespace kflight::cli {

int cmd_check(const CheckOptions& options) {
  const auto trace = model::Trace::open(options.path);
  if (!trace) return fail(trace.error());
  const analyze::CheckReport report =
      analyze::check_trace(*trace, {.evidence = options.evidence, .explanations = options.explanations});
  const int printed =
      print_and_finish(options.json ? check_as_json(report, options.path)
                                    : check_as_text(report, *trace->dump(), options.path, terminal_columns()));
  if (printed != kExitDone) return printed;
  return report.violated() ? kExitViolations : kExitDone;
}

}  // namespace kflight::cli
