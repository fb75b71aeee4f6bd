// SPDX-License-Identifier: Apache-2.0
#include "record/loss_watch.hpp"

#include <algorithm>

namespace kflight::record {
namespace {

constexpr std::uint32_t kAnyLane = 0xffffffff;

}  // namespace

void LossWatch::start(std::uint64_t now_ns) {
  MutexLock lock(mutex_);
  looked_ns_ = now_ns;
}

void LossWatch::see(const kf_chunk& chunk) noexcept {
  if (chunk.lane >= lanes_.size()) return;
  Lane& lane = lanes_[chunk.lane];
  if (chunk.flags & KF_CHUNK_NESTED) {
    ++lane.nested_received;
    return;
  }
  if (chunk.events_before > lane.events_through)
    ring_events_.fetch_add(chunk.events_before - lane.events_through, std::memory_order_relaxed);
  lane.events_through = chunk.events_before + chunk.n_events;
  // A nested record enters the ring before the chunk it interrupted, so by now all of them should be here.
  const std::uint64_t seen = lane.nested_received + lane.nested_lost;
  if (chunk.nested_before > seen) {
    lane.nested_lost += chunk.nested_before - seen;
    nested_events_.fetch_add(chunk.nested_before - seen, std::memory_order_relaxed);
  }
}

std::uint64_t LossWatch::merged_since(std::uint64_t merged_total) noexcept {
  const std::uint64_t more = merged_total > merged_told_ ? merged_total - merged_told_ : 0;
  merged_told_ = std::max(merged_told_, merged_total);
  return more;
}

void LossWatch::note(Count& count, std::uint64_t total, std::uint64_t now_ns) {
  if (total <= count.total) return;
  const std::uint64_t more = total - count.total;
  count.total = total;
  if (entries_.size() == kMostEntries) entries_.erase(entries_.begin());
  entries_.push_back({.kind = count.kind, .lane = kAnyLane, .from_ns = looked_ns_, .to_ns = now_ns, .count = more});
}

void LossWatch::look(std::uint64_t now_ns, std::uint64_t recursion_misses, std::uint64_t capped,
                     const kf_counters& counters) {
  MutexLock lock(mutex_);
  note(recursion_, recursion_misses, now_ns);
  note(control_, counters.control_lost, now_ns);
  note(inflight_, counters.inflight_lost, now_ns);
  note(stacks_, counters.stacks_lost, now_ns);
  note(capped_, capped, now_ns);
  looked_ns_ = now_ns;
}

LossInfo LossWatch::totals() const {
  MutexLock lock(mutex_);
  LossInfo info;
  info.ring_events = ring_events_.load(std::memory_order_relaxed);
  info.nested_events = nested_events_.load(std::memory_order_relaxed);
  info.recursion = recursion_.total;
  info.control = control_.total;
  info.inflight = inflight_.total;
  info.stacks = stacks_.total;
  info.capped = capped_.total;
  return info;
}

std::vector<kf_loss> LossWatch::within(std::uint64_t from_ns) const {
  MutexLock lock(mutex_);
  std::vector<kf_loss> recent;
  std::copy_if(entries_.begin(), entries_.end(), std::back_inserter(recent),
               [&](const kf_loss& loss) { return loss.to_ns >= from_ns; });
  return recent;
}

}  // namespace kflight::record
