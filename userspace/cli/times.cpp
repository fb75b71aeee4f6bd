// SPDX-License-Identifier: Apache-2.0
//
// times.cpp - text to TimePoint by hand (strptime knows no fractions), and the arithmetic between the three clocks.
#include "cli/times.hpp"

#include <fmt/format.h>

#include <charconv>
#include <iterator>

#include "base/escape.hpp"
#include "base/units.hpp"

namespace kflight::cli {

namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;

Error bad_time(std::string_view text, std::string_view why) {
  return Error{Errc::kUsage,
               fmt::format("bad time '{}': {}; write -2s or -500ms (before the window's end), 12:34:56.789 or "
                           "\"2026-01-31 12:34:56.789\" (wall clock), or @NANOSECONDS (since boot, as ts_ns has it)",
                           escape_for_terminal(text), why)};
}

// Takes exactly `digits` digits from the front.
bool take_number(std::string_view& text, std::size_t digits, int& out) {
  if (text.size() < digits) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, out);
  if (error != std::errc{} || end != text.data() + digits || out < 0) return false;
  text.remove_prefix(digits);
  return true;
}

bool take_char(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == any_of.npos) return false;
  text.remove_prefix(1);
  return true;
}

// ".789" as nanoseconds; nothing is 0.
bool take_fraction(std::string_view& text, std::uint64_t& ns) {
  ns = 0;
  if (!take_char(text, ".")) return true;
  std::uint64_t scale = kSecondNs;
  if (text.empty()) return false;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9' && scale > 1; text.remove_prefix(1))
    ns += static_cast<std::uint64_t>(text.front() - '0') * (scale /= 10);
  return scale < kSecondNs;
}

bool take_time_of_day(std::string_view& text, std::tm& day, std::uint64_t& fraction_ns) {
  if (!take_number(text, 2, day.tm_hour) || !take_char(text, ":") || !take_number(text, 2, day.tm_min)) return false;
  day.tm_sec = 0;
  if (take_char(text, ":") && !take_number(text, 2, day.tm_sec)) return false;
  if (!take_fraction(text, fraction_ns)) return false;
  return day.tm_hour < 24 && day.tm_min < 60 && day.tm_sec < 61 && text.empty();
}

Result<TimePoint> parse_wall_clock(std::string_view text_untrusted) {
  std::string_view rest = text_untrusted;
  std::tm day{};
  std::uint64_t fraction_ns = 0;
  if (rest.find('-') == rest.npos) {
    if (!take_time_of_day(rest, day, fraction_ns)) return bad_time(text_untrusted, "it is no time of day");
    const auto minutes = static_cast<std::uint64_t>(day.tm_hour) * 60 + static_cast<std::uint64_t>(day.tm_min);
    const std::uint64_t seconds = minutes * 60 + static_cast<std::uint64_t>(day.tm_sec);
    return TimePoint{TimePoint::Kind::kTimeOfDay, seconds * kSecondNs + fraction_ns};
  }
  if (!take_number(rest, 4, day.tm_year) || !take_char(rest, "-") || !take_number(rest, 2, day.tm_mon) ||
      !take_char(rest, "-") || !take_number(rest, 2, day.tm_mday) || !take_char(rest, " T") ||
      !take_time_of_day(rest, day, fraction_ns))
    return bad_time(text_untrusted, "it is no date with a time");
  day.tm_year -= 1900;
  day.tm_mon -= 1;
  day.tm_isdst = -1;
  const std::time_t seconds = ::mktime(&day);
  if (seconds < 0) return bad_time(text_untrusted, "there is no such time");
  return TimePoint{TimePoint::Kind::kWallClock, static_cast<std::uint64_t>(seconds) * kSecondNs + fraction_ns};
}

std::uint64_t local_midnight_ns(std::uint64_t realtime_ns) {
  const auto now = static_cast<std::time_t>(realtime_ns / kSecondNs);
  std::tm day{};
  ::localtime_r(&now, &day);
  day.tm_hour = day.tm_min = day.tm_sec = 0;
  day.tm_isdst = -1;
  return static_cast<std::uint64_t>(::mktime(&day)) * kSecondNs;
}

}  // namespace

