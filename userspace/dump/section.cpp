// SPDX-License-Identifier: Apache-2.0
//
// section.cpp - checksums and limits of the dump's frame. Every structure ends in the checksum of what precedes it.
#include "dump/section.hpp"

#include <xxhash.h>

#include <cstddef>

namespace kflight::dump {

namespace {

std::uint64_t checksum_before(const void* start, std::size_t checksum_offset) {
  return XXH64(start, checksum_offset, 0);
}

std::uint64_t checksum_of(const kf_dump_header& h) { return checksum_before(&h, offsetof(kf_dump_header, checksum)); }
std::uint64_t checksum_of(const kf_section& h) { return checksum_before(&h, offsetof(kf_section, header_checksum)); }
std::uint64_t checksum_of(const kf_trailer& t) { return checksum_before(&t, offsetof(kf_trailer, checksum)); }

}  // namespace

std::uint64_t checksum(std::span<const std::byte> bytes) { return XXH64(bytes.data(), bytes.size(), 0); }
std::uint64_t fast_checksum(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

kf_dump_header make_file_header(std::uint64_t created_ns) {
  kf_dump_header header{};
  header.magic = KF_DUMP_MAGIC;
  header.version_major = KF_DUMP_VERSION_MAJOR;
  header.version_minor = KF_DUMP_VERSION_MINOR;
  header.wire_version = KF_WIRE_VERSION;
  header.header_bytes = sizeof header;
  header.created_ns = created_ns;
  header.checksum = checksum_of(header);
  return header;
}

bool checksum_holds(const kf_dump_header& header) { return header.checksum == checksum_of(header); }

kf_section make_section_header(std::uint16_t kind, std::uint32_t flags, std::span<const std::byte> stored,
                               std::uint64_t raw_bytes) {
  kf_section header{};
  header.magic = KF_SECTION_MAGIC;
  header.kind = kind;
  header.version = kSectionVersion;
  header.flags = flags;
  header.stored_bytes = stored.size();
  header.raw_bytes = raw_bytes;
  header.checksum = checksum(stored);
  header.header_checksum = checksum_of(header);
  return header;
}

bool is_section_header(const kf_section& header) {
  return header.magic == KF_SECTION_MAGIC && header.header_checksum == checksum_of(header);
}

bool sizes_allowed(const kf_section& header) {
  if (header.raw_bytes > kMaxSectionBytes || header.stored_bytes > kMaxSectionBytes) return false;
  if (!(header.flags & KF_SECTION_ZSTD)) return header.raw_bytes == header.stored_bytes;
  return header.raw_bytes <= header.stored_bytes * kMaxExpansion;
}

kf_trailer make_trailer(std::uint64_t index_offset, std::uint64_t file_bytes) {
  kf_trailer trailer{};
  trailer.magic = KF_TRAILER_MAGIC;
  trailer.index_offset = index_offset;
  trailer.file_bytes = file_bytes;
  trailer.checksum = checksum_of(trailer);
  return trailer;
}

bool is_trailer(const kf_trailer& trailer) {
  return trailer.magic == KF_TRAILER_MAGIC && trailer.checksum == checksum_of(trailer);
}

const char* section_name(std::uint16_t kind) {
  switch (kind) {
    case KF_SEC_SCHEMA:
      return "schema";
    case KF_SEC_META:
      return "metadata";
    case KF_SEC_TASKS:
      return "tasks";
    case KF_SEC_BASE_TASKS:
      return "base tasks";
    case KF_SEC_BASE_LANES:
      return "base lanes";
    case KF_SEC_CHUNKS:
      return "chunks";
    case KF_SEC_STACKS:
      return "stacks";
    case KF_SEC_MAPPINGS:
      return "mappings";
    case KF_SEC_INFLIGHT:
      return "in-flight calls";
    case KF_SEC_RESOLUTION:
      return "resolution";
    case KF_SEC_INDEX:
      return "index";
    case KF_SEC_TABLE_LOSSES:
      return "losses";
    case KF_SEC_FILES:
      return "files";
    case KF_SEC_KERNEL_SYMBOLS:
      return "kernel symbols";
    case KF_SEC_VDSO:
      return "vdso";
    case KF_SEC_BASE_STACKS:
      return "base stacks";
    case KF_SEC_FD_LINKS:
      return "descriptors";
    default:
      return "unknown";
  }
}

}  // namespace kflight::dump
