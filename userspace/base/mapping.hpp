// SPDX-License-Identifier: Apache-2.0
//
// mapping.hpp - owns one mmap: a file to read, or anonymous memory. A mapped file that somebody else shortens while it
// is read kills the reader with SIGBUS; dumps are written once under another name, so only a hostile owner can do that.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "kflight/result.hpp"

namespace kflight {

class Mapping {
 public:
  // A whole regular file, read-only. Never blocks: a pipe or device is refused, not opened.
  static Result<Mapping> map_file(const std::string& path);
  // Zeroed private memory, taken page by page when first touched.
  static Result<Mapping> anonymous(std::size_t bytes);

  // Memory behind a descriptor that somebody else writes (a BPF map), read-only. offset is a multiple of the page size.
  static Result<Mapping> shared(int fd, std::size_t offset, std::size_t bytes, const std::string& what);
  // The same for memory that this process writes. Where nothing is behind it yet, the file system may refuse by SIGBUS.
  static Result<Mapping> shared_writable(int fd, std::size_t offset, std::size_t bytes, const std::string& what);

  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  std::span<const std::byte> bytes() const noexcept { return {start_, size_}; }
  // Only of anonymous() and shared_writable(); the others are write-protected.
  std::span<std::byte> writable_bytes() noexcept { return {start_, size_}; }

 private:
  Mapping(std::byte* start, std::size_t size) noexcept : start_(start), size_(size) {}
  std::byte* start_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace kflight
