// SPDX-License-Identifier: Apache-2.0
//
// option_values.hpp - what may stand behind an option: text to value, or an error that says what is expected. Pure
// functions; nothing here knows which option asks.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/escape.hpp"
#include "base/nearest_word.hpp"
#include "kflight/result.hpp"

namespace kflight::cli {

Result<std::uint32_t> parse_pid(std::string_view text);
Result<std::uint32_t> parse_tid(std::string_view text);
Result<std::uint32_t> parse_cpu(std::string_view text);
Result<std::uint64_t> parse_count(std::string_view text);        // at least 1
Result<std::uint32_t> parse_small_count(std::string_view text);  // 0 is fine
Result<std::uint32_t> parse_sample_rate(std::string_view text);  // per second
Result<std::string> parse_text(std::string_view text);           // not empty
Result<std::string> parse_name(std::string_view text);           // of a recorder
Result<std::string> parse_absolute_path(std::string_view text);  // made absolute, nothing need be there
Result<std::chrono::nanoseconds> parse_plain_duration(std::string_view text);
Result<std::chrono::nanoseconds> parse_positive_duration(std::string_view text);
Result<std::uint64_t> parse_plain_bytes(std::string_view text);
Result<std::uint64_t> parse_window_bytes(std::string_view text);
Result<std::uint64_t> parse_ring_bytes(std::string_view text);
Result<std::string> parse_trigger_text(std::string_view text);   // one that parses
Result<std::string> parse_export_format(std::string_view text);  // name of an exporter
std::string export_format_list();                                // "perfetto, jsonl"

// A parser for one of a few words, each with its value.
template <class T, std::size_t N>
auto one_of(const std::pair<std::string_view, T> (&words)[N]) {
  return [&words](std::string_view text) -> Result<T> {
    std::string known;
    std::vector<std::string_view> names;
    for (const auto& [name, value] : words) {
      if (name == text) return value;
      known += fmt::format("{}{}", known.empty() ? "" : ", ", name);
      names.push_back(name);
    }
    const auto nearest = nearest_word(text, names);
    return Error{Errc::kUsage, fmt::format("unknown word '{}'; there are {}{}", escape_for_terminal(text), known,
                                           nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest))};
  };
}

}  // namespace kflight::cli
