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
