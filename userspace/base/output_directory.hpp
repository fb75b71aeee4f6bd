// SPDX-License-Identifier: Apache-2.0
//
// output_directory.hpp - may a file of ours be put there? Who can write to a directory can replace the files in it, and
// so choose what is read or removed under their names later.
#pragma once

#include <string>

#include "base/unique_fd.hpp"
#include "kflight/result.hpp"

namespace kflight {

// Opens a directory that belongs to root or to this process's user, and in which nobody else can replace files: others
// (and groups but root's and our own) cannot write to it, or it has the sticky bit, as /tmp has. kPermission,
// kNotFound, kUsage otherwise. What is done through the descriptor stays in the directory that was checked.
Result<UniqueFd> open_output_directory(const std::string& path);

}  // namespace kflight
