// SPDX-License-Identifier: Apache-2.0
//
// open_calls.hpp - calls of the target that have not returned, with what the task snapshot knows about them. Any thread.
#pragma once

#include <span>
#include <vector>

#include "kflight/dump_format.h"
#include "record/loader.hpp"

namespace kflight::record {

// Every call the target's threads are in according to the snapshot. enter_ns is 0 where entries are not traced
// (--syscalls blocked) or the call began before the recording.
std::vector<kf_open_call> open_calls(const Loader& loader, std::span<const kf_task> tasks);

// Adds process, arguments and name to a call known by thread and number; false when its thread has left it.
bool complete_call(kf_open_call& call, std::span<const kf_task> tasks);

}  // namespace kflight::record
