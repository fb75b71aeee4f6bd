// SPDX-License-Identifier: Apache-2.0
#include "record/trigger_policy.hpp"

#include <algorithm>
#include <utility>

namespace kflight::record {

Verdict TriggerPolicy::judge(std::uint64_t now_ns) const {
  if (phase_ == Phase::kPending) return Verdict::kMerged;
  if (phase_ == Phase::kWriting) return Verdict::kWriting;
  if (closed_ || exhausted()) return Verdict::kEnough;
  return now_ns < cooldown_until_ns_ ? Verdict::kCooldown : Verdict::kDump;
}

Verdict TriggerPolicy::fire(std::uint64_t now_ns) {
  const auto verdict = judge(now_ns);
  if (verdict != Verdict::kDump) {
    fire_more(1);
    return verdict;
  }
  ++counts_.fired;
  phase_ = Phase::kPending;
  merged_ = 0;
  return verdict;
}

void TriggerPolicy::fire_more(std::uint64_t firings) {
  counts_.fired += firings;
  if (phase_ != Phase::kPending) {
    counts_.suppressed += firings;
    return;
  }
  merged_ += firings;
  counts_.merged += firings;
}

std::uint64_t TriggerPolicy::begin_writing() {
  phase_ = Phase::kWriting;
  return std::exchange(merged_, 0);
}

void TriggerPolicy::finish(std::uint64_t now_ns, bool written) {
  phase_ = Phase::kIdle;
  const auto cooldown_ns = static_cast<std::uint64_t>(std::max<std::int64_t>(0, options_.cooldown.count()));
  cooldown_until_ns_ = now_ns + std::min(cooldown_ns, UINT64_MAX - now_ns);
  ++(written ? counts_.dumps : counts_.failures);
}

}  // namespace kflight::record
