// SPDX-License-Identifier: Apache-2.0
//
// host.hpp - facts about this machine and about the recorder itself that go into a dump's metadata. Reads /proc and
// /sys; any thread.
#pragma once

#include "kflight/dump.hpp"

namespace kflight::record {

HostInfo read_host();

// kUnsupported in a time namespace whose boot time is not the kernel's, which is that of all events.
Result<> require_host_clock();

// User and system time of this process so far, ns.
std::uint64_t process_cpu_ns();

// Since then, but for what only the BPF side and the consumer know. Loading the programs took its time before and is not
// in it.
OwnCost read_own_cost(std::uint64_t started_ns, std::uint64_t cpu_at_start_ns);

// The executable of a process; empty when it has gone.
std::string executable_of(std::uint32_t tgid);

}  // namespace kflight::record
