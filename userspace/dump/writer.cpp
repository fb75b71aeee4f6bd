// SPDX-License-Identifier: Apache-2.0
//
// writer.cpp - cuts what a dump holds into sections. append_resolution is in append_resolution.cpp.
#include "dump/writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "dump/meta.hpp"
#include "dump/section.hpp"

namespace kflight::dump {

namespace {

// Bytes of the chunk at the start of `bytes`; 0 when it does not fit.
std::size_t chunk_size(std::span<const std::byte> bytes) {
  kf_chunk head;
  if (bytes.size() < sizeof head) return 0;
  std::memcpy(&head, bytes.data(), sizeof head);
  const auto size = sizeof head + head.n_words * sizeof(kf_u64);
  return head.magic == KF_CHUNK_MAGIC && size <= bytes.size() ? size : 0;
}

}  // namespace

DumpWriter::DumpWriter(ByteSink& sink, int zstd_level) : sections_(sink, zstd_level) {}

Result<> DumpWriter::begin(std::uint64_t created_ns) {
  const auto header = make_file_header(created_ns);
  return sections_.write_plain(std::as_bytes(std::span{&header, 1}));
}

Result<> DumpWriter::schema(std::string_view json) {
  return sections_.write_section(KF_SEC_SCHEMA, std::as_bytes(std::span{json}));
}

Result<> DumpWriter::meta(const DumpMeta& meta) {
  const auto json = to_json(meta);
  return sections_.write_section(KF_SEC_META, std::as_bytes(std::span{json}));
}

// Long tables become several sections, whose records a reader joins.
template <class Record>
Result<> DumpWriter::table(std::uint16_t kind, std::span<const Record> records) {
  constexpr std::size_t kRecordsPerSection = kTargetSectionBytes / sizeof(Record);
  while (!records.empty()) {
    const auto part = records.first(std::min(records.size(), kRecordsPerSection));
    KF_TRY(sections_.write_section(kind, std::as_bytes(part)));
    records = records.subspan(part.size());
  }
  return Ok{};
}

Result<> DumpWriter::tasks(std::span<const kf_task> tasks) { return table(KF_SEC_TASKS, tasks); }

Result<> DumpWriter::base(std::span<const kf_base_task> tasks, std::span<const kf_base_lane> lanes) {
  KF_TRY(table(KF_SEC_BASE_TASKS, tasks));
  return table(KF_SEC_BASE_LANES, lanes);
}

Result<> DumpWriter::open_calls(std::span<const kf_open_call> calls) { return table(KF_SEC_INFLIGHT, calls); }
Result<> DumpWriter::losses(std::span<const kf_loss> losses) { return table(KF_SEC_TABLE_LOSSES, losses); }
Result<> DumpWriter::resolution(std::span<const kf_ctl> resolved) { return table(KF_SEC_RESOLUTION, resolved); }

Result<> DumpWriter::blob(std::uint16_t kind, const RecordBlob& records) {
  for (std::size_t next = 0; next < records.count();)
    KF_TRY(sections_.write_section(kind, records.part(next, kTargetSectionBytes)));
  return Ok{};
}

Result<> DumpWriter::stacks(const RecordBlob& stacks) { return blob(KF_SEC_STACKS, stacks); }
Result<> DumpWriter::kernel_symbols(const RecordBlob& symbols) { return blob(KF_SEC_KERNEL_SYMBOLS, symbols); }
Result<> DumpWriter::fd_links(const RecordBlob& links) { return blob(KF_SEC_FD_LINKS, links); }
Result<> DumpWriter::base_stacks(std::span<const kf_base_stack> stacks) { return table(KF_SEC_BASE_STACKS, stacks); }
Result<> DumpWriter::mappings(std::span<const kf_mapping> mappings, const RecordBlob& files) {
  KF_TRY(table(KF_SEC_MAPPINGS, mappings));
  return blob(KF_SEC_FILES, files);
}
Result<> DumpWriter::vdso(std::span<const std::byte> image) {
  return image.empty() ? Result<>(Ok{}) : sections_.write_section(KF_SEC_VDSO, image);
}

Result<> DumpWriter::chunk_bytes(std::span<const std::byte> chunks) {
  chunks_.reserve(kTargetSectionBytes);
  while (!chunks.empty()) {
    const auto size = chunk_size(chunks);
    if (size == 0)
      return Error{Errc::kInternal, fmt::format("cannot write chunks: the last {} bytes are no whole chunk; this is a "
                                                "bug of kflight, please report it",
                                                chunks.size())};
    if (chunks_.size() + size > kTargetSectionBytes) KF_TRY(flush_chunks());
    const auto chunk = chunks.first(size);
    chunks_.insert(chunks_.end(), chunk.begin(), chunk.end());
    chunks = chunks.subspan(size);
  }
  return Ok{};
}

Result<> DumpWriter::flush_chunks() {
  if (chunks_.empty()) return Ok{};
  auto written = sections_.write_section(KF_SEC_CHUNKS, chunks_);
  chunks_.clear();
  return written;
}

Result<std::uint64_t> DumpWriter::finish() {
  KF_TRY(flush_chunks());
  return sections_.write_index_and_trailer();
}

}  // namespace kflight::dump
