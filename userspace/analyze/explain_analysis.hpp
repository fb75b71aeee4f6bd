// SPDX-License-Identifier: Apache-2.0
//
// explain_analysis.hpp - `explain` as an analysis: of one operation, of the slowest ones together, or their list; and
// the chains as folded stacks for flame graphs.
#pragma once

#include <string>

#include "analyze/analysis.hpp"

namespace kflight::analyze {

Result<Report> run_explain(const model::Trace& trace, const AnalysisOptions& options);

// "T;read fd 3;S;futex 0x7f..;H;on CPU 1400000": one line per place on the chain, weights in ns.
Result<std::string> folded_explain(const model::Trace& trace, const AnalysisOptions& options);

}  // namespace kflight::analyze
