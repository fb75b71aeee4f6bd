// SPDX-License-Identifier: Apache-2.0
//
// base_facts.hpp - what happened before the window, as far as it still matters: each thread's last facts and each CPU's
// last task, turned back into single facts in time order. The builder replays them between the events, each at its own
// time, through the same rules as events, so there is one state machine and not two.
#pragma once

#include <cstdint>
#include <vector>

#include "model/trace_facts.hpp"

namespace kflight::model {

struct BaseFact {
  // In the order in which facts of the same instant apply.
  enum class Kind : std::uint8_t { kFork, kSwitchOut, kWaking, kWakeup, kSwitchIn, kSnapshot, kCurrent };

  std::uint64_t ts_ns = 0;
  Kind kind = Kind::kFork;
  std::uint32_t index = 0;  // into base_tasks, or into base_lanes for kCurrent
};

std::vector<BaseFact> base_facts_in_order(const TraceFacts& facts);

}  // namespace kflight::model
