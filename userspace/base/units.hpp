// SPDX-License-Identifier: Apache-2.0
//
// units.hpp - durations, sizes and counts as people write and read them. Parsing is exact (no floating point) and a
// number without a unit is refused: "10" would mean seconds to one reader and milliseconds to the next.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "kflight/result.hpp"

namespace kflight {

// "10s", "1.5s", "500ms", "250us", "7ns", "2m", "1h". Errors are kUsage and name the column of the mistake;
// `first_column` is the place of text's first character in what the user typed.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text, std::size_t first_column = 1);

// "64MiB", "512KiB", "1G", "4096B", "1.5GiB"; K, M, G, T count in 1024 like KiB and so on. Otherwise the same rules.
Result<std::uint64_t> parse_bytes(std::string_view text, std::size_t first_column = 1);

// Four significant digits in the unit that suits. Digits that are all zero are left out only when the value is exact:
// "1.5 s" is 1500000000 ns, "17.30 ms" is about that much. From ten minutes on "12 min 3 s", "2 h 5 min".
std::string format_duration(std::int64_t ns);
inline std::string format_duration(std::chrono::nanoseconds duration) { return format_duration(duration.count()); }

// "812 B", "64 MiB", "1.472 GiB": the same rule for digits.
std::string format_bytes(std::uint64_t bytes);

// "1,234,567".
std::string format_count(std::uint64_t count);

}  // namespace kflight
