// SPDX-License-Identifier: Apache-2.0
//
// main.cpp - the kflight program: reads the command line and calls the command.
#include <cstdio>
#include <string>
#include <vector>

#include "cli/command_line.hpp"
#include "cli/output.hpp"
#include "kflight/event.hpp"

namespace {

using namespace kflight::cli;

int run(const Command& command) {
  return std::visit(kflight::overloaded{
                        [](const HelpText& help) { return print_and_finish(help.text); },
                        [](const RecordOptions& options) { return cmd_record(options); },
                        [](const DumpOptions& options) { return cmd_dump(options); },
                        [](const StatusOptions& options) { return cmd_status(options); },
                        [](const StopOptions& options) { return cmd_stop(options); },
                        [](const RecoverOptions& options) { return cmd_recover(options); },
                        [](const InfoOptions& options) { return cmd_info(options); },
                        [](const ExplainOptions& options) { return cmd_explain(options); },
                        [](const EventsOptions& options) { return cmd_events(options); },
                        [](const CheckOptions& options) { return cmd_check(options); },
                        [](const ExportOptions& options) { return cmd_export(options); },
                        [](const DoctorOptions& options) { return cmd_doctor(options); },
                        [](const VersionOptions& options) { return cmd_version(options); },
                    },
                    command);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const auto command = parse_command_line(args);
  return command ? run(*command) : fail(command.error());
}
