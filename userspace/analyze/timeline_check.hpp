// SPDX-License-Identifier: Apache-2.0
//
// timeline_check.hpp - the invariants that speak of states rather than of events: intervals without gap or overlap,
// CPUs and threads that agree, explanations that add up. In the form of check.hpp's reports, to stand beside them.
#pragma once

#include <vector>

#include "analyze/check.hpp"
#include "model/trace.hpp"

namespace kflight::analyze {

// Random intervals are the same for the same trace.
std::vector<InvariantReport> check_timeline(const model::Trace& trace, const CheckOptions& options = {});

}  // namespace kflight::analyze
