// SPDX-License-Identifier: Apache-2.0
//
// kernel_functions.hpp - which address is which function of the kernel, from /proc/kallsyms. Timer handlers are looked
// up by name, for the BPF side to tell a sleeper's own timeout from other timers; functions of work items by the
// address that events hold. Where the kernel hides addresses (kptr_restrict) timers are of unknown kind and work items
// nameless.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "kflight/dump.hpp"
#include "kflight/wire.h"

namespace kflight::record {

std::array<kf_u64, KF_TIMER_FUNCTIONS> timer_functions();

// Remembers what it has looked up: the list of symbols is read again only for addresses it has never seen.
class FunctionNames {
 public:
  // Those that have a name.
  std::vector<KernelFunction> named(std::span<const std::uint64_t> addresses);

 private:
  std::map<std::uint64_t, std::string> known_;  // "": the kernel does not say
};

}  // namespace kflight::record
