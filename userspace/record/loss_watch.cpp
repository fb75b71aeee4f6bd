// SPDX-License-Identifier: Apache-2.0
#include "record/loss_watch.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace kflight::record {
namespace {

constexpr std::uint32_t kAnyLane = 0xffffffff;

}  // namespace

void LossWatch::start(std::uint64_t now_ns, bool samples) {
  MutexLock lock(mutex_);
  samples_ = samples;
  looked_ns_ = now_ns;
}

void LossWatch::handed_over(const kf_chunk& chunk) noexcept {
  if (chunk.lane < lanes_.size() && !(chunk.flags & KF_CHUNK_NESTED))
    lanes_[chunk.lane].last_ns.store(chunk.last_ns, std::memory_order_relaxed);
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

// What a CPU that comes back had left in its batch follows by itself.
void LossWatch::on_hotplug(const kf_ctl& record) {
  MutexLock lock(mutex_);
  const bool comes = record.rules == KF_CPU_COMES;
  Absence& absence = absent_[record.nr];
  Step& step = comes ? absence.coming : absence.going;
  if (record.args[0] == 0) {
    step = {record.exit_ns, 0};
  } else if (record.ret != 0) {
    step = {};
  } else if (step.from_ns != 0) {  // 0: recording began in the midst of it
    step.to_ns = record.exit_ns;
  }
  if (comes && step.to_ns != 0) {
    if (const Step& gone = absence.going; gone.from_ns != 0)
      add({.kind = KF_LOSS_OFFLINE, .lane = record.nr, .from_ns = gone.from_ns, .to_ns = gone.to_ns, .count = 0});
    add({.kind = KF_LOSS_ONLINE, .lane = record.nr, .from_ns = step.from_ns, .to_ns = step.to_ns, .count = 0});
    absence = {};
    if (samples_ && unsampled_.emplace(record.nr, record.exit_ns).second)
      log_warn("CPU {} is back online; to sample what runs there, start the recorder again", record.nr);
  }
  if (absence.going.from_ns == 0 && absence.coming.from_ns == 0) absent_.erase(record.nr);
}

void LossWatch::add(const kf_loss& loss) {
  if (entries_.size() == kMostEntries) entries_.erase(entries_.begin());
  entries_.push_back(loss);
}

void LossWatch::note(Count& count, std::uint64_t total, std::uint64_t now_ns) {
  if (total <= count.total) return;
  const std::uint64_t more = total - count.total;
  count.total = total;
  add({.kind = count.kind, .lane = kAnyLane, .from_ns = looked_ns_, .to_ns = now_ns, .count = more});
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

std::vector<kf_loss> LossWatch::unflushed(const std::vector<std::uint32_t>& cpus, std::uint64_t to_ns) const {
  std::vector<kf_loss> lost;
  for (const std::uint32_t cpu : cpus) {
    const std::uint64_t since_ns = cpu < lanes_.size() ? lanes_[cpu].last_ns.load(std::memory_order_relaxed) : 0;
    if (since_ns < to_ns)
      lost.push_back({.kind = KF_LOSS_UNFLUSHED, .lane = cpu, .from_ns = since_ns, .to_ns = to_ns, .count = 0});
  }
  return lost;
}

std::vector<kf_loss> LossWatch::within(std::uint64_t from_ns, std::uint64_t to_ns,
                                       const std::vector<kf_loss>& unflushed) const {
  MutexLock lock(mutex_);
  std::vector<kf_loss> recent;
  std::copy_if(entries_.begin(), entries_.end(), std::back_inserter(recent),
               [&](const kf_loss& loss) { return loss.to_ns >= from_ns; });
  const auto lose = [&](std::uint32_t kind, std::uint32_t cpu, std::uint64_t from, std::uint64_t to) {
    if (to >= from_ns) recent.push_back({.kind = kind, .lane = cpu, .from_ns = from, .to_ns = to, .count = 0});
  };
  const auto handed_over_until = [&](std::uint32_t cpu) {
    return cpu < lanes_.size() ? std::max(lanes_[cpu].last_ns.load(std::memory_order_relaxed), from_ns) : from_ns;
  };
  for (const auto& [cpu, absence] : absent_) {
    const auto& [going, coming] = absence;
    if (going.from_ns != 0)
      lose(KF_LOSS_OFFLINE, cpu, std::min(going.from_ns, handed_over_until(cpu)), going.to_ns != 0 ? going.to_ns : to_ns);
    if (coming.from_ns != 0) lose(KF_LOSS_ONLINE, cpu, coming.from_ns, to_ns);
  }
  for (const auto& [cpu, since_ns] : unsampled_) lose(KF_LOSS_STACK, cpu, std::max(since_ns, from_ns), to_ns);
  for (const kf_loss& loss : unflushed)
    if (!absent_.contains(loss.lane)) lose(loss.kind, loss.lane, std::max<std::uint64_t>(loss.from_ns, from_ns), loss.to_ns);
  return recent;
}

}  // namespace kflight::record
