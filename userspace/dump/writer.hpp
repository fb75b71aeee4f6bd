// SPDX-License-Identifier: Apache-2.0
//
// writer.hpp - streams a dump: begin, then any sections in any order, then finish. Memory is two buffers of about 1 MiB
// whatever the window's size; nothing is sought back to, so the sink may be a pipe. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dump/record_blob.hpp"
#include "dump/section_writer.hpp"
#include "kflight/byte_sink.hpp"
#include "kflight/dump.hpp"

namespace kflight::dump {

// Measured in docs/dump-format.md.
inline constexpr int kDefaultZstdLevel = 1;

class DumpWriter {
 public:
  explicit DumpWriter(ByteSink& sink, int zstd_level = kDefaultZstdLevel);

  Result<> begin(std::uint64_t created_ns);  // CLOCK_REALTIME; first of all
  Result<> schema(std::string_view json);
  Result<> meta(const DumpMeta& meta);
  Result<> tasks(std::span<const kf_task> tasks);
  Result<> base(std::span<const kf_base_task> tasks, std::span<const kf_base_lane> lanes);
  // Whole chunks, each a kf_chunk and its words, in arrival order. Call it as often as there are pieces.
  Result<> chunk_bytes(std::span<const std::byte> chunks);
  Result<> open_calls(std::span<const kf_open_call> calls);
  Result<> losses(std::span<const kf_loss> losses);
  Result<> resolution(std::span<const kf_ctl> resolved);
  // Stacks, and what their addresses mean.
  Result<> stacks(const RecordBlob& stacks);
  Result<> base_stacks(std::span<const kf_base_stack> stacks);
  Result<> mappings(std::span<const kf_mapping> mappings, const RecordBlob& files);
  Result<> kernel_symbols(const RecordBlob& symbols);
  Result<> vdso(std::span<const std::byte> image);
  Result<> fd_links(const RecordBlob& links);
  Result<std::uint64_t> finish();  // last of all: index and trailer make the file complete; its size

 private:
  template <class Record>
  Result<> table(std::uint16_t kind, std::span<const Record> records);
  Result<> blob(std::uint16_t kind, const RecordBlob& records);
  Result<> flush_chunks();

  SectionWriter sections_;
  std::vector<std::byte> chunks_;
};

// Adds to a finished file how calls ended that it reports as in flight. When the disk is full the file is as before.
Result<> append_resolution(const std::string& path, std::span<const kf_ctl> resolved);

}  // namespace kflight::dump
