// SPDX-License-Identifier: Apache-2.0
#include "dump/stack_tables.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "dump/record_blob.hpp"

namespace kflight {
namespace dump {

std::size_t StackTables::take_stacks(std::span<const std::byte> payload) {
  const auto tail = [](const kf_stack& head) {
    const bool sane = head.frames <= KF_STACK_FRAMES && head.tops <= KF_STACK_TOPS;
    return sane ? (std::size_t{head.frames} + head.tops) * sizeof(kf_u64) : kInvalidTail;
  };
  return for_each_record<kf_stack>(payload, tail, [this](const kf_stack& head, std::span<const std::byte> bytes) {
    const std::span words(reinterpret_cast<const kf_u64*>(bytes.data()), bytes.size() / sizeof(kf_u64));
    stacks.push_back({head, words.first(head.frames), words.subspan(head.frames)});
  });
}

std::size_t StackTables::take_files(std::span<const std::byte> payload) {
  const auto tail = [](const kf_file& head) {
    return head.build_id_bytes <= KF_BUILD_ID_BYTES ? std::size_t{head.path_bytes} : kInvalidTail;
  };
  return for_each_record<kf_file>(payload, tail, [this](const kf_file& head, std::span<const std::byte> bytes) {
    files.push_back({head, text_of(bytes)});
  });
}

std::size_t StackTables::take_symbols(std::span<const std::byte> payload) {
  const auto tail = [](const kf_symbol& head) {
    return head.begin < head.end ? std::size_t{head.name_bytes} + head.module_bytes : kInvalidTail;
  };
  return for_each_record<kf_symbol>(payload, tail, [this](const kf_symbol& head, std::span<const std::byte> bytes) {
    symbols.push_back(
        {head.begin, head.end, text_of(bytes.first(head.name_bytes)), text_of(bytes.subspan(head.name_bytes))});
  });
}

void StackTables::finish() {
  std::ranges::stable_sort(stacks, {}, [](const Stack& stack) { return stack.head.id; });
  const auto same_id = [](const Stack& a, const Stack& b) { return a.head.id == b.head.id; };
  stacks.erase(std::unique(stacks.begin(), stacks.end(), same_id), stacks.end());
  std::ranges::stable_sort(mappings, {}, [](const kf_mapping& m) { return std::tuple(m.tgid, m.begin, m.from_ns); });
  std::ranges::stable_sort(files, {}, [](const MappedFile& file) { return file.head.number; });
  std::ranges::stable_sort(symbols, {}, &KernelSymbol::begin);
}

}  // namespace dump

const KernelSymbol* find_symbol(std::span<const KernelSymbol> by_begin, std::uint64_t address) noexcept {
  const auto after = std::ranges::upper_bound(by_begin, address, {}, &KernelSymbol::begin);
  if (after == by_begin.begin()) return nullptr;
  const KernelSymbol& symbol = *std::prev(after);
  return address < symbol.end ? &symbol : nullptr;
}

}  // namespace kflight
