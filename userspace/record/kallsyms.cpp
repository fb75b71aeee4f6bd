// SPDX-License-Identifier: Apache-2.0
#include "record/kallsyms.hpp"

#include <charconv>
#include <fstream>
#include <iterator>

namespace kflight::record {

std::string read_kallsyms(const std::string& path) {
  std::ifstream file(path);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

// "ffffffff81000000 T name\t[module]"
bool parse_function_line(std::string_view text, FunctionLine& line) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), line.address, 16);
  const auto at = static_cast<std::size_t>(end - text.data());
  if (error != std::errc() || line.address == 0 || text.size() < at + 4) return false;
  const char type = text[at + 1];
  if (type != 't' && type != 'T' && type != 'w' && type != 'W') return false;
  const std::string_view rest = text.substr(at + 3);
  const auto tab = rest.find('\t');
  line.name = rest.substr(0, tab);
  line.module = {};
  if (tab != rest.npos && rest.size() > tab + 3) line.module = rest.substr(tab + 2, rest.size() - tab - 3);
  return true;
}

}  // namespace kflight::record
