// SPDX-License-Identifier: Apache-2.0
//
// section_walk.cpp - the frame, read by memcpy: the file need not be aligned.
#include "dump/section_walk.hpp"

#include <algorithm>
#include <cstring>

#include "dump/section.hpp"

namespace kflight::dump {

namespace {

template <class T>
bool copy_at(std::span<const std::byte> file, std::uint64_t offset, T& out) noexcept {
  if (offset > file.size() || file.size() - offset < sizeof out) return false;
  std::memcpy(&out, file.data() + offset, sizeof out);
  return true;
}

}  // namespace

bool SectionWalk::section_header_at(std::uint64_t offset, kf_section& out) const noexcept {
  return copy_at(file_, offset, out) && is_section_header(out);
}

// A trailer names its own end, so a copy of one inside a payload does not count.
bool SectionWalk::trailer_at(std::uint64_t offset, kf_trailer& out) const noexcept {
  return copy_at(file_, offset, out) && is_trailer(out) && out.file_bytes == offset + sizeof out;
}

SectionWalk::Found SectionWalk::next() {
  offset_ = next_;
  if (offset_ >= file_.size()) return Found::kEnd;
  if (section_header_at(offset_, header_)) return take_section();
  if (trailer_at(offset_, trailer_)) {
    next_ = offset_ + sizeof trailer_;
    return Found::kTrailer;
  }
  const auto end = next_header_after(offset_);
  return take_damage(end,
                     end == file_.size() ? "no section from here to the end of the file" : "no section header here");
}

SectionWalk::Found SectionWalk::take_section() noexcept {
  const auto payload = offset_ + sizeof header_;
  const auto left = file_.size() - payload;
  if (!sizes_allowed(header_))
    return take_damage(next_header_after(offset_), "a section header claims sizes that no dump may have");
  if (header_.stored_bytes > left) return take_damage(file_.size(), "the file ends inside a section");
  stored_ = file_.subspan(payload, header_.stored_bytes);
  next_ = payload + std::min<std::uint64_t>(padded_to_8(header_.stored_bytes), left);
  return Found::kSection;
}

SectionWalk::Found SectionWalk::take_damage(std::uint64_t end, const char* problem) noexcept {
  next_ = end;
  problem_ = problem;
  return Found::kDamage;
}

std::uint64_t SectionWalk::next_header_after(std::uint64_t offset) const noexcept {
  kf_section header;
  kf_trailer trailer;
  for (auto at = padded_to_8(offset + 1); at < file_.size(); at += 8)
    if (section_header_at(at, header) || trailer_at(at, trailer)) return at;
  return file_.size();
}

}  // namespace kflight::dump
