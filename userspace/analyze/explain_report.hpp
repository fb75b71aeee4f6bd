// SPDX-License-Identifier: Apache-2.0
//
// explain_report.hpp - an explained operation as a report: a few sentences, the table, the chain as a tree, evidence,
// the quality of the answer; the same as JSON.
#pragma once

#include "analyze/explain_words.hpp"
#include "analyze/report.hpp"

namespace kflight::analyze {

struct ReportOptions {
  std::size_t rows = 12;  // of the table; the rest is one row
  std::size_t tree_lines = 24;
};

Report explain_report(const ExplainedOperation& e, const ReportOptions& options = {});

// Its parts.
std::string explain_story(const ExplainedOperation& e);               // at most five sentences
std::vector<std::string> explain_notes(const ExplainedOperation& e);  // what fired: priority inversion, ...
std::string explain_json(const ExplainedOperation& e);

}  // namespace kflight::analyze
