// SPDX-License-Identifier: Apache-2.0
//
// recorded_config.hpp - a recorder's configuration as its dumps tell it: as text a person would give it again.
#pragma once

#include "kflight/flight_recorder.hpp"
#include "record/triggers.hpp"

namespace kflight::record {

// `syscalls`, `stacks` and `stack_wait` as they were chosen, where the configuration left it open.
RecordedConfig recorded_config(const FlightRecorderConfig& config, Syscalls syscalls, Stacks stacks,
                               std::chrono::nanoseconds stack_wait,
                               const TriggerSet& triggers);

}  // namespace kflight::record
