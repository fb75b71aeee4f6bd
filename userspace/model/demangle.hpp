// SPDX-License-Identifier: Apache-2.0
//
// demangle.hpp - a linker's name of a function as its programmer wrote it: of C++, and of Rust in both of its schemes.
// Other names stay as they are, and so does one whose text would be absurdly long.
#pragma once

#include <string>
#include <string_view>

namespace kflight::model {

std::string demangle(std::string_view mangled);

// Without the parameters, template arguments kept: "ns::f<int>(char const*)" -> "ns::f<int>".
std::string without_parameters(std::string_view demangled);

}  // namespace kflight::model
