// SPDX-License-Identifier: Apache-2.0
//
// timeline_check.hpp - the invariants that speak of states rather than of events: intervals without gap or overlap,
// CPUs and threads that agree, wakers that ran, explanations that add up. In the form of check.hpp's reports, to stand
// beside them. docs/checks.md says what each one means.
#pragma once

#include <vector>

#include "analyze/check.hpp"
#include "model/trace.hpp"

namespace kflight::analyze {

// Everything there is to check: the dump's events, if the trace has a dump, and the states made of them.
CheckReport check_trace(const model::Trace& trace, const CheckOptions& options = {});

// The states alone. Random stretches are the same for the same trace.
std::vector<InvariantReport> check_timeline(const model::Trace& trace, const CheckOptions& options = {});

}  // namespace kflight::analyze
