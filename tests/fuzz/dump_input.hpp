// SPDX-License-Identifier: Apache-2.0
//
// dump_input.hpp - a dump file out of a fuzzer's bytes, with checksums that hold, so that mutations reach what lies
// behind them. The bytes are parts, each behind the four bytes "KFCS": a byte for the section's kind, one for how to
// store it (kStore...), then the payload. A part of kind kEventsPart is a program for ChunkBuilder instead: chunks with
// sound headers, whose events are anything. Bytes that begin like a dump are the file themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kflight::fuzz {

inline constexpr std::uint8_t kEventsPart = 0x80;
inline constexpr std::uint8_t kCutPart = 0x81;     // the file ends so many bytes early: u16
inline constexpr std::uint8_t kWindowPart = 0x82;  // metadata with a window of u32 us, and a trigger's call

inline constexpr std::uint8_t kStorePlain = 0;       // as the writer does it
inline constexpr std::uint8_t kStoreAsZstd = 1;      // the payload claims to be a zstd frame
inline constexpr std::uint8_t kStoreBadVersion = 2;  // layout 2
inline constexpr std::uint8_t kStoreBadChecksum = 4;

std::vector<std::byte> dump_file_of(const std::uint8_t* data, std::size_t size);

}  // namespace kflight::fuzz
