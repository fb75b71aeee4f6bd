// SPDX-License-Identifier: Apache-2.0
//
// clocks.hpp - the clock events are stamped with, and its relation to the two other clocks people's logs use.
#pragma once

#include <cstdint>

#include "kflight/dump.hpp"

namespace kflight {

// CLOCK_BOOTTIME, as bpf_ktime_get_boot_ns() reads it in the kernel.
std::uint64_t boottime_ns();

// The three clocks at one instant. They cannot be read together, so monotonic and realtime are read between two
// readings of boottime and the tightest of a few tries counts; the result is off by less than half that bracket (about
// 100 ns).
ClockReading read_all_clocks();

}  // namespace kflight
