// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "dump/syscalls.hpp"

namespace kflight::test {

// The number of a system call that surely exists.
inline std::uint32_t nr(std::string_view call) { return dump::syscall_nr(call).value(); }

}  // namespace kflight::test
