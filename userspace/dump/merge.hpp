// SPDX-License-Identifier: Apache-2.0
//
// merge.hpp - in which order did things happen: one stream of events out of all CPUs' chunks.
//
// Each lane is a source in its own chunk order, its nested chunks are a second one, and a heap picks the earliest
// event. Within a lane the order of chunks and words is the truth, so times are held non-decreasing there; between
// lanes equal times are ordered by what can cause what. Holes in the numbering become LossEvents. Input is untrusted:
// any chunks in any order end in a finite stream, non-decreasing in time, with memory in proportion to the number of
// chunks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dump/decoder.hpp"
#include "kflight/dump_format.h"
#include "kflight/event.hpp"

namespace kflight::dump {

struct ChunkRef {
  const kf_chunk* head = nullptr;
  std::span<const kf_u64> words;
  // Damaged parts of the file in front of this chunk, so far. A hole between two chunks that disagree is the file's.
  std::uint32_t damage_before = 0;
};

class Merger {
 public:
  // `lanes` says what precedes a lane's first chunk; one that is not in it begins with the recording. Chunks must
  // outlive the merger, `lanes` need not.
  Merger(std::vector<ChunkRef> in_arrival_order, std::span<const kf_base_lane> lanes);
  Merger(Merger&&) noexcept = default;
  Merger& operator=(Merger&&) noexcept = default;

  bool next(Event& out);

  // Chunks left out because their lane already had one of the same number. Never in a file kflight wrote.
  std::uint64_t duplicate_chunks() const noexcept { return duplicates_; }

 private:
  struct Source {
    const ChunkRef* upcoming;
    const ChunkRef* end;
    const kf_chunk* open = nullptr;
    ChunkCursor cursor{};
    std::uint64_t floor_ns = 0;  // time of the event held
    Event event{};               // the one to be handed out next
  };
  struct Entry {
    std::uint64_t ts_ns;
    std::uint32_t tie;  // rank, lane, nested
    std::uint32_t source;
    bool before(const Entry& other) const noexcept {
      return ts_ns != other.ts_ns ? ts_ns < other.ts_ns : tie < other.tie;
    }
  };

  bool advance(Source& source) noexcept;
  Entry entry_of(std::uint32_t source) const noexcept;
  void sift_down(std::size_t at) noexcept;

  std::vector<ChunkRef> chunks_;  // by lane, ordinary before nested, each in its own order
  std::vector<Source> sources_;
  std::vector<Entry> heap_;
  std::vector<LossEvent> losses_;  // by time
  std::size_t next_loss_ = 0;
  std::uint64_t duplicates_ = 0;
};

}  // namespace kflight::dump
