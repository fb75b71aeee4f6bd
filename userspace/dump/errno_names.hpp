// SPDX-License-Identifier: Apache-2.0
//
// errno_names.hpp - error numbers by name, and back. Holds the ones programs see and those that only a tracepoint sees:
// at sys_exit the kernel's own restart codes have not been turned into EINTR or a restart yet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kflight::dump {

// "EAGAIN" -> 11, also EWOULDBLOCK, ENOTSUP, EDEADLOCK. The number is positive.
std::optional<std::uint32_t> errno_nr(std::string_view name);
// 11 -> "EAGAIN"; "errno 4000" for one without a name.
std::string errno_name(std::uint32_t number);
std::string_view nearest_errno(std::string_view name);  // empty: nothing is close
// One of the codes that mean: a signal came, the call is restarted or ends with EINTR.
bool is_restart_code(std::uint32_t number);

}  // namespace kflight::dump
