// SPDX-License-Identifier: Apache-2.0
//
// unpack.cpp - zstd behind bounds: the output buffer is exactly as large as the header says.
#include "dump/unpack.hpp"

#include <fmt/format.h>
#include <zstd.h>

#include <cstring>

#include "dump/section.hpp"

namespace kflight::dump {

namespace {

bool is_aligned(const std::byte* data) { return reinterpret_cast<std::uintptr_t>(data) % alignof(kf_u64) == 0; }

}  // namespace

void Unpacker::FreeContext::operator()(ZSTD_DCtx_s* context) const noexcept { ZSTD_freeDCtx(context); }

Unpacker::Unpacker() : context_(ZSTD_createDCtx()) {}
Unpacker::~Unpacker() = default;

Result<Payload> Unpacker::unpack(const kf_section& header, std::span<const std::byte> stored) {
  const auto* name = section_name(header.kind);
  if (checksum(stored) != header.checksum)
    return Error{Errc::kDamaged, fmt::format("the {} section's checksum does not hold; it is left out", name)};
  if (header.version != kSectionVersion || (header.flags & ~KF_SECTION_ZSTD) != 0)
    return Error{
        Errc::kUnsupported,
        fmt::format("the {} section has layout {} (flags {:#x}), which this version cannot read; it is left out, "
                    "a newer kflight may know it",
                    name, header.version, header.flags)};
  const bool compressed = header.flags & KF_SECTION_ZSTD;
  if (!compressed && is_aligned(stored.data())) return Payload{stored, nullptr};
  auto owned = std::make_unique_for_overwrite<std::byte[]>(header.raw_bytes);
  const std::span<const std::byte> raw{owned.get(), header.raw_bytes};
  if (!compressed) {
    std::memcpy(owned.get(), stored.data(), stored.size());
    return Payload{raw, std::move(owned)};
  }
  const auto size = context_
                        ? ZSTD_decompressDCtx(context_.get(), owned.get(), raw.size(), stored.data(), stored.size())
                        : ZSTD_CONTENTSIZE_ERROR;
  if (size != raw.size())
    return Error{Errc::kDamaged,
                 fmt::format("the {} section does not decompress to the {} bytes it promises; it is left out", name,
                             raw.size())};
  return Payload{raw, std::move(owned)};
}

}  // namespace kflight::dump
