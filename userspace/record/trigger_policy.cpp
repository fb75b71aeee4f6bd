// SPDX-License-Identifier: Apache-2.0
#include "record/trigger_policy.hpp"

#include <algorithm>
#include <utility>

namespace kflight::record {

Verdict TriggerPolicy::judge(std::uint64_t now_ns, const Triggers& triggers) const {
  if (pending_) return Verdict::kMerged;
  if (closed_ || (options_.max_dumps != 0 && counts_.dumps + writing_ >= options_.max_dumps)) return Verdict::kEnough;
  const auto is_free = [&](const std::string& trigger) {
    const auto cooldown = cooldown_until_ns_.find(trigger);
    return cooldown == cooldown_until_ns_.end() || now_ns >= cooldown->second;
  };
  return std::ranges::any_of(triggers, is_free) ? Verdict::kDump : Verdict::kCooldown;
}

void TriggerPolicy::set_cooldown(const Triggers& triggers, std::uint64_t until_ns) {
  for (const std::string& trigger : triggers) cooldown_until_ns_[trigger] = until_ns;
}

Verdict TriggerPolicy::fire(std::uint64_t now_ns, const Triggers& triggers) {
  const auto verdict = judge(now_ns, triggers);
  if (verdict != Verdict::kDump) {
    fire_more(1);
    return verdict;
  }
  ++counts_.fired;
  pending_ = true;
  merged_ = 0;
  set_cooldown(triggers, UINT64_MAX);
  return verdict;
}

void TriggerPolicy::fire_more(std::uint64_t firings) {
  counts_.fired += firings;
  if (!pending_) {
    counts_.suppressed += firings;
    return;
  }
  merged_ += firings;
  counts_.merged += firings;
}

std::uint64_t TriggerPolicy::begin_writing() {
  pending_ = false;
  ++writing_;
  return std::exchange(merged_, 0);
}

void TriggerPolicy::finish(std::uint64_t now_ns, const Triggers& triggers, bool written) {
  --writing_;
  const auto cooldown_ns = static_cast<std::uint64_t>(std::max<std::int64_t>(0, options_.cooldown.count()));
  set_cooldown(triggers, now_ns + std::min(cooldown_ns, UINT64_MAX - now_ns));
  ++(written ? counts_.dumps : counts_.failures);
}

}  // namespace kflight::record
