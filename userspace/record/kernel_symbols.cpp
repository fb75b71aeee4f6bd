// SPDX-License-Identifier: Apache-2.0
#include "record/kernel_symbols.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <string_view>
#include <vector>

#include "kflight/dump_format.h"

namespace kflight::record {

namespace {

// "ffffffff81000000 T name\t[module]"
struct Line {
  std::uint64_t address = 0;
  std::string_view name, module;
};

bool parse(std::string_view text, Line& line) {
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

std::vector<Line> parse_all(std::string_view text) {
  std::vector<Line> lines;
  lines.reserve(text.size() / 40);
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    Line line;
    if (parse(text.substr(0, end), line)) lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  std::ranges::stable_sort(lines, {}, &Line::address);
  return lines;
}

constexpr std::uint64_t kLongestFunction = 1 << 20;  // the last symbol of a region has no other end

}  // namespace

KernelSymbols::Symbol* KernelSymbols::holding(std::uint64_t address) {
  const auto after = known_.upper_bound(address);
  if (after == known_.begin()) return nullptr;
  Symbol& symbol = std::prev(after)->second;
  return address < symbol.end ? &symbol : nullptr;
}

void KernelSymbols::read(std::span<const std::uint64_t> addresses) {
  std::ifstream file(path_);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const std::vector<Line> lines = parse_all(text);
  known_.clear();  // modules and BPF programs may have gone, and others taken their place
  for (const std::uint64_t address : addresses) {
    const auto next = std::ranges::upper_bound(lines, address, {}, &Line::address);
    if (next == lines.begin()) continue;
    // The first of several names of one address.
    const auto first = std::ranges::lower_bound(lines, std::prev(next)->address, {}, &Line::address);
    const std::uint64_t end = next == lines.end() ? first->address + kLongestFunction
                                                  : std::min(next->address, first->address + kLongestFunction);
    if (address < end)
      known_.try_emplace(first->address, Symbol{end, std::string(first->name), std::string(first->module)});
  }
}

dump::RecordBlob KernelSymbols::of(std::span<const std::uint64_t> addresses) {
  const auto unknown = [this](std::uint64_t address) { return holding(address) == nullptr; };
  if (std::ranges::any_of(addresses, unknown)) read(addresses);
  for (const std::uint64_t address : addresses)
    if (Symbol* symbol = holding(address)) symbol->asked = true;
  dump::RecordBlob blob;
  for (auto& [begin, symbol] : known_) {
    if (!symbol.asked) continue;
    symbol.asked = false;
    kf_symbol head{};
    head.begin = begin;
    head.end = symbol.end;
    head.name_bytes = static_cast<kf_u16>(std::min<std::size_t>(symbol.name.size(), 0xffff));
    head.module_bytes = static_cast<kf_u16>(std::min<std::size_t>(symbol.module.size(), 0xffff));
    blob.add(head, symbol.name.substr(0, head.name_bytes), symbol.module.substr(0, head.module_bytes));
  }
  return blob;
}

}  // namespace kflight::record
