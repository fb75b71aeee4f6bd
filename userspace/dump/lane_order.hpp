// SPDX-License-Identifier: Apache-2.0
//
// lane_order.hpp - which chunks belong together and which are missing: sorts a dump's chunks by lane and number and
// finds the holes in the numbering. Works on headers only, before any event is decoded. Headers are untrusted.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dump/merge.hpp"

namespace kflight::dump {

// Sorts by lane, ordinary chunks before nested ones; ordinary chunks by number (which wraps), nested ones by time.
// Removes ordinary chunks whose number their lane already has, and returns how many.
std::uint64_t sort_by_lane(std::vector<ChunkRef>& chunks, std::span<const kf_base_lane> lanes);

inline bool is_nested(const kf_chunk& head) { return (head.flags & KF_CHUNK_NESTED) != 0; }
inline bool same_source(const ChunkRef& a, const ChunkRef& b) {
  return a.head->lane == b.head->lane && is_nested(*a.head) == is_nested(*b.head);
}

// What the numbers of sorted chunks say is missing, by time.
std::vector<LossEvent> find_losses(std::span<const ChunkRef> sorted, std::span<const kf_base_lane> lanes);

}  // namespace kflight::dump
