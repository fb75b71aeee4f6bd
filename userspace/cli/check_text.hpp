// SPDX-License-Identifier: Apache-2.0
//
// check_text.hpp - everything `kflight check` says about a dump, as text for a screen and as JSON.
#pragma once

#include <string>

#include "analyze/check.hpp"
#include "kflight/dump.hpp"

namespace kflight::cli {

std::string check_as_text(const analyze::CheckReport& report, const Dump& dump, const std::string& path,
                          std::size_t columns);
std::string check_as_json(const analyze::CheckReport& report, const std::string& path);

}  // namespace kflight::cli
