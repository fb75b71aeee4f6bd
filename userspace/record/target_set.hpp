// SPDX-License-Identifier: Apache-2.0
//
// target_set.hpp - turns what the user named (process ids, name patterns) into process ids the kernel side can look up.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kflight/flight_recorder.hpp"
#include "kflight/name_matcher.h"
#include "kflight/result.hpp"

namespace kflight::record {

// The process a pid or thread id belongs to. kNotFound when there is none; kUsage for a kernel thread.
Result<std::uint32_t> process_of(std::uint32_t pid);

// All processes the target names right now, by number or by a name among `tasks`.
Result<std::vector<std::uint32_t>> resolve_targets(const Target& target, const kf_name_matcher& names,
                                                   std::span<const kf_task> tasks);

}  // namespace kflight::record
