// SPDX-License-Identifier: Apache-2.0
//
// log.cpp - level from the environment, once; lines whole and in order.
#include "base/log.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>

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

// Nobody can be told when standard error is gone, so failures end here.
void write_to_stderr(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written > 0)
      text.remove_prefix(static_cast<std::size_t>(written));
    else if (errno != EINTR)
      return;
  }
}

}  // namespace

LogLevel log_level_from(std::string_view word) noexcept {
  if (word == "debug") return LogLevel::kDebug;
  if (word == "warn") return LogLevel::kWarn;
  if (word == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

bool log_enabled(LogLevel level) noexcept {
  static const LogLevel least = level_from_environment();
  return level >= least;
}

void log_line(LogLevel level, std::string_view message) {
  static Mutex order;  // guards the sequence of lines on standard error
  std::string line{prefix_of(level)};
  line += escape_for_terminal(message);
  line += '\n';
  const MutexLock lock(order);
  write_to_stderr(line);
}

}  // namespace kflight
