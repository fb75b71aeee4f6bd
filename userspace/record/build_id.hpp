// SPDX-License-Identifier: Apache-2.0
//
// build_id.hpp - the GNU build id of an ELF file: what makes a build of a program the same build.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace kflight::record {

// Empty when there is none, or the file cannot be read.
std::vector<std::byte> build_id_of_file(const char* path);
std::vector<std::byte> build_id_of_image(std::span<const std::byte> elf);

}  // namespace kflight::record
