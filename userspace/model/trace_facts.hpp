// SPDX-License-Identifier: Apache-2.0
//
// trace_facts.hpp - what a Timeline is built from besides the events: the window's edges and what a dump knows about
// threads and CPUs from before and after it. Views only; a synthetic trace fills it as well as a dump does.
#pragma once

#include <cstdint>
#include <span>

#include "kflight/dump_format.h"

namespace kflight::model {

struct TraceFacts {
  std::uint64_t window_begin_ns = 0;
  std::uint64_t window_end_ns = 0;
  std::span<const kf_base_task> base_tasks;
  std::span<const kf_base_lane> base_lanes;
  std::span<const kf_task> tasks;  // at the dump
  std::span<const kf_loss> losses;
  std::int64_t boottime_minus_monotonic_ns = 0;  // the block layer's clock
};

}  // namespace kflight::model
