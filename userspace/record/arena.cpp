// SPDX-License-Identifier: Apache-2.0
//
// arena.cpp - two stacks of free segments over one mapping.
#include "record/arena.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>

#include "base/units.hpp"

namespace kflight::record {

namespace {

// A 256th of the window is evicted at a time, within what is sensible for copying and for the page tables.
constexpr std::uint64_t kSegmentsWanted = 256;
constexpr std::uint64_t kSmallestSegment = 8 << 10, kLargestSegment = 1 << 20;

}  // namespace

Result<Arena> Arena::create(std::uint64_t max_bytes, const std::string& file) {
  if (max_bytes < kSmallestBytes)
    return Error{Errc::kUsage, fmt::format("cannot keep a window of {}: the smallest is {}; raise max-bytes",
                                           format_bytes(max_bytes), format_bytes(kSmallestBytes))};
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 46;  // half the address space of a process
  if (max_bytes > kLargest)
    return Error{Errc::kUsage, fmt::format("cannot keep a window of {}: the largest is {}; lower max-bytes",
                                           format_bytes(max_bytes), format_bytes(kLargest))};
  const auto segment = std::clamp(std::bit_floor(max_bytes / kSegmentsWanted), kSmallestSegment, kLargestSegment);
  const auto window_segments = max_bytes / segment;
  if (file.empty()) {
    KF_TRY_ASSIGN(auto mapping, Mapping::anonymous(2 * window_segments * segment));
    return Arena(nullptr, std::move(mapping), segment, window_segments);
  }
  KF_TRY_ASSIGN(auto made, WindowFile::create(file, {.segment_bytes = segment,
                                                     .segments = static_cast<std::uint32_t>(2 * window_segments),
                                                     .backed = static_cast<std::uint32_t>(window_segments)}));
  KF_TRY_ASSIGN(auto mapping, made->map_segments());
  return Arena(std::move(made), std::move(mapping), segment, window_segments);
}

Arena::Arena(std::unique_ptr<WindowFile> file, Mapping mapping, std::size_t segment_bytes, std::size_t window_segments)
    : file_(std::move(file)),
      mapping_(std::move(mapping)),
      segment_bytes_(segment_bytes),
      window_segments_(window_segments),
      touched_(2 * window_segments) {
  hot_.reserve(touched_.size());
  cold_.reserve(touched_.size());
  const std::size_t reserved = file_ ? window_segments : 0;
  for (auto id = touched_.size(); id > reserved; --id) cold_.push_back(static_cast<SegmentId>(id - 1));
  for (auto id = reserved; id > 0; --id) {
    hot_.push_back(static_cast<SegmentId>(id - 1));
    touched_[id - 1] = true;
  }
  touched_count_ = reserved;
}

std::optional<Arena::SegmentId> Arena::take() noexcept {
  auto& from = hot_.empty() ? cold_ : hot_;
  if (from.empty()) return std::nullopt;
  const auto id = from.back();
  if (file_ && !touched_[id] && !file_->back(id)) return std::nullopt;
  from.pop_back();
  touched_count_ += !touched_[id];
  touched_[id] = true;
  if (file_) file_->open(id);
  return id;
}

std::optional<Arena::SegmentId> Arena::take_surplus() noexcept {
  if (touched_count_ <= window_segments_ || hot_.empty()) return std::nullopt;
  const auto id = hot_.back();
  hot_.pop_back();
  if (file_) file_->forget(id);
  return id;
}

void Arena::drop_pages(std::span<std::byte> segment) noexcept {
  // The first is for a file, the second for private memory. Neither can fail on a page-aligned part of the mapping it is
  // for; if it did, the memory would merely stay.
  if (::madvise(segment.data(), segment.size(), MADV_REMOVE) != 0)
    ::madvise(segment.data(), segment.size(), MADV_DONTNEED);
}

void Arena::give_back_cold(SegmentId id) noexcept {
  touched_[id] = false;
  --touched_count_;
  cold_.push_back(id);
}

}  // namespace kflight::record
