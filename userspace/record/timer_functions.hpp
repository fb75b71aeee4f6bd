// SPDX-License-Identifier: Apache-2.0
//
// timer_functions.hpp - where the handlers of timers are, for the BPF side to tell a sleeper's own timeout from other
// timers. Where the kernel hides addresses, timers are of unknown kind.
#pragma once

#include <array>

#include "kflight/wire.h"

namespace kflight::record {

// By KF_TIMER_*, as kf_config.timer_functions has them; 0 where not known.
std::array<kf_u64, KF_TIMER_FUNCTIONS> timer_functions();

}  // namespace kflight::record
