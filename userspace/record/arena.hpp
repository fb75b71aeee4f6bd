// SPDX-License-Identifier: Apache-2.0
//
// arena.hpp - the memory of the window: one flat mapping cut into segments of one size. As many segments as max_bytes
// holds are the window's; as many again are address space only, taken while a dump keeps old segments from being reused
// and given back to the system afterwards. Single-threaded: the window's lock covers it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/mapping.hpp"
#include "kflight/result.hpp"

namespace kflight::record {

class Arena {
 public:
  using SegmentId = std::uint32_t;

  static constexpr std::uint64_t kSmallestBytes = 64 << 10;
  // kUsage below kSmallestBytes.
  static Result<Arena> create(std::uint64_t max_bytes);

  std::size_t segment_bytes() const noexcept { return segment_bytes_; }
  std::size_t window_segments() const noexcept { return window_segments_; }  // segment_bytes() times this <= max_bytes
  std::size_t total_segments() const noexcept { return touched_.size(); }
  std::size_t segments_in_use() const noexcept { return touched_.size() - hot_.size() - cold_.size(); }

  std::span<std::byte> segment(SegmentId id) noexcept {
    return mapping_.writable_bytes().subspan(id * segment_bytes_, segment_bytes_);
  }

  // Never allocates. One with memory behind it first.
  std::optional<SegmentId> take() noexcept;
  void give_back(SegmentId id) noexcept { hot_.push_back(id); }

  // Giving memory back to the system: while more segments have memory than the window may use, take a free one of
  // them, drop its pages (a system call: without the lock), and give it back as cold.
  std::optional<SegmentId> take_surplus() noexcept;
  static void drop_pages(std::span<std::byte> segment) noexcept;
  void give_back_cold(SegmentId id) noexcept;

 private:
  Arena(Mapping mapping, std::size_t segment_bytes, std::size_t window_segments);

  Mapping mapping_;
  std::size_t segment_bytes_;
  std::size_t window_segments_;
  std::vector<bool> touched_;  // by segment: has memory behind it
  std::size_t touched_count_ = 0;
  std::vector<SegmentId> hot_;   // free, touched; the last one given back is the next one taken
  std::vector<SegmentId> cold_;  // free, untouched
};

}  // namespace kflight::record
