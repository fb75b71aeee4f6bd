// SPDX-License-Identifier: Apache-2.0
//
// thread_names.hpp - what each thread of a dump is called at the time reached so far, and functions of the kernel.
// Start with the names from before the window, then show it every event in order. Names are ready to print. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "kflight/dump.hpp"

namespace kflight::cli {

class ThreadNames {
 public:
  // The dump must outlive it.
  explicit ThreadNames(const Dump& dump);

  void follow(const Event& event);

  // "?" for a thread nobody named; "idle" for tid 0.
  std::string_view of(std::uint32_t tid) const;
  // "redis:99", "idle".
  void append(std::string& out, std::uint32_t tid) const;
  // "wb_workfn"; the address where the name is not known.
  std::string function(std::uint64_t address) const;

 private:
  void set(std::uint32_t tid, std::string_view comm_untrusted);
  std::unordered_map<std::uint32_t, std::string> names_;
  std::span<const KernelSymbol> kernel_symbols_;
};

}  // namespace kflight::cli
