// SPDX-License-Identifier: Apache-2.0
//
// ftrace_codes.hpp - our states and contexts in the numbers of the kernel's own trace events, as tools expect them.
#pragma once

#include <cstdint>

#include "model/interval.hpp"

namespace kflight::exports {

// prev_state as the sched_switch tracepoint prints it since 4.14.
inline constexpr std::uint32_t kPrevRunning = 0, kPrevSleep = 1, kPrevDisk = 2, kPrevStopped = 4, kPrevTraced = 8,
                               kPrevDead = 0x10, kPrevParked = 0x40, kPrevIdle = 0x80, kPrevPreempted = 0x100;

// What the thread does that left a CPU, by the interval that follows.
std::uint32_t prev_state(const model::Interval& interval);

// common_flags of an event in this context (KF_CTX_*), as far as they tell of it.
std::uint32_t context_flags(std::uint8_t ctx);

}  // namespace kflight::exports
