// SPDX-License-Identifier: Apache-2.0
//
// stack_tables.hpp - what a dump's sections about stacks hold: the stacks, and what their addresses mean. Views into
// the payloads, which somebody keeps alive. Payloads are untrusted: a record that does not fit ends its section.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "kflight/dump.hpp"

namespace kflight::dump {

struct StackTables {
  std::vector<Stack> stacks;          // sorted by id after finish()
  std::vector<kf_mapping> mappings;   // by process, then address
  std::vector<MappedFile> files;      // by number
  std::vector<KernelSymbol> symbols;  // by address
  std::span<const std::byte> vdso;
  std::vector<kf_base_stack> base_stacks;

  // Each returns how many bytes at the payload's end hold no record.
  std::size_t take_stacks(std::span<const std::byte> payload);
  std::size_t take_files(std::span<const std::byte> payload);
  std::size_t take_symbols(std::span<const std::byte> payload);
  void finish();
};

}  // namespace kflight::dump
