// SPDX-License-Identifier: Apache-2.0
//
// mapping.cpp - mmap behind RAII, with every failure named.
#include "base/mapping.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/errors.hpp"
#include "base/unique_fd.hpp"

namespace kflight {

Result<Mapping> Mapping::map_file(const std::string& path) {
  const auto tried = [&] { return fmt::format("cannot read '{}'", path); };
  UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (!fd) return errno_error(errno, tried());
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return errno_error(errno, tried());
  if (!S_ISREG(status.st_mode))
    return Error{Errc::kUsage, tried() + ": it is not a regular file; name a file on disk, not a directory or pipe"};
  if (status.st_size == 0) return Mapping{};  // mmap refuses an empty range
  const auto size = static_cast<std::size_t>(status.st_size);
  void* start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (start == MAP_FAILED) return errno_error(errno, fmt::format("cannot map {} bytes of '{}'", size, path));
  return Mapping{static_cast<std::byte*>(start), size};
}

Result<Mapping> Mapping::anonymous(std::size_t bytes) {
  void* start = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED)
    return errno_error(errno, fmt::format("cannot reserve {} bytes of memory", bytes), "ask for less");
  return Mapping{static_cast<std::byte*>(start), bytes};
}

namespace {

Result<void*> map_shared(int fd, std::size_t offset, std::size_t bytes, int access, const std::string& what) {
  void* start = ::mmap(nullptr, bytes, access, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (start == MAP_FAILED) return errno_error(errno, "cannot map " + what);
  return start;
}

}  // namespace

Result<Mapping> Mapping::shared(int fd, std::size_t offset, std::size_t bytes, const std::string& what) {
  KF_TRY_ASSIGN(void* const start, map_shared(fd, offset, bytes, PROT_READ, what));
  return Mapping(static_cast<std::byte*>(start), bytes);
}

Result<Mapping> Mapping::shared_writable(int fd, std::size_t offset, std::size_t bytes, const std::string& what) {
  KF_TRY_ASSIGN(void* const start, map_shared(fd, offset, bytes, PROT_READ | PROT_WRITE, what));
  return Mapping(static_cast<std::byte*>(start), bytes);
}

Mapping::Mapping(Mapping&& other) noexcept
    : start_(std::exchange(other.start_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(start_, other.start_);
  std::swap(size_, other.size_);
  return *this;
}

Mapping::~Mapping() {
  if (start_) ::munmap(start_, size_);
}

}  // namespace kflight
