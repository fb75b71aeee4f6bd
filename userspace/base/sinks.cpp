// SPDX-License-Identifier: Apache-2.0
//
// sinks.cpp - memory and plain descriptors. The atomic file is in atomic_file.cpp.
#include "base/sinks.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <cerrno>

#include "base/errors.hpp"

namespace kflight {

namespace {

const char* advice_for(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return "free some space or choose another directory";
    case EFBIG:
      return "raise the file size limit (ulimit -f)";
    default:
      return "";
  }
}

// Waits until a non-blocking descriptor takes more; an error shows in the next write.
void wait_writable(int fd) {
  pollfd poll_fd{fd, POLLOUT, 0};
  ::poll(&poll_fd, 1, -1);
}

}  // namespace

Result<> write_all(int fd, std::span<const std::byte> bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      wait_writable(fd);
    } else if (errno != EINTR) {
      return errno_error(errno, fmt::format("cannot write to '{}'", name), advice_for(errno));
    }
  }
  return Ok{};
}

Result<> MemorySink::write(std::span<const std::byte> bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  return Ok{};
}

Result<> FileSink::write(std::span<const std::byte> bytes) { return write_all(fd_, bytes, name_); }

}  // namespace kflight
