// SPDX-License-Identifier: Apache-2.0
//
// timer_functions.hpp - addresses of the kernel functions that timers call, from /proc/kallsyms: by them the BPF side
// tells a sleeper's own timeout from other timers. Where the kernel hides addresses (kptr_restrict) all are 0 and timers
// are of unknown kind.
#pragma once

#include <array>

#include "kflight/wire.h"

namespace kflight::record {

std::array<kf_u64, KF_TIMER_CLASSES + 1> timer_functions();

}  // namespace kflight::record
