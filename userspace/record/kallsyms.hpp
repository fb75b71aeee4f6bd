// SPDX-License-Identifier: Apache-2.0
//
// kallsyms.hpp - the functions that /proc/kallsyms lists. Where the kernel hides addresses (kptr_restrict) there are
// none. The list is long: 120,000 lines, about 5 MB, which the kernel takes 50 ms to print.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace kflight::record {

struct FunctionLine {
  std::uint64_t address = 0;
  std::string_view name;
  std::string_view module;  // empty: the kernel itself
};

// Empty where it cannot be read.
std::string read_kallsyms(const std::string& path = "/proc/kallsyms");

// False when the line is of no function, or does not say where it is.
bool parse_function_line(std::string_view text, FunctionLine& line);

// Calls fn(FunctionLine) for each, in the order of the list, which is not that of addresses.
template <class F>
void for_each_function(std::string_view kallsyms, F&& fn) {
  while (!kallsyms.empty()) {
    const auto end = std::min(kallsyms.find('\n'), kallsyms.size());
    FunctionLine line;
    if (parse_function_line(kallsyms.substr(0, end), line)) fn(line);
    kallsyms.remove_prefix(std::min(end + 1, kallsyms.size()));
  }
}

}  // namespace kflight::record
