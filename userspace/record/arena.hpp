// SPDX-License-Identifier: Apache-2.0
//
// arena.hpp - the memory of the window: one flat mapping cut into segments of one size. As many segments as max_bytes
// holds are the window's; as many again are address space only, taken while a dump keeps old segments from being reused
// and given back to the system afterwards. The mapping is of a WindowFile, so that it outlives the recorder, or else of
// memory that nobody else sees. Single-threaded: the window's lock covers it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mapping.hpp"
#include "kflight/result.hpp"
#include "record/window_file.hpp"

namespace kflight::record {

class Arena {
 public:
  using SegmentId = std::uint32_t;

  static constexpr std::uint64_t kSmallestBytes = 64 << 10;
  // kUsage below kSmallestBytes. `file`: the path of the WindowFile to make; empty: none. With one, the memory of the
  // window's segments is reserved here.
  static Result<Arena> create(std::uint64_t max_bytes, const std::string& file = {});

  std::size_t segment_bytes() const noexcept { return segment_bytes_; }
  // That each chunk takes at its segment's end.
  std::size_t bytes_per_chunk() const noexcept { return file_ ? WindowFile::kBytesPerChunk : 0; }
  std::size_t window_segments() const noexcept { return window_segments_; }  // segment_bytes() times this <= max_bytes
  std::size_t total_segments() const noexcept { return touched_.size(); }
  std::size_t segments_in_use() const noexcept { return touched_.size() - hot_.size() - cold_.size(); }

  std::span<std::byte> segment(SegmentId id) noexcept {
    return mapping_.writable_bytes().subspan(id * segment_bytes_, segment_bytes_);
  }

  // Never allocates. One with memory behind it first.
  std::optional<SegmentId> take() noexcept;
  // A chunk is written, behind those committed since the segment was taken.
  void commit(SegmentId id, std::span<const std::byte> chunk) noexcept {
    if (file_) file_->commit(id, segment(id), chunk);
  }
  WindowFile* file() noexcept { return file_.get(); }  // null: there is none
  void give_back(SegmentId id) noexcept { hot_.push_back(id); }

  // Giving memory back to the system: while more segments have memory than the window may use, take a free one of
  // them, drop its pages (a system call: without the lock), and give it back as cold.
  std::optional<SegmentId> take_surplus() noexcept;
  static void drop_pages(std::span<std::byte> segment) noexcept;
  void give_back_cold(SegmentId id) noexcept;

 private:
  Arena(std::unique_ptr<WindowFile> file, Mapping mapping, std::size_t segment_bytes, std::size_t window_segments);

  std::unique_ptr<WindowFile> file_;
  Mapping mapping_;
  std::size_t segment_bytes_;
  std::size_t window_segments_;
  std::vector<bool> touched_;  // by segment: has memory behind it
  std::size_t touched_count_ = 0;
  std::vector<SegmentId> hot_;   // free, touched; the last one given back is the next one taken
  std::vector<SegmentId> cold_;  // free, untouched
};

}  // namespace kflight::record
