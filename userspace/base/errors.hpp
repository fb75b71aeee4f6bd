// SPDX-License-Identifier: Apache-2.0
//
// errors.hpp - turns an errno into an Error that a person can act on: what was tried, why the kernel refused, what to
// do. The kind follows from the errno, so that "no such file" and "permission denied" stay distinguishable to callers.
#pragma once

#include <string>
#include <string_view>

#include "kflight/result.hpp"

namespace kflight {

// "No space left on device (ENOSPC)".
std::string errno_text(int error_number);

// "<tried>: <errno_text>; <advice>". Without advice the last part is left out.
Error errno_error(int error_number, std::string_view tried, std::string_view advice = {});

}  // namespace kflight
