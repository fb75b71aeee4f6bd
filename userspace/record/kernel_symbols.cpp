// SPDX-License-Identifier: Apache-2.0
#include "record/kernel_symbols.hpp"

#include <algorithm>
#include <iterator>
#include <vector>

#include "kflight/dump_format.h"
#include "record/kallsyms.hpp"

namespace kflight::record {

namespace {

constexpr std::uint64_t kLongestFunction = 1 << 20;  // the last symbol of a region has no other end

}  // namespace

KernelSymbols::Symbol* KernelSymbols::holding(std::uint64_t address) {
  const auto after = known_.upper_bound(address);
  if (after == known_.begin()) return nullptr;
  Symbol& symbol = std::prev(after)->second;
  return address < symbol.end ? &symbol : nullptr;
}

void KernelSymbols::read(std::span<const std::uint64_t> addresses) {
  const std::string text = read_kallsyms(path_);
  std::vector<FunctionLine> lines;
  lines.reserve(text.size() / 40);
  for_each_function(text, [&lines](const FunctionLine& line) { lines.push_back(line); });
  std::ranges::stable_sort(lines, {}, &FunctionLine::address);
  known_.clear();  // modules and BPF programs may have gone, and others taken their place
  nameless_.clear();
  for (const std::uint64_t address : addresses) {
    const auto next = std::ranges::upper_bound(lines, address, {}, &FunctionLine::address);
    if (next == lines.begin()) continue;
    // The first of several names of one address.
    const auto first = std::ranges::lower_bound(lines, std::prev(next)->address, {}, &FunctionLine::address);
    const std::uint64_t end = next == lines.end() ? first->address + kLongestFunction
                                                  : std::min(next->address, first->address + kLongestFunction);
    if (address < end)
      known_.try_emplace(first->address, Symbol{end, std::string(first->name), std::string(first->module)});
  }
  for (const std::uint64_t address : addresses)
    if (holding(address) == nullptr) nameless_.insert(address);
}

dump::RecordBlob KernelSymbols::of(std::span<const std::uint64_t> addresses) {
  const auto unknown = [this](std::uint64_t address) {
    return holding(address) == nullptr && !nameless_.contains(address);
  };
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
