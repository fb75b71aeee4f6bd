// SPDX-License-Identifier: Apache-2.0
//
// cmd_dump.cpp - `kflight dump`: asks a recorder to write its window now.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/escape.hpp"
#include "base/units.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/recorder_request.hpp"

namespace kflight::cli {

namespace {

// A window is on disk in well under a second, unless the disk is the very thing that stalls.
constexpr std::chrono::milliseconds kDumpTimeout{120'000};

Result<std::string> request_dump(const DumpOptions& options) {
  KF_TRY_ASSIGN(const std::string name, choose_recorder(options.name));
  nlohmann::json request{{"op", "dump"}};
  if (!options.out_file.empty()) request["path"] = options.out_file;
  if (!options.note.empty()) request["note"] = options.note;
  return request_recorder(name, request.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace), kDumpTimeout);
}

}  // namespace

int cmd_dump(const DumpOptions& options) {
  const auto reply = request_dump(options);
  if (!reply) return fail(reply.error());
  if (options.json) return print_and_finish(*reply + "\n");
  const auto json = nlohmann::json::parse(*reply, nullptr, false);
  return print_and_finish(fmt::format("dump {}\n", escape_for_terminal(json.value("path", ""))));
}

}  // namespace kflight::cli
