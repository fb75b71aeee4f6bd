// SPDX-License-Identifier: Apache-2.0
//
// descriptor_limit.hpp - may this process open so many files? Rings and sampling clocks take descriptors by the number of
// CPUs, and the usual limit of 1024 is meant for programs that use select(2), which this one does not.
#pragma once

#include <cstdint>

#include "kflight/result.hpp"

namespace kflight::record {

// Raises the process's limit so that `more` descriptors beyond those of today can be opened; never lowers it. Error: the
// hard limit is too low and this process may not raise it.
Result<> allow_descriptors(std::uint64_t more);

}  // namespace kflight::record
