// SPDX-License-Identifier: Apache-2.0
//
// unpack.hpp - a section's payload as it was before it was stored: checksum, then decompression within the limits of
// section.hpp. Nothing is allocated for a payload whose checksum does not hold.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "kflight/dump_format.h"
#include "kflight/result.hpp"

struct ZSTD_DCtx_s;

namespace kflight::dump {

// Raw bytes, aligned for any record; either the file's own or a copy.
struct Payload {
  std::span<const std::byte> bytes;
  std::unique_ptr<std::byte[]> owned;  // null when `bytes` lie in the file
};

class Unpacker {
 public:
  Unpacker();
  ~Unpacker();
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  // `header` is intact and sizes_allowed(); `stored` has header.stored_bytes. The error is kDamaged, or kUnsupported
  // for a layout or flag of a later version.
  Result<Payload> unpack(const kf_section& header, std::span<const std::byte> stored);

 private:
  struct FreeContext {
    void operator()(ZSTD_DCtx_s* context) const noexcept;
  };
  std::unique_ptr<ZSTD_DCtx_s, FreeContext> context_;
};

}  // namespace kflight::dump
