// SPDX-License-Identifier: Apache-2.0
//
// log.hpp - lines for whoever runs kflight, on standard error. KFLIGHT_LOG=debug|info|warn|error chooses the least
// important level shown (info when unset). Any thread; one line is one write, and what a line quotes from outside is
// escaped, so a thread name cannot move the cursor.
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace kflight {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

// kInfo for a word that is no level.
LogLevel log_level_from(std::string_view word) noexcept;
bool log_enabled(LogLevel level) noexcept;
void log_line(LogLevel level, std::string_view message);

// Text as it is, in one write. Where standard error is gone or full it is not told: neither is a reason to end, and nobody
// could be told of it.
void write_to_stderr(std::string_view text);
// From now on what standard error does not take at once is left out, and how often is told when it takes some again: for a
// process that must go on beside a terminal that was stopped.
void never_wait_for_stderr() noexcept;
bool stderr_takes_some() noexcept;
// Another descriptor of the terminal that `fd` is, with which writing does not wait; `fd` itself when it is none.
int without_waiting(int fd) noexcept;

template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kDebug)) log_line(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kInfo)) log_line(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kWarn)) log_line(LogLevel::kWarn, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kError)) log_line(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace kflight
