// SPDX-License-Identifier: Apache-2.0
//
// option_values.cpp - limits of what options accept, and the messages when a value is outside.
#include "cli/option_values.hpp"

#include <charconv>
#include <filesystem>

#include "base/units.hpp"
#include "export/registry.hpp"
#include "kflight/wire.h"
#include "record/recorder_name.hpp"
#include "record/trigger_spec.hpp"

namespace kflight::cli {

namespace {

// At least one chunk of every CPU has to fit, and the kernel cannot map more than 2 GiB of a ring.
constexpr std::uint64_t kFewestWindowBytes = 1 << 20, kFewestRingBytes = 64 << 10, kMostRingBytes = 1ull << 30;

Error bad_value(std::string_view what, std::string_view text, std::string_view why) {
  return Error{Errc::kUsage, fmt::format("bad {} '{}': {}", what, escape_for_terminal(text), why)};
}

template <class T>
Result<T> parse_number(std::string_view what, std::string_view text, T lowest, T highest) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < lowest || value > highest)
    return bad_value(what, text, fmt::format("expected a whole number from {} to {}", lowest, highest));
  return value;
}

}  // namespace

Result<std::uint32_t> parse_pid(std::string_view text) {
  return parse_number<std::uint32_t>("PID", text, 1, KF_TID_MASK);
}
Result<std::uint32_t> parse_tid(std::string_view text) {
  return parse_number<std::uint32_t>("thread id", text, 0, KF_TID_MASK);
}
Result<std::uint32_t> parse_cpu(std::string_view text) {
  return parse_number<std::uint32_t>("CPU", text, 0, KF_CPU_MASK);
}
Result<std::uint64_t> parse_count(std::string_view text) {
  return parse_number<std::uint64_t>("number", text, 1, 1'000'000'000'000);
}

Result<std::uint32_t> parse_small_count(std::string_view text) {
  return parse_number<std::uint32_t>("number", text, 0, 1'000'000);
}

// What the kernel allows by default (kernel.perf_event_max_sample_rate).
Result<std::uint32_t> parse_sample_rate(std::string_view text) {
  return parse_number<std::uint32_t>("rate", text, 1, 100'000);
}

Result<std::string> parse_text(std::string_view text) {
  if (text.empty()) return Error{Errc::kUsage, "it is empty"};
  return std::string(text);
}

Result<std::string> parse_name(std::string_view text) {
  KF_TRY(record::check_recorder_name(text));
  return std::string(text);
}

Result<std::string> parse_absolute_path(std::string_view text) {
  if (text.empty()) return Error{Errc::kUsage, "it is empty"};
  std::error_code error;
  const auto path = std::filesystem::absolute(text, error);
  if (error) return bad_value("path", text, error.message());
  std::string absolute = path.lexically_normal().string();
  while (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  return absolute;
}

Result<std::chrono::nanoseconds> parse_plain_duration(std::string_view text) { return parse_duration(text); }
Result<std::chrono::nanoseconds> parse_positive_duration(std::string_view text) {
  KF_TRY_ASSIGN(const auto duration, parse_duration(text));
  if (duration.count() == 0) return bad_value("duration", text, "it must be longer than nothing");
  return duration;
}
Result<std::uint64_t> parse_plain_bytes(std::string_view text) { return parse_bytes(text); }

Result<std::uint64_t> parse_window_bytes(std::string_view text) {
  KF_TRY_ASSIGN(const auto bytes, parse_bytes(text));
  if (bytes < kFewestWindowBytes) return bad_value("size", text, "a window needs at least 1MiB");
  return bytes;
}
Result<std::uint64_t> parse_ring_bytes(std::string_view text) {
  KF_TRY_ASSIGN(const auto bytes, parse_bytes(text));
  if (bytes < kFewestRingBytes || bytes > kMostRingBytes || (bytes & (bytes - 1)) != 0)
    return bad_value("size", text, "a ring is a power of two from 64KiB to 1GiB, such as 8MiB");
  return bytes;
}

Result<std::string> parse_trigger_text(std::string_view text) {
  KF_TRY(record::parse_trigger(text));
  return std::string(text);
}

std::string export_format_list() {
  std::string list;
  for (const exports::Exporter& exporter : exports::exporters())
    list += fmt::format("{}{}", list.empty() ? "" : ", ", exporter.name);
  return list;
}

Result<std::string> parse_export_format(std::string_view text) {
  if (exports::find_exporter(text)) return std::string(text);
  std::vector<std::string_view> names;
  for (const exports::Exporter& exporter : exports::exporters()) names.push_back(exporter.name);
  const auto nearest = nearest_word(text, names);
  return Error{Errc::kUsage,
               fmt::format("unknown format '{}'; there are {}{}", escape_for_terminal(text), export_format_list(),
                           nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest))};
}

}  // namespace kflight::cli
