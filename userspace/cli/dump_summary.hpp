// SPDX-License-Identifier: Apache-2.0
//
// dump_summary.hpp - everything `kflight info` says about a dump, as text for a screen and as JSON.
#pragma once

#include <string>

#include "kflight/dump.hpp"

namespace kflight::cli {

std::string summary_as_text(const Dump& dump, const std::string& path, std::size_t columns);

// The metadata as it stands in the file, and beside it what only the file as a whole tells: file, complete, damage,
// window_begin_ns, window_end_ns, threads, losses_in_window, open_calls, resolutions; texts of calls are ready to read.
std::string summary_as_json(const Dump& dump, const std::string& path);

}  // namespace kflight::cli
