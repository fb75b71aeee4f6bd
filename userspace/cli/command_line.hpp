// SPDX-License-Identifier: Apache-2.0
//
// command_line.hpp - from argv to one command's options. Everything that can be judged without looking at the machine
// or at a file is judged here; a mistake becomes an error that says what to write instead.
#pragma once

#include <span>
#include <string>
#include <variant>

#include "cli/options.hpp"
#include "kflight/result.hpp"

namespace kflight::cli {

struct HelpText {
  std::string text;
};

using Command = std::variant<HelpText, RecordOptions, DumpOptions, StatusOptions, StopOptions, RecoverOptions,
                             InfoOptions, ExplainOptions, EventsOptions, CheckOptions, ExportOptions, DoctorOptions,
                             VersionOptions>;

// `args` without the program's name. Errors are kUsage.
Result<Command> parse_command_line(std::span<const std::string> args);

}  // namespace kflight::cli
