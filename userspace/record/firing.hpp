// SPDX-License-Identifier: Apache-2.0
//
// firing.hpp - what is said about a trigger that fired: the call, its process, the file behind its descriptor. Looks into
// /proc at that moment, because a little later the descriptor may be closed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kflight/dump.hpp"
#include "kflight/wire.h"

namespace kflight::record {

// A finished call that matched (KF_CTL_SYSCALL), and the texts of the triggers that it meets, at least one.
Cause cause_of(const kf_ctl& record, std::vector<std::string> triggers, std::uint64_t received_ns);
// A call still in progress.
Cause cause_of(const kf_open_call& call, std::vector<std::string> triggers, std::uint64_t now_ns);

// What the first descriptor among the call's arguments points to: a path, "socket:[123]", "pipe:[45]"; empty when the
// call has none or it is gone.
std::string descriptor_target(std::uint32_t tgid, std::uint32_t nr, std::uint32_t abi,
                              const std::array<std::uint64_t, 6>& args);

}  // namespace kflight::record
