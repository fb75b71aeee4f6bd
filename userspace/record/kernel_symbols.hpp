// SPDX-License-Identifier: Apache-2.0
//
// kernel_symbols.hpp - which functions of the running kernel hold these addresses? From /proc/kallsyms, modules and BPF
// programs included; it is read only when one of the addresses was not asked for before.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>

#include "dump/record_blob.hpp"

namespace kflight::record {

class KernelSymbols {
 public:
  explicit KernelSymbols(std::string path = "/proc/kallsyms") : path_(std::move(path)) {}

  // kf_symbol records of the functions that hold `addresses`, each once. None where the kernel hides addresses.
  dump::RecordBlob of(std::span<const std::uint64_t> addresses);

 private:
  struct Symbol {
    std::uint64_t end = 0;
    std::string name, module;
    bool asked = false;  // by the call that runs
  };
  Symbol* holding(std::uint64_t address);
  void read(std::span<const std::uint64_t> addresses);

  std::string path_;
  std::map<std::uint64_t, Symbol> known_;  // by begin
  std::set<std::uint64_t> nameless_;       // looked for in vain: asking again would not help
};

}  // namespace kflight::record
