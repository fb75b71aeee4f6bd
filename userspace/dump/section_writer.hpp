// SPDX-License-Identifier: Apache-2.0
//
// section_writer.hpp - one section after another into a sink: compress, checksum, remember for the index. Never seeks,
// and allocates only for a section larger than all before it. After an error it writes nothing more and repeats the
// error, so no trailer can follow a hole.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kflight/byte_sink.hpp"
#include "kflight/dump_format.h"

struct ZSTD_CCtx_s;

namespace kflight::dump {

class SectionWriter {
 public:
  // `offset` and `index` say what stands in the file before the sink's first byte.
  SectionWriter(ByteSink& sink, int zstd_level, std::uint64_t offset = 0, std::vector<kf_index_entry> index = {});
  ~SectionWriter();
  SectionWriter(const SectionWriter&) = delete;
  SectionWriter& operator=(const SectionWriter&) = delete;

  Result<> write_plain(std::span<const std::byte> bytes);  // bytes outside of any section
  Result<> write_section(std::uint16_t kind, std::span<const std::byte> raw);
  Result<std::uint64_t> write_index_and_trailer();  // the file's size

 private:
  std::optional<std::size_t> compress(std::span<const std::byte> raw);

  struct FreeContext {
    void operator()(ZSTD_CCtx_s* context) const noexcept;
  };

  ByteSink& sink_;
  std::uint64_t offset_;
  std::vector<kf_index_entry> index_;
  std::unique_ptr<ZSTD_CCtx_s, FreeContext> context_;
  std::vector<std::byte> frame_;  // section header, payload, padding: one write
  std::optional<Error> error_;
};

}  // namespace kflight::dump
