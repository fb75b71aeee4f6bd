// SPDX-License-Identifier: Apache-2.0
//
// registry.hpp - all analyses, for commands and tests that treat them alike.
#pragma once

#include <span>

#include "analyze/analysis.hpp"

namespace kflight::analyze {

std::span<const Analysis> analyses();

}  // namespace kflight::analyze
