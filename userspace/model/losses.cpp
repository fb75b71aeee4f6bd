// SPDX-License-Identifier: Apache-2.0
#include "model/losses.hpp"

#include <algorithm>

namespace kflight::model {

void LossIndex::add(const Loss& loss) { losses_.push_back(loss); }

void LossIndex::seal() {
  std::ranges::stable_sort(losses_, {}, &Loss::from_ns);
  all_.clear();
  of_cpu_.clear();
  for (const Loss& loss : losses_) {
    append(all_, loss);
    append(of_cpu_[loss.cpu], loss);
  }
}

void LossIndex::append(Holes& holes, const Loss& loss) {
  holes.push_back({loss.from_ns, holes.empty() ? loss.to_ns : std::max(holes.back().latest_end_ns, loss.to_ns)});
}

bool LossIndex::overlaps(const Holes& holes, std::uint64_t a_ns, std::uint64_t b_ns) noexcept {
  const auto behind = std::ranges::lower_bound(holes, b_ns, {}, &Hole::from_ns);
  return behind != holes.begin() && std::prev(behind)->latest_end_ns > a_ns;
}

bool LossIndex::any_in(std::uint64_t a_ns, std::uint64_t b_ns) const noexcept { return overlaps(all_, a_ns, b_ns); }

bool LossIndex::any_in(std::uint16_t cpu, std::uint64_t a_ns, std::uint64_t b_ns) const noexcept {
  const auto in_those_of = [&](std::uint16_t key) {
    const auto holes = of_cpu_.find(key);
    return holes != of_cpu_.end() && overlaps(holes->second, a_ns, b_ns);
  };
  return in_those_of(cpu) || in_those_of(kNoCpu);
}

std::uint64_t LossIndex::events() const noexcept {
  std::uint64_t sum = 0;
  for (const Loss& loss : losses_) sum += loss.count;
  return sum;
}

std::uint64_t LossIndex::blind_ns(std::uint64_t a_ns, std::uint64_t b_ns) const noexcept {
  std::uint64_t sum = 0, done_ns = a_ns;
  const auto first = std::ranges::upper_bound(all_, a_ns, {}, &Hole::latest_end_ns) - all_.begin();
  for (const Loss& loss : all().subspan(static_cast<std::size_t>(first))) {
    if (loss.from_ns >= b_ns) break;
    const std::uint64_t from = std::max(loss.from_ns, done_ns), to = std::min(loss.to_ns, b_ns);
    if (from >= to) continue;
    sum += to - from;
    done_ns = to;
  }
  return sum;
}

}  // namespace kflight::model
