// SPDX-License-Identifier: Apache-2.0
//
// cmd_version.cpp - `kflight version`: everything a bug report should name.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/report.hpp"
#include "kflight/dump_format.h"
#include "record/kernel_caps.hpp"

namespace kflight::cli {

namespace {

#if defined(__clang__)
constexpr std::string_view kCompiler = "clang " __clang_version__;
#else
constexpr std::string_view kCompiler = "g++ " __VERSION__;
#endif

}  // namespace

int cmd_version(const VersionOptions& options) {
  const std::string dump_format = fmt::format("{}.{}", KF_DUMP_VERSION_MAJOR, KF_DUMP_VERSION_MINOR);
  if (options.json) {
    const nlohmann::ordered_json json{{"kflight", KFLIGHT_VERSION},
                                      {"libbpf", record::libbpf_version()},
                                      {"dump_format", dump_format},
                                      {"wire_version", KF_WIRE_VERSION},
                                      {"compiler", kCompiler}};
    return print_and_finish(json.dump(2) + "\n");
  }
  Report report(terminal_columns());
  report.fact("kflight", "{}", KFLIGHT_VERSION)
      .fact("libbpf", "{}", record::libbpf_version())
      .fact("dump", "format {}, events {}", dump_format, KF_WIRE_VERSION)
      .fact("compiler", "{}", kCompiler);
  return print_and_finish(report.text());
}

}  // namespace kflight::cli
