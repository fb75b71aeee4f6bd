// SPDX-License-Identifier: Apache-2.0
//
// invariants_of_states.hpp - what `kflight check` checks of a Timeline and of explanations. A new one is a function
// here and a line in timeline_check.cpp.
#pragma once

#include "analyze/invariant.hpp"
#include "model/trace.hpp"

namespace kflight::analyze {

using StateInvariant = void(const model::Trace&, Tally, const CheckOptions&);

// invariants_of_states.cpp
StateInvariant states_tile, cpus_agree, wakers_run;
// invariants_of_times.cpp
StateInvariant kernel_times;
// invariants_of_explanations.cpp
StateInvariant explanations_hold;

// What the thread did then follows from events of which some may be missing. A hole makes all that is unknown around it
// so, not only the state it lies in.
bool in_doubt(const model::Timeline& timeline, model::ThreadId id, std::uint64_t ts_ns);

// An event's head for Tally::violate(), of a moment that is no event.
inline EventHead moment(std::uint64_t ts_ns, std::uint16_t cpu = kNoCpu) { return {ts_ns, 0, cpu, false}; }

}  // namespace kflight::analyze
