// SPDX-License-Identifier: Apache-2.0
//
// The heap holds one entry per source, the event it stands for is already decoded in the source. An entry is replaced
// in place when its source has a next event, which is nearly always.
#include "dump/merge.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "dump/lane_order.hpp"

namespace kflight::dump {
namespace {

// Order of kinds at the same nanosecond on different CPUs: what makes something possible comes before it.
template <class E>
constexpr std::uint32_t kRank = 5;
template <>
constexpr std::uint32_t kRank<LossEvent> = 0;
template <>
constexpr std::uint32_t kRank<ForkEvent> = 1;
template <>
constexpr std::uint32_t kRank<WakingEvent> = 2;
template <>
constexpr std::uint32_t kRank<WakeupEvent> = 3;
template <>
constexpr std::uint32_t kRank<MigrateEvent> = 4;
template <>
constexpr std::uint32_t kRank<SwitchEvent> = 6;

template <class Variant>
struct Ranks;
template <class... Es>
struct Ranks<std::variant<Es...>> {
  static constexpr std::array<std::uint32_t, sizeof...(Es)> by_index = {kRank<Es>...};
};

EventHead& mutable_head(Event& event) {
  return std::visit([](auto& e) -> EventHead& { return e; }, event);
}

// The rest of a chunk that could not be decoded.
LossEvent undecodable(const kf_chunk& head, const ChunkCursor& cursor, std::uint64_t since_ns) {
  LossEvent loss;
  loss.ts_ns = std::max<std::uint64_t>(since_ns, head.last_ns);
  loss.cpu = head.lane;
  loss.nested = is_nested(head);
  loss.from_ns = since_ns;
  loss.count = head.n_events > cursor.decoded() ? head.n_events - cursor.decoded() : 0;
  loss.reason = 2;
  return loss;
}

}  // namespace

Merger::Merger(std::vector<ChunkRef> in_arrival_order, std::span<const kf_base_lane> lanes)
    : chunks_(std::move(in_arrival_order)) {
  duplicates_ = sort_by_lane(chunks_, lanes);
  losses_ = find_losses(chunks_, lanes);
  const ChunkRef* const end = chunks_.data() + chunks_.size();
  for (const ChunkRef* first = chunks_.data(); first != end;) {
    const ChunkRef* last = std::find_if(first, end, [&](const ChunkRef& c) { return !same_source(*first, c); });
    sources_.push_back({first, last});
    first = last;
  }
  for (std::uint32_t i = 0; i < sources_.size(); ++i)
    if (advance(sources_[i])) heap_.push_back(entry_of(i));
  for (std::size_t i = heap_.size() / 2; i-- > 0;) sift_down(i);
}

bool Merger::next(Event& out) {
  const std::uint64_t now_ns = heap_.empty() ? std::numeric_limits<std::uint64_t>::max() : heap_.front().ts_ns;
  if (next_loss_ < losses_.size() && losses_[next_loss_].ts_ns <= now_ns) {
    out = losses_[next_loss_++];
    return true;
  }
  if (heap_.empty()) return false;
  const std::uint32_t index = heap_.front().source;
  Source& source = sources_[index];
  out = source.event;
  if (advance(source)) {
    heap_.front() = entry_of(index);
  } else {
    heap_.front() = heap_.back();
    heap_.pop_back();
  }
  if (heap_.size() > 1) sift_down(0);
  return true;
}

// Decodes the source's next event into it. False when there is none.
bool Merger::advance(Source& source) noexcept {
  for (;;) {
    if (source.cursor.next(source.event)) {
      if (source.cursor.now_ns() < source.floor_ns)
        mutable_head(source.event).ts_ns = source.floor_ns;
      else
        source.floor_ns = source.cursor.now_ns();
      return true;
    }
    if (source.open != nullptr && source.cursor.damaged()) {
      const LossEvent rest = undecodable(*source.open, source.cursor, source.floor_ns);
      source.open = nullptr;
      source.floor_ns = rest.ts_ns;
      source.event = rest;
      return true;
    }
    if (source.upcoming == source.end) return false;
    source.open = source.upcoming->head;
    source.cursor = ChunkCursor(*source.open, source.upcoming->words);
    ++source.upcoming;
  }
}

Merger::Entry Merger::entry_of(std::uint32_t source) const noexcept {
  const EventHead& at = head(sources_[source].event);
  const std::uint32_t rank = Ranks<Event>::by_index[sources_[source].event.index()];
  return {sources_[source].floor_ns, rank << 17 | static_cast<std::uint32_t>(at.cpu) << 1 | at.nested, source};
}

void Merger::sift_down(std::size_t at) noexcept {
  const Entry moved = heap_[at];
  for (std::size_t child; (child = 2 * at + 1) < heap_.size(); at = child) {
    if (child + 1 < heap_.size() && heap_[child + 1].before(heap_[child])) ++child;
    if (!heap_[child].before(moved)) break;
    heap_[at] = heap_[child];
  }
  heap_[at] = moved;
}

}  // namespace kflight::dump
