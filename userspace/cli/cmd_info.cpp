// SPDX-License-Identifier: Apache-2.0
//
// cmd_info.cpp - `kflight info`: what a dump is about, on one screen. What matters most in a hurry comes first: what
// fired, which call, how it ended; then how much of the story the file really holds.
#include "cli/dump_summary.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"

namespace kflight::cli {

int cmd_info(const InfoOptions& options) {
  const auto dump = Dump::open(options.path);
  if (!dump) return fail(dump.error());
  return print_and_finish(options.json ? summary_as_json(*dump, options.path)
                                       : summary_as_text(*dump, options.path, terminal_columns()));
}

}  // namespace kflight::cli
