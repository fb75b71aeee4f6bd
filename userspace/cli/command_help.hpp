// SPDX-License-Identifier: Apache-2.0
//
// command_help.hpp - the words of --help: what each command is for, with examples. The options themselves are described
// where they are defined, in command_line.cpp.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace kflight::cli {

struct CommandHelp {
  std::string_view name;
  std::string_view summary;  // one line
  std::string_view usage;    // without "Usage: "; further lines are indented like the first
  std::string_view details;  // text and examples below the options
};

std::span<const CommandHelp> command_help();
const CommandHelp* find_command(std::string_view name);

// What `kflight` alone and `kflight --help` print.
std::string overview();

// Breaks text at spaces so that lines have at most `width` columns; the second and further lines begin with `indent`
// spaces. Lines already in the text stay.
std::string wrap_text(std::string_view text, std::size_t first_column, std::size_t indent, std::size_t width);

}  // namespace kflight::cli
