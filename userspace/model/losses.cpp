// SPDX-License-Identifier: Apache-2.0
#include "model/losses.hpp"

#include <algorithm>

namespace kflight::model {

void LossIndex::add(const Loss& loss) { losses_.push_back(loss); }

void LossIndex::seal() {
  std::stable_sort(losses_.begin(), losses_.end(), [](const Loss& a, const Loss& b) { return a.from_ns < b.from_ns; });
  latest_end_ns_.clear();
  std::uint64_t latest_ns = 0;
  for (const Loss& loss : losses_) latest_end_ns_.push_back(latest_ns = std::max(latest_ns, loss.to_ns));
}

namespace {
// Calls fn(loss) for those that overlap [a,b], newest first, until it returns true.
template <class F>
bool any_overlap(const std::vector<Loss>& losses, const std::vector<std::uint64_t>& latest_end_ns, std::uint64_t a_ns,
                 std::uint64_t b_ns, F&& fn) {
  auto it = std::lower_bound(losses.begin(), losses.end(), b_ns,
                             [](const Loss& loss, std::uint64_t t) { return loss.from_ns < t; });
  for (auto i = it - losses.begin(); i-- > 0 && latest_end_ns[i] > a_ns;) {
    if (losses[i].to_ns > a_ns && fn(losses[i])) return true;
  }
  return false;
}
}  // namespace

bool LossIndex::any_in(std::uint64_t a_ns, std::uint64_t b_ns) const noexcept {
  return any_overlap(losses_, latest_end_ns_, a_ns, b_ns, [](const Loss&) { return true; });
}

bool LossIndex::any_in(std::uint16_t cpu, std::uint64_t a_ns, std::uint64_t b_ns) const noexcept {
  return any_overlap(losses_, latest_end_ns_, a_ns, b_ns,
                     [cpu](const Loss& loss) { return loss.cpu == cpu || loss.cpu == kNoCpu; });
}

std::uint64_t LossIndex::events() const noexcept {
  std::uint64_t sum = 0;
  for (const Loss& loss : losses_) sum += loss.count;
  return sum;
}

std::uint64_t LossIndex::blind_ns(std::uint64_t a_ns, std::uint64_t b_ns) const noexcept {
  std::uint64_t sum = 0, done_ns = a_ns;
  for (const Loss& loss : losses_) {
    const std::uint64_t from = std::max(loss.from_ns, done_ns), to = std::min(loss.to_ns, b_ns);
    if (from >= to) continue;
    sum += to - from;
    done_ns = to;
  }
  return sum;
}

}  // namespace kflight::model
