// SPDX-License-Identifier: Apache-2.0
//
// Ordinary chunks carry a number and the count of events before them, so a hole has an exact size. Nested ones overtake
// each other and the chunk they interrupted: they are counted between ordinary chunks instead of one by one.
#include "dump/lane_order.hpp"

#include <algorithm>
#include <tuple>

namespace kflight::dump {
namespace {

constexpr std::uint8_t kRingFull = 0, kNestedLost = 1, kFileDamaged = 2;

// For tables by lane. The header lies in the file, which somebody may change while it is mapped: a lane is judged where
// it is used.
constexpr std::size_t kLanes = KF_CPU_MASK + 1;
constexpr std::size_t place(kf_u16 lane_untrusted) { return lane_untrusted & KF_CPU_MASK; }

// Where a lane's numbering stands.
struct Position {
  bool known = false;  // from a base lane or a chunk, not merely assumed to be the beginning
  kf_u32 seq = 0;
  kf_u64 events = 0;
  kf_u64 nested = 0;
  kf_u64 time_ns = 0;
  kf_u32 damage = 0;
};

// Base lanes by CPU number. The section may name a lane twice or hold numbers no CPU has; the first entry counts.
class BaseLanes {
 public:
  explicit BaseLanes(std::span<const kf_base_lane> lanes) : by_cpu_(kLanes) {
    for (const auto& lane : lanes)
      if (by_cpu_[place(lane.lane)] == nullptr) by_cpu_[place(lane.lane)] = &lane;
  }
  Position before(std::uint16_t cpu) const {
    const kf_base_lane* lane = by_cpu_[place(cpu)];
    if (lane == nullptr) return {};
    return {lane->known != 0, lane->next_seq, lane->events_through, lane->nested_through, lane->through_ns, 0};
  }

 private:
  std::vector<const kf_base_lane*> by_cpu_;
};

LossEvent loss(const kf_chunk& head, std::uint64_t from_ns, std::uint64_t to_ns, std::uint64_t count,
               std::uint8_t reason) {
  LossEvent event;
  event.ts_ns = std::max(from_ns, to_ns);
  event.cpu = head.lane;
  event.nested = reason == kNestedLost;
  event.from_ns = from_ns;
  event.count = count;
  event.reason = reason;
  return event;
}

void check_numbers(const ChunkRef& chunk, const Position& expected, std::vector<LossEvent>& out) {
  const kf_chunk& head = *chunk.head;
  if (static_cast<std::int32_t>(head.seq - expected.seq) <= 0) return;
  const bool damaged = chunk.damage_before != expected.damage;
  const bool countable = head.events_before > expected.events && (expected.known || !damaged);
  out.push_back(loss(head, expected.time_ns, head.base_ns, countable ? head.events_before - expected.events : 0,
                     damaged ? kFileDamaged : kRingFull));
}

// How many nested events with a number in [since, until) never arrived. `numbers` are those that did, sorted.
std::uint64_t missing_nested(std::span<const std::uint64_t> numbers, std::uint64_t since, std::uint64_t until) {
  if (until <= since) return 0;
  const auto first = std::lower_bound(numbers.begin(), numbers.end(), since);
  const auto last = std::lower_bound(first, numbers.end(), until);
  return until - since - static_cast<std::uint64_t>(last - first);
}

void check_nested(const ChunkRef& chunk, std::uint64_t until, std::span<const std::uint64_t> numbers,
                  const Position& expected, std::vector<LossEvent>& out) {
  const std::uint64_t missing = missing_nested(numbers, expected.nested, until);
  const bool damaged = chunk.damage_before != expected.damage;
  if (missing == 0 || (damaged && !expected.known)) return;
  out.push_back(
      loss(*chunk.head, expected.time_ns, chunk.head->last_ns, missing, damaged ? kFileDamaged : kNestedLost));
}

std::vector<std::uint64_t> nested_numbers(std::span<const ChunkRef> nested) {
  std::vector<std::uint64_t> numbers;
  for (const auto& chunk : nested) numbers.push_back(chunk.head->nested_before);
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

// An ordinary chunk says how many nested events there were until it left; the nested chunks after the last one can only
// be compared with each other.
void check_lane(std::span<const ChunkRef> ordinary, std::span<const ChunkRef> nested, Position at,
                std::vector<LossEvent>& out) {
  const auto numbers = nested_numbers(nested);
  for (const auto& chunk : ordinary) {
    const kf_chunk& head = *chunk.head;
    check_numbers(chunk, at, out);
    check_nested(chunk, head.nested_before, numbers, at, out);
    at = {true,         head.seq + 1,       head.events_before + head.n_events, std::max(at.nested, head.nested_before),
          head.last_ns, chunk.damage_before};
  }
  if (!numbers.empty()) check_nested(nested.back(), numbers.back(), numbers, at, out);
}

}  // namespace

std::uint64_t sort_by_lane(std::vector<ChunkRef>& chunks, std::span<const kf_base_lane> lanes) {
  // Numbers wrap, so they are ordered by their distance from one of the lane: the one that is due next, or the first
  // seen.
  std::vector<std::uint64_t> origin(kLanes, ~0ull);
  for (const auto& base : lanes)
    if (base.known) origin[place(base.lane)] = base.next_seq;
  for (const auto& chunk : chunks)
    if (auto& first = origin[place(chunk.head->lane)]; !is_nested(*chunk.head) && first == ~0ull)
      first = chunk.head->seq;

  const auto key = [&](const ChunkRef& chunk) {
    const kf_chunk& head = *chunk.head;
    const auto distance = static_cast<std::uint32_t>(head.seq - origin[place(head.lane)] + 0x80000000u);
    return std::tuple(head.lane, is_nested(head), is_nested(head) ? head.last_ns : std::uint64_t{distance});
  };
  std::stable_sort(chunks.begin(), chunks.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  const auto repeated = std::unique(chunks.begin(), chunks.end(), [](const ChunkRef& a, const ChunkRef& b) {
    return same_source(a, b) && !is_nested(*a.head) && a.head->seq == b.head->seq;
  });
  const auto duplicates = static_cast<std::uint64_t>(chunks.end() - repeated);
  chunks.erase(repeated, chunks.end());
  return duplicates;
}

std::vector<LossEvent> find_losses(std::span<const ChunkRef> sorted, std::span<const kf_base_lane> lanes) {
  const BaseLanes base(lanes);
  std::vector<LossEvent> losses;
  while (!sorted.empty()) {
    const auto of_lane = [&, lane = sorted.front().head->lane](const ChunkRef& c) { return c.head->lane == lane; };
    const auto whole = sorted.first(
        static_cast<std::size_t>(std::partition_point(sorted.begin(), sorted.end(), of_lane) - sorted.begin()));
    const auto ordinary = whole.first(static_cast<std::size_t>(
        std::find_if(whole.begin(), whole.end(), [](const ChunkRef& c) { return is_nested(*c.head); }) -
        whole.begin()));
    check_lane(ordinary, whole.subspan(ordinary.size()), base.before(whole.front().head->lane), losses);
    sorted = sorted.subspan(whole.size());
  }
  std::stable_sort(losses.begin(), losses.end(), [](const auto& a, const auto& b) { return a.ts_ns < b.ts_ns; });
  return losses;
}

}  // namespace kflight::dump
