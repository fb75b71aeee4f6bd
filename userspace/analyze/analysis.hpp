// SPDX-License-Identifier: Apache-2.0
//
// analysis.hpp - what an analysis, a function from a trace to a report, is asked.
#pragma once

#include <cstddef>

#include "analyze/operation.hpp"
#include "analyze/report.hpp"
#include "kflight/result.hpp"
#include "model/trace.hpp"

namespace kflight::analyze {

struct AnalysisOptions {
  OperationChoice choice;
  bool list = false;      // the operations there are to choose from, instead of explaining one
  bool all_slow = false;  // the slowest ones together
  std::size_t rows = 12;  // of tables
};

}  // namespace kflight::analyze
