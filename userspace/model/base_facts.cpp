// SPDX-License-Identifier: Apache-2.0
#include "model/base_facts.hpp"

#include <algorithm>
#include <tuple>

namespace kflight::model {

std::vector<BaseFact> base_facts_in_order(const TraceFacts& facts) {
  using Kind = BaseFact::Kind;
  std::vector<BaseFact> out;
  const auto add = [&out](std::uint64_t ts_ns, Kind kind, std::uint32_t index) {
    if (ts_ns != 0) out.push_back({ts_ns, kind, index});
  };
  for (std::uint32_t i = 0; i < facts.base_tasks.size(); ++i) {
    const kf_base_task& task = facts.base_tasks[i];
    add(task.fork_ns, Kind::kFork, i);
    add(task.out_ns, Kind::kSwitchOut, i);
    add(task.waking_ns, Kind::kWaking, i);
    add(task.wakeup_ns, Kind::kWakeup, i);
    add(task.in_ns, Kind::kSwitchIn, i);
    if (task.known & KF_BASE_SNAPSHOT) add(task.snapshot_ns, Kind::kSnapshot, i);
  }
  for (std::uint32_t i = 0; i < facts.base_lanes.size(); ++i) {
    if (facts.base_lanes[i].known) add(facts.base_lanes[i].through_ns, Kind::kCurrent, i);
  }
  std::sort(out.begin(), out.end(), [](const BaseFact& a, const BaseFact& b) {
    return std::tie(a.ts_ns, a.kind, a.index) < std::tie(b.ts_ns, b.kind, b.index);
  });
  return out;
}

}  // namespace kflight::model
