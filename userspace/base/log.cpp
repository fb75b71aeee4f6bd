// SPDX-License-Identifier: Apache-2.0
//
// log.cpp - level from the environment, once; lines whole and in order.
#include "base/log.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/escape.hpp"
#include "base/mutex.hpp"

namespace kflight {

namespace {

LogLevel level_from_environment() noexcept {
  const char* word = std::getenv("KFLIGHT_LOG");
  return log_level_from(word ? word : "info");
}

std::string_view prefix_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "kflight: debug: ";
    case LogLevel::kWarn:
      return "kflight: warning: ";
    case LogLevel::kError:
      return "kflight: error: ";
    case LogLevel::kInfo:
      break;
  }
  return "kflight: ";
}

std::atomic<bool> waits_for_stderr = true;
std::atomic<int> stderr_fd = STDERR_FILENO;

}  // namespace

LogLevel log_level_from(std::string_view word) noexcept {
  if (word == "debug") return LogLevel::kDebug;
  if (word == "warn") return LogLevel::kWarn;
  if (word == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

// Opened anew, because the flag of the old one is shared with the shell that started us.
int without_waiting(int fd) noexcept {
  if (!::isatty(fd)) return fd;
  const std::string name = "/proc/self/fd/" + std::to_string(fd);
  const int opened = ::open(name.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return opened >= 0 ? opened : fd;
}

void never_wait_for_stderr() noexcept {
  stderr_fd = without_waiting(STDERR_FILENO);
  waits_for_stderr = false;
}

bool stderr_takes_some() noexcept {
  pollfd fd{stderr_fd, POLLOUT, 0};
  return ::poll(&fd, 1, 0) == 1;
}

void write_to_stderr(std::string_view text) {
  static Mutex order;  // guards the sequence of lines, and what follows
  static std::uint64_t left_out = 0;
  const MutexLock lock(order);
  std::string all;
  std::size_t behind_notice = text.size();
  if (!waits_for_stderr) {
    if (!stderr_takes_some()) {
      ++left_out;
      return;
    }
    if (left_out != 0) {
      all = fmt::format("kflight: {} messages are not here: standard error did not take them\n", left_out);
      all += text;
      text = all;
    }
  }
  while (!text.empty()) {
    const ssize_t written = ::write(stderr_fd, text.data(), text.size());
    if (written > 0)
      text.remove_prefix(static_cast<std::size_t>(written));
    else if (errno == EAGAIN)
      return void(left_out = waits_for_stderr || text.size() > behind_notice ? left_out + 1 : 1);
    else if (errno != EINTR)
      return;
  }
  if (!waits_for_stderr) left_out = 0;
}

bool log_enabled(LogLevel level) noexcept {
  static const LogLevel least = level_from_environment();
  return level >= least;
}

void log_line(LogLevel level, std::string_view message) {
  std::string line{prefix_of(level)};
  line += escape_for_terminal(message);
  line += '\n';
  write_to_stderr(line);
}

}  // namespace kflight
