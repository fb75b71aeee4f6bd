// SPDX-License-Identifier: Apache-2.0
//
// kernel_names.hpp - names of numbers that events carry as the kernel has them: signals, operations of block devices.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kflight::dump {

std::string signal_name(std::uint8_t number);            // "SIGUSR1", "signal 40"
std::string_view block_op_name(std::uint8_t operation);  // REQ_OP_*: "read", "write", "flush"; "request" for others

}  // namespace kflight::dump
