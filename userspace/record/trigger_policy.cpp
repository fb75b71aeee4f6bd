// SPDX-License-Identifier: Apache-2.0
#include "record/trigger_policy.hpp"

#include <algorithm>
#include <utility>

namespace kflight::record {

bool TriggerPolicy::is_free(std::uint64_t now_ns, const std::string& trigger) const {
  const auto turn = turns_.find(trigger);
  return turn == turns_.end() || (turn->second.dumps_on_their_way == 0 && now_ns >= turn->second.cooldown_until_ns);
}

Verdict TriggerPolicy::judge(std::uint64_t now_ns, const Triggers& triggers) const {
  if (pending_) return Verdict::kMerged;
  if (closed_ || (options_.max_dumps != 0 && counts_.dumps + writing_ >= options_.max_dumps)) return Verdict::kEnough;
  const bool any = std::ranges::any_of(triggers, [&](const std::string& trigger) { return is_free(now_ns, trigger); });
  return any ? Verdict::kDump : Verdict::kCooldown;
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
  for (const std::string& trigger : triggers) ++turns_[trigger].dumps_on_their_way;
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
  for (const std::string& trigger : triggers) {
    Turn& turn = turns_[trigger];
    --turn.dumps_on_their_way;
    turn.cooldown_until_ns = now_ns + std::min(cooldown_ns, UINT64_MAX - now_ns);
  }
  ++(written ? counts_.dumps : counts_.failures);
}

}  // namespace kflight::record
