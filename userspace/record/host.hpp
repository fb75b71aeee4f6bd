// SPDX-License-Identifier: Apache-2.0
//
// host.hpp - facts about this machine and about the recorder itself that go into a dump's metadata. Reads /proc and
// /sys; any thread.
#pragma once

#include "kflight/dump.hpp"

namespace kflight::record {

HostInfo read_host();

// CPU time and memory of this process; programs and polls are left to the caller.
OwnCost read_own_cost(std::uint64_t started_ns);

// The executable of a process; empty when it has gone.
std::string executable_of(std::uint32_t tgid);

}  // namespace kflight::record
