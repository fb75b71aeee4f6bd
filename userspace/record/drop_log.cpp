// SPDX-License-Identifier: Apache-2.0
//
// drop_log.cpp - extends the entry of the same lane; when the log is full, its older half makes room.
#include "record/drop_log.hpp"

#include <algorithm>
#include <iterator>

namespace kflight::record {

void DropLog::add(const kf_chunk& dropped) noexcept {
  const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(episode_begin_);
  const auto same = std::find_if(begin, entries_.end(), [&](const kf_loss& e) { return e.lane == dropped.lane; });
  if (same != entries_.end()) {
    same->from_ns = std::min<kf_u64>(same->from_ns, dropped.base_ns);
    same->to_ns = std::max<kf_u64>(same->to_ns, dropped.last_ns);
    same->count += dropped.n_events;
    return;
  }
  if (entries_.size() == kMostEntries) {
    entries_.erase(entries_.begin(), entries_.begin() + kMostEntries / 2);
    episode_begin_ -= std::min<std::size_t>(episode_begin_, kMostEntries / 2);
  }
  entries_.push_back({.kind = KF_LOSS_WINDOW,
                      .lane = dropped.lane,
                      .from_ns = dropped.base_ns,
                      .to_ns = dropped.last_ns,
                      .count = dropped.n_events});
}

std::vector<kf_loss> DropLog::since(std::uint64_t from_ns) const {
  std::vector<kf_loss> found;
  std::copy_if(entries_.begin(), entries_.end(), std::back_inserter(found),
               [from_ns](const kf_loss& e) { return e.to_ns >= from_ns; });
  return found;
}

}  // namespace kflight::record