Result<TimePoint> parse_time_point(std::string_view text) {
  if (text.empty()) return bad_time(text, "it is empty");
  if (text.front() == '-') {
    const auto before = parse_duration(text.substr(1), 2);
    if (!before) return bad_time(text, before.error().what);
    return TimePoint{TimePoint::Kind::kBeforeEnd, static_cast<std::uint64_t>(before->count())};
  }
  if (text.front() == '@') {
    TimePoint point{TimePoint::Kind::kBoottime, 0};
    const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), point.ns);
    if (error != std::errc{} || end != text.data() + text.size())
      return bad_time(text, "no number of ns follows the @");
    return point;
  }
  return parse_wall_clock(text);
}

DumpClock::DumpClock(const Dump& dump)
    : end_ns_(dump.window_end_ns()),
      realtime_minus_boottime_ns_(static_cast<std::int64_t>(dump.meta().clocks.realtime - dump.meta().clocks.boottime)),
      has_wall_(dump.meta().clocks.realtime != 0) {}

Result<std::uint64_t> DumpClock::resolve(const TimePoint& point) const {
  const auto offset = static_cast<std::uint64_t>(realtime_minus_boottime_ns_);
  const bool needs_wall = point.kind == TimePoint::Kind::kWallClock || point.kind == TimePoint::Kind::kTimeOfDay;
  if (needs_wall && !has_wall_)
    return Error{
        Errc::kUsage,
        "this dump's clocks are damaged, so wall-clock times mean nothing in it; give times before the window's "
        "end, such as -2s"};
  switch (point.kind) {
    case TimePoint::Kind::kBeforeEnd:
      return end_ns_ > point.ns ? end_ns_ - point.ns : 0;
    case TimePoint::Kind::kBoottime:
      return point.ns;
    case TimePoint::Kind::kWallClock:
      return point.ns > offset ? point.ns - offset : 0;
    case TimePoint::Kind::kTimeOfDay: {
      constexpr std::uint64_t kHalfDayNs = 12 * 3600 * kSecondNs;
      const std::uint64_t midnight_ns = local_midnight_ns(end_ns_ + offset);
      std::uint64_t wall_ns = midnight_ns + point.ns;
      // 23:59:58 when the window ends at 00:00:05 is the evening before; a little behind the end is just that.
      if (wall_ns > end_ns_ + offset + kHalfDayNs) wall_ns = local_midnight_ns(midnight_ns - 1) + point.ns;
      return wall_ns > offset ? wall_ns - offset : 0;
    }
  }
  return end_ns_;
}

void DumpClock::append_relative(std::string& out, std::int64_t ns) {
  const auto magnitude = ns < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(ns) : static_cast<std::uint64_t>(ns);
  fmt::format_to(std::back_inserter(out), "{}{}.{:09}", ns < 0 ? '-' : '+', magnitude / kSecondNs,
                 magnitude % kSecondNs);
}

std::string DumpClock::relative(std::uint64_t ts_ns) const {
  std::string out;
  append_relative(out, static_cast<std::int64_t>(ts_ns - end_ns_));
  return out;
}

void DumpClock::append_wall(std::string& out, std::uint64_t ts_ns) {
  if (!has_wall_) {
    fmt::format_to(std::back_inserter(out), "{}.{:09}", ts_ns / kSecondNs, ts_ns % kSecondNs);
    return;
  }
  const auto wall_ns = ts_ns + static_cast<std::uint64_t>(realtime_minus_boottime_ns_);
  const auto second = static_cast<std::time_t>(wall_ns / kSecondNs);
  if (second != cached_second_) {
    std::tm day{};
    ::localtime_r(&second, &day);
    std::strftime(cached_text_, sizeof cached_text_, "%Y-%m-%d %H:%M:%S", &day);
    cached_second_ = second;
  }
  fmt::format_to(std::back_inserter(out), "{}.{:09}", cached_text_, wall_ns % kSecondNs);
}

std::string DumpClock::wall(std::uint64_t ts_ns) {
  std::string out;
  append_wall(out, ts_ns);
  return out;
}

}  // namespace kflight::cli
