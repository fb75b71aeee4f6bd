// SPDX-License-Identifier: Apache-2.0
//
// loss_index.cpp - sorted holes with the latest end so far, so that one binary search answers.
#include "analyze/loss_index.hpp"

#include <algorithm>

namespace kflight::analyze {

void LossIndex::add(std::uint32_t cpu, std::uint64_t from_ns, std::uint64_t to_ns) {
  const Hole hole{from_ns, std::max(from_ns, to_ns)};
  all_.push_back(hole);
  by_cpu_[cpu].push_back(hole);
}

void LossIndex::seal() {
  seal(all_);
  for (auto& [cpu, holes] : by_cpu_) seal(holes);
}

bool LossIndex::on_cpu(std::uint32_t cpu, std::uint64_t from_ns, std::uint64_t to_ns) const {
  for (const std::uint32_t key : {cpu, kAnyCpu})
    if (const auto holes = by_cpu_.find(key); holes != by_cpu_.end() && overlaps(holes->second, from_ns, to_ns))
      return true;
  return false;
}

void LossIndex::seal(Holes& holes) {
  std::sort(holes.begin(), holes.end(), [](const Hole& a, const Hole& b) { return a.from_ns < b.from_ns; });
  for (std::size_t i = 1; i < holes.size(); ++i) holes[i].to_ns = std::max(holes[i].to_ns, holes[i - 1].to_ns);
}

bool LossIndex::overlaps(const Holes& holes, std::uint64_t from_ns, std::uint64_t to_ns) {
  const auto after = std::upper_bound(holes.begin(), holes.end(), to_ns,
                                      [](std::uint64_t t, const Hole& hole) { return t < hole.from_ns; });
  return after != holes.begin() && std::prev(after)->to_ns >= from_ns;
}

}  // namespace kflight::analyze
