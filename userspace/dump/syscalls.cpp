// SPDX-License-Identifier: Apache-2.0
//
// syscalls.cpp - look-ups in the syscall table, by number through an index built at compile time.
#include "dump/syscalls.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/nearest_word.hpp"
#include "dump/syscall_table.hpp"

namespace kflight::dump {

namespace {

constexpr auto kRowOfNumber = [] {
  std::array<const SyscallRow*, KF_SYS_TABLE> rows{};
  for (const auto& row : kSyscallRows)
    if (row.*kNumberColumn != kNo) rows.at(row.*kNumberColumn) = &row;
  return rows;
}();

const SyscallRow* find_row(std::uint32_t nr) { return nr < kRowOfNumber.size() ? kRowOfNumber[nr] : nullptr; }

}  // namespace

std::optional<std::uint32_t> syscall_nr(std::string_view name) {
  for (const auto& row : kSyscallRows)
    if (row.name == name && row.*kNumberColumn != kNo) return row.*kNumberColumn;
  return std::nullopt;
}

std::string syscall_name(std::uint32_t nr, std::uint32_t abi) {
  const auto* row = abi == KF_ABI_COMPAT ? nullptr : find_row(nr);
  const std::string_view prefix = abi == KF_ABI_COMPAT ? "compat:" : abi == KF_ABI_X32 ? "x32:" : "";
  return row ? fmt::format("{}{}", prefix, row->name) : fmt::format("{}syscall_{}", prefix, nr);
}

std::string_view nearest_syscall(std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto& row : kSyscallRows)
    if (row.*kNumberColumn != kNo) names.push_back(row.name);
  return nearest_word(name, names);
}

std::uint8_t args_class(std::uint32_t nr) {
  const auto* row = find_row(nr);
  if (!row) return KF_ARGS_0;
  if (row->traits & kTake0123) return KF_ARGS_0123;
  if (row->traits & kTake012) return KF_ARGS_012;
  return row->arguments.empty() ? KF_ARGS_NONE : KF_ARGS_0;
}

bool expected_to_block(std::uint32_t nr) {
  const auto* row = find_row(nr);
  return row && (row->traits & kWaits);
}

bool timed_futex_wait(std::uint32_t nr, std::span<const std::uint64_t> args) {
  static const auto futex = syscall_nr("futex"), waitv = syscall_nr("futex_waitv"), wait = syscall_nr("futex_wait");
  const auto given = [&](std::size_t i) { return i < args.size() && args[i] != 0; };
  if (nr == waitv) return given(3);
  if (nr == wait) return given(4);
  if (nr != futex || args.size() < 4) return false;
  // To the other commands the fourth argument is a count, or the bound of a lock, whose slowness does matter.
  constexpr std::uint64_t kCommandMask = 0x7f, kWait = 0, kWaitBitset = 9, kWaitRequeuePi = 11;
  const auto command = args[1] & kCommandMask;
  return (command == kWait || command == kWaitBitset || command == kWaitRequeuePi) && given(3);
}

std::optional<std::size_t> fd_argument(std::uint32_t nr) {
  std::string_view rest = syscall_arguments(nr);
  for (std::size_t i = 0; !rest.empty(); ++i) {
    const std::string_view argument = rest.substr(0, rest.find(' '));
    if (argument == "fd" || argument.ends_with(":fd")) return i;
    rest.remove_prefix(std::min(rest.size(), argument.size() + 1));
  }
  return std::nullopt;
}

std::string_view syscall_arguments(std::uint32_t nr) {
  const auto* row = find_row(nr);
  return row ? row->arguments : std::string_view{};
}

}  // namespace kflight::dump
