// SPDX-License-Identifier: Apache-2.0
//
// section_walk.hpp - steps through a dump's frame from the front and finds what is there, whatever the bytes are. Needs
// no index: a file cut off or damaged anywhere gives every section whose header is intact. Behind damage it looks for
// the next header at each multiple of 8 bytes; a 64-bit checksum in every header keeps payload bytes from passing for
// one.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kflight/dump_format.h"

namespace kflight::dump {

class SectionWalk {
 public:
  enum class Found { kEnd, kSection, kTrailer, kDamage };

  // `first_offset`: where the file header says that sections begin.
  SectionWalk(std::span<const std::byte> file_untrusted, std::uint64_t first_offset) noexcept
      : file_(file_untrusted), next_(first_offset) {}

  Found next();

  // What the last next() found: its place, and for a section its header and stored payload (checked for neither
  // checksum nor version), for a trailer its content, for damage what is wrong.
  std::uint64_t offset() const noexcept { return offset_; }
  std::uint64_t bytes() const noexcept { return next_ - offset_; }
  const kf_section& header() const noexcept { return header_; }
  std::span<const std::byte> stored() const noexcept { return stored_; }
  const kf_trailer& trailer() const noexcept { return trailer_; }
  const char* problem() const noexcept { return problem_; }

 private:
  bool section_header_at(std::uint64_t offset, kf_section& out) const noexcept;
  bool trailer_at(std::uint64_t offset, kf_trailer& out) const noexcept;
  Found take_section() noexcept;
  Found take_damage(std::uint64_t end, const char* problem) noexcept;
  std::uint64_t next_header_after(std::uint64_t offset) const noexcept;

  std::span<const std::byte> file_;
  std::uint64_t next_;
  std::uint64_t offset_ = 0;
  kf_section header_{};
  kf_trailer trailer_{};
  std::span<const std::byte> stored_;
  const char* problem_ = "";
};

}  // namespace kflight::dump
