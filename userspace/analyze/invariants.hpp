// SPDX-License-Identifier: Apache-2.0
//
// invariants.hpp - everything `kflight check` checks. A new invariant is a function here and a line in check.cpp.
#pragma once

#include <memory>

#include "analyze/invariant.hpp"

namespace kflight::analyze {

// Each makes its invariant, or returns nullptr after Tally::not_applicable() when the dump cannot show it.
using MakeInvariant = std::unique_ptr<Invariant>(const DumpSurvey&, Tally);

// invariants_of_files.cpp
MakeInvariant file_complete, chunk_numbers, chunk_contents, recorder_counts;
// invariants_of_cpus.cpp
MakeInvariant one_thread_per_cpu, current_task;
// invariants_of_threads.cpp
MakeInvariant thread_sequence, wake_before_run, snapshot_counts;
// invariants_of_lives.cpp
MakeInvariant lives;
// invariants_of_calls.cpp
MakeInvariant call_times, calls_switched_out;
// invariants_of_stacks.cpp
MakeInvariant stacks_belong;

}  // namespace kflight::analyze
