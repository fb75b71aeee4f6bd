// SPDX-License-Identifier: Apache-2.0
//
// section_writer.cpp - builds each section in one reused buffer and hands it to the sink in one call.
#include "dump/section_writer.hpp"

#include <fmt/format.h>
#include <zstd.h>

#include <cstring>
#include <utility>

#include "dump/section.hpp"

namespace kflight::dump {

namespace {

// Smaller payloads, and those that compress by less than an eighth, are kept as they are: a reader without zstd sees
// them.
constexpr std::size_t kMinCompressBytes = 512;

bool worth_it(std::size_t compressed_bytes, std::size_t raw_bytes) {
  return compressed_bytes <= raw_bytes - raw_bytes / 8 && raw_bytes <= compressed_bytes * kMaxExpansion;
}

}  // namespace

void SectionWriter::FreeContext::operator()(ZSTD_CCtx_s* context) const noexcept { ZSTD_freeCCtx(context); }

SectionWriter::SectionWriter(ByteSink& sink, int zstd_level, std::uint64_t offset, std::vector<kf_index_entry> index)
    : sink_(sink), offset_(offset), index_(std::move(index)), context_(ZSTD_createCCtx()) {
  if (context_) ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, zstd_level);
}

SectionWriter::~SectionWriter() = default;

Result<> SectionWriter::write_plain(std::span<const std::byte> bytes) {
  if (error_) return *error_;
  if (auto written = sink_.write(bytes); !written) {
    error_ = written.error();
    return *error_;
  }
  offset_ += bytes.size();
  return Ok{};
}

// Into frame_, behind the section header. Nothing when the raw bytes are the better choice.
std::optional<std::size_t> SectionWriter::compress(std::span<const std::byte> raw) {
  if (raw.size() < kMinCompressBytes || !context_) return std::nullopt;
  const auto bound = ZSTD_compressBound(raw.size());
  if (frame_.size() < sizeof(kf_section) + bound + 8) frame_.resize(sizeof(kf_section) + bound + 8);
  const auto size = ZSTD_compress2(context_.get(), frame_.data() + sizeof(kf_section), bound, raw.data(), raw.size());
  if (ZSTD_isError(size) || !worth_it(size, raw.size())) return std::nullopt;
  return size;
}

Result<> SectionWriter::write_section(std::uint16_t kind, std::span<const std::byte> raw) {
  if (error_) return *error_;
  if (raw.size() > kMaxSectionBytes)
    return Error{Errc::kInternal,
                 fmt::format("cannot write the {} section: {} bytes are more than the {} a dump allows",
                             section_name(kind), raw.size(), kMaxSectionBytes)};
  const auto compressed = kind == KF_SEC_INDEX ? std::nullopt : compress(raw);
  const auto stored_bytes = compressed.value_or(raw.size());
  const auto frame_bytes = sizeof(kf_section) + padded_to_8(stored_bytes);
  if (frame_.size() < frame_bytes) frame_.resize(frame_bytes);
  auto* payload = frame_.data() + sizeof(kf_section);
  if (!compressed && !raw.empty()) std::memcpy(payload, raw.data(), raw.size());
  std::memset(payload + stored_bytes, 0, frame_bytes - sizeof(kf_section) - stored_bytes);

  const auto header = make_section_header(kind, compressed ? KF_SECTION_ZSTD : 0, {payload, stored_bytes}, raw.size());
  std::memcpy(frame_.data(), &header, sizeof header);
  if (kind != KF_SEC_INDEX) index_.push_back({.offset = offset_, .stored_bytes = stored_bytes, .kind = kind});
  return write_plain(std::span{frame_}.first(frame_bytes));
}

Result<std::uint64_t> SectionWriter::write_index_and_trailer() {
  const auto index_offset = offset_;
  KF_TRY(write_section(KF_SEC_INDEX, std::as_bytes(std::span{index_})));
  const auto trailer = make_trailer(index_offset, offset_ + sizeof(kf_trailer));
  KF_TRY(write_plain(std::as_bytes(std::span{&trailer, 1})));
  return offset_;
}

}  // namespace kflight::dump
