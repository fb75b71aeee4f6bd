// SPDX-License-Identifier: Apache-2.0
//
// sinks.hpp - the ByteSinks of everyday use: memory, an open descriptor, and a file that appears under its name only
// when it is whole. Not thread-safe: one writer each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "kflight/byte_sink.hpp"

namespace kflight {

class MemorySink final : public ByteSink {
 public:
  Result<> write(std::span<const std::byte> bytes) override;
  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  std::vector<std::byte> take() noexcept { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// Writes to a descriptor it does not own (standard output, a socket). `name` is for messages.
class FileSink final : public ByteSink {
 public:
  FileSink(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  Result<> write(std::span<const std::byte> bytes) override;

 private:
  int fd_;
  std::string name_;
};

// DIR/NAME, written as DIR/NAME.partial (mode 0600, never through a symbolic link, only into a directory where nobody else
// can replace files: see open_output_directory) and renamed by commit(). Without a
// commit nothing remains. The partial file is locked while it is written: one that nobody locks was left behind by a
// dead run and is replaced, one that is locked belongs to a living writer (kBusy).
class AtomicFile final : public ByteSink {
 public:
  static Result<AtomicFile> create(const std::string& directory, const std::string& name);
  AtomicFile(AtomicFile&& other) noexcept = default;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile() override;

  Result<> write(std::span<const std::byte> bytes) override;
  // Makes the bytes durable and gives the file its name, unless that name is taken. Call it once, last.
  Result<> commit() { return commit(&AtomicFile::rename_to_free_name); }
  // The same, but a file of that name is replaced.
  Result<> commit_over() { return commit(&AtomicFile::rename_over); }

  const std::string& path() const noexcept { return path_; }
  std::uint64_t bytes_written() const noexcept { return bytes_written_; }

 private:
  AtomicFile(UniqueFd directory, UniqueFd file, std::string directory_path, std::string name);
  Result<> commit(Result<> (AtomicFile::*rename)());
  Result<> rename_to_free_name();
  Result<> rename_over();

  UniqueFd directory_;
  UniqueFd file_;
  std::string name_;
  std::string partial_name_;
  std::string path_;
  std::uint64_t bytes_written_ = 0;
};

// All of `bytes` to `fd`; interrupted and short writes go on. `name` is for the message.
Result<> write_all(int fd, std::span<const std::byte> bytes, const std::string& name);

}  // namespace kflight
