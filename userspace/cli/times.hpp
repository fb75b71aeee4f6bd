// SPDX-License-Identifier: Apache-2.0
//
// times.hpp - times of a dump as people read and write them. A dump stamps everything with CLOCK_BOOTTIME; people think
// in "so long before the end of the window" or in wall-clock time.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "kflight/dump.hpp"
#include "kflight/result.hpp"

namespace kflight::cli {

// A time as the user gave it; only a dump's clocks and window turn it into boottime.
struct TimePoint {
  enum class Kind { kBeforeEnd, kBoottime, kWallClock, kTimeOfDay };
  Kind kind = Kind::kBeforeEnd;
  std::uint64_t ns = 0;  // before the end; since boot; since 1970; since midnight
};

// "-2s", "-500ms": before the window's end. "@123456789": CLOCK_BOOTTIME in ns, as in ts_ns of the JSON lines.
// "12:34:56.789", "2026-01-31 12:34:56.789" (or with T): wall clock in the local time zone.
Result<TimePoint> parse_time_point(std::string_view text);

// Converts between the clocks of one dump. Immutable, but format_wall() keeps the last second's text: one thread.
class DumpClock {
 public:
  explicit DumpClock(const Dump& dump);

  bool has_wall_clock() const noexcept { return has_wall_; }
  std::uint64_t end_ns() const noexcept { return end_ns_; }

  // kUsage for a wall-clock time in a dump that does not know its clocks.
  Result<std::uint64_t> resolve(const TimePoint& point) const;

  // "-0.123456789": seconds before the window's end, exact.
  static void append_relative(std::string& out, std::int64_t ns);
  std::string relative(std::uint64_t ts_ns) const;
  // "2026-01-31 12:34:56.123456789", local time zone; the boottime in seconds when the clocks are not known.
  void append_wall(std::string& out, std::uint64_t ts_ns);
  std::string wall(std::uint64_t ts_ns);

 private:
  std::uint64_t end_ns_;
  std::int64_t realtime_minus_boottime_ns_;
  bool has_wall_;
  std::time_t cached_second_ = -1;
  char cached_text_[32] = {};
};

}  // namespace kflight::cli
