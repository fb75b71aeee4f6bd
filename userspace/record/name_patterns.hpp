// SPDX-License-Identifier: Apache-2.0
//
// name_patterns.hpp - patterns for process names (`--comm`: * ? [a-z]) as the automaton that the kernel side runs.
#pragma once

#include <span>
#include <string>

#include "kflight/name_matcher.h"
#include "kflight/result.hpp"

namespace kflight::record {

// Patterns as fnmatch(3) reads them without flags. kUsage when there are more than one matcher can hold: about 16 of the
// longest that can fit a name (15 characters), or 40 of five.
Result<kf_name_matcher> compile_name_patterns(std::span<const std::string> globs);

}  // namespace kflight::record
