// SPDX-License-Identifier: Apache-2.0
//
// demangle.hpp - a linker's name of a function as its programmer wrote it: C++, and Rust's older scheme. Other names,
// Rust's newer ones (_R...) among them, stay as they are.
#pragma once

#include <string>
#include <string_view>

namespace kflight::model {

std::string demangle(std::string_view mangled);

// Without the parameters, template arguments kept: "ns::f<int>(char const*)" -> "ns::f<int>".
std::string without_parameters(std::string_view demangled);

}  // namespace kflight::model
