// SPDX-License-Identifier: Apache-2.0
//
// append_resolution.cpp - a dump written while a call was still in flight learns later how the call ended: a RESOLUTION
// section, a new index and a new trailer go behind the old trailer. The old bytes are never touched, so whatever fails
// here, cutting the file at its old size restores it.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "base/errors.hpp"
#include "base/sinks.hpp"
#include "dump/section.hpp"
#include "dump/writer.hpp"

namespace kflight::dump {

namespace {

constexpr const char* kNothingAppended = "nothing was appended";

bool read_at(int fd, std::uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return true;
}

template <class T>
std::optional<T> read_struct(int fd, std::uint64_t offset) {
  T value;
  if (!read_at(fd, offset, std::as_writable_bytes(std::span{&value, 1}))) return std::nullopt;
  return value;
}

// The index a complete dump ends with; nothing when the file is no complete dump of this version.
std::optional<std::vector<kf_index_entry>> read_index(int fd, std::uint64_t file_bytes) {
  if (file_bytes < sizeof(kf_dump_header) + sizeof(kf_section) + sizeof(kf_trailer)) return std::nullopt;
  const auto header = read_struct<kf_dump_header>(fd, 0);
  if (!header || header->magic != KF_DUMP_MAGIC || !checksum_holds(*header)) return std::nullopt;
  if (header->version_major != KF_DUMP_VERSION_MAJOR) return std::nullopt;
  const auto trailer = read_struct<kf_trailer>(fd, file_bytes - sizeof(kf_trailer));
  if (!trailer || !is_trailer(*trailer) || trailer->file_bytes != file_bytes) return std::nullopt;
  const auto section = read_struct<kf_section>(fd, trailer->index_offset);
  if (!section || !is_section_header(*section) || section->kind != KF_SEC_INDEX) return std::nullopt;
  if (!sizes_allowed(*section) || section->flags != 0 || section->raw_bytes % sizeof(kf_index_entry) != 0)
    return std::nullopt;
  std::vector<kf_index_entry> index(section->raw_bytes / sizeof(kf_index_entry));
  const auto bytes = std::as_writable_bytes(std::span{index});
  if (!read_at(fd, trailer->index_offset + sizeof(kf_section), bytes)) return std::nullopt;
  if (checksum(bytes) != section->checksum) return std::nullopt;
  return index;
}

Result<> append_bytes(int fd, std::uint64_t old_bytes, std::span<const std::byte> bytes, const std::string& path) {
  if (::lseek(fd, static_cast<off_t>(old_bytes), SEEK_SET) < 0) return errno_error(errno, "cannot seek in " + path);
  KF_TRY(write_all(fd, bytes, path));
  if (::fsync(fd) != 0) return errno_error(errno, fmt::format("cannot bring '{}' to disk", path));
  return Ok{};
}

}  // namespace

Result<> append_resolution(const std::string& path, std::span<const kf_ctl> resolved) {
  const auto tried = fmt::format("cannot append a resolution to '{}'", path);
  UniqueFd file{::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return errno_error(errno, tried, kNothingAppended);
  if (!S_ISREG(status.st_mode)) return Error{Errc::kUsage, tried + ": it is not a regular file"};
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0)
    return Error{Errc::kBusy, tried + ": another process is appending to it; try again"};
  if (::fstat(file.get(), &status) != 0)
    return errno_error(errno, tried, kNothingAppended);  // it may have grown before the lock
  const auto old_bytes = static_cast<std::uint64_t>(status.st_size);
  auto index = read_index(file.get(), old_bytes);
  if (!index) return Error{Errc::kDamaged, tried + ": it is no complete kflight dump; nothing was appended"};

  MemorySink added;
  SectionWriter sections(added, kDefaultZstdLevel, old_bytes, std::move(*index));
  KF_TRY(sections.write_section(KF_SEC_RESOLUTION, std::as_bytes(resolved)));
  KF_TRY(sections.write_index_and_trailer());
  auto appended = append_bytes(file.get(), old_bytes, added.bytes(), path);
  if (!appended && ::ftruncate(file.get(), static_cast<off_t>(old_bytes)) != 0)
    appended.error().what += fmt::format("; and cutting it back failed: {}", errno_text(errno));
  return appended;
}

}  // namespace kflight::dump
