// SPDX-License-Identifier: Apache-2.0
//
// report.cpp - puts a label and its wrapped text on the screen.
#include "cli/report.hpp"

#include "cli/command_help.hpp"

namespace kflight::cli {

Report& Report::line(std::string_view label, std::string_view text) {
  text_ += fmt::format("{:<{}}{}\n", label, label_columns_, wrap_text(text, label_columns_, label_columns_, columns_));
  return *this;
}

}  // namespace kflight::cli
