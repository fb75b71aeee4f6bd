// SPDX-License-Identifier: Apache-2.0
//
// analysis.hpp - the shape of an analysis: a function from a trace to a report. registry.cpp lists them.
#pragma once

#include <cstddef>
#include <string_view>

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

using AnalysisFunction = Result<Report> (*)(const model::Trace& trace, const AnalysisOptions& options);

struct Analysis {
  std::string_view name;
  std::string_view answers;  // the question
  AnalysisFunction run = nullptr;
};

}  // namespace kflight::analyze
