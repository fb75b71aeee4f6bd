// SPDX-License-Identifier: Apache-2.0
//
// section.hpp - the frame of a .kfr file as writer and reader both see it: headers and trailers made and checked in one
// place, and the limits a valid file keeps. The limits are what lets a reader refuse a hostile file before it spends
// memory on it: no section unpacks to more than kMaxSectionBytes or to more than kMaxExpansion times its stored size.
// What meta.cpp lets metadata hold adds a constant.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kflight/dump_format.h"

namespace kflight::dump {

inline constexpr std::size_t kTargetSectionBytes = 1u << 20;  // a writer begins a new section beyond this
inline constexpr std::size_t kMaxSectionBytes = 16u << 20;    // raw; only metadata is ever larger than the target
inline constexpr std::size_t kMaxExpansion = 64;              // raw bytes per stored byte

// What opening a file, and each EventRange, may allocate at most: this, and so much per byte of the file. The smallest
// records take eight times their raw bytes while a table grows.
inline constexpr std::uint64_t kOpenBytes = 64u << 20;
inline constexpr std::uint64_t kOpenBytesPerFileByte = 8 * kMaxExpansion;

inline constexpr std::uint16_t kSectionVersion = 1;

constexpr std::uint64_t padded_to_8(std::uint64_t bytes) { return (bytes + 7) & ~std::uint64_t{7}; }

std::uint64_t checksum(std::span<const std::byte> bytes);  // XXH64, seed 0
// XXH3: for chunks while they are recorded, where it is several times as fast. Never in a .kfr file.
std::uint64_t fast_checksum(std::span<const std::byte> bytes);

kf_dump_header make_file_header(std::uint64_t created_ns);
bool checksum_holds(const kf_dump_header& header);

kf_section make_section_header(std::uint16_t kind, std::uint32_t flags, std::span<const std::byte> stored,
                               std::uint64_t raw_bytes);
// The header is what a writer put there: magic and checksum. Says nothing about the payload.
bool is_section_header(const kf_section& header);
// The sizes keep the limits above. False for a header that no kflight writes.
bool sizes_allowed(const kf_section& header);

kf_trailer make_trailer(std::uint64_t index_offset, std::uint64_t file_bytes);
bool is_trailer(const kf_trailer& trailer);

// "chunks", "tasks", ...; "unknown" for a kind of a later version.
const char* section_name(std::uint16_t kind);

}  // namespace kflight::dump
