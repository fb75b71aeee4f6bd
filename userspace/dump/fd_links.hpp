// SPDX-License-Identifier: Apache-2.0
//
// fd_links.hpp - the section about file descriptors, from untrusted bytes. Views into the payload, which somebody keeps
// alive.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "kflight/dump.hpp"

namespace kflight::dump {

// Returns how many bytes at the payload's end hold no record.
std::size_t take_fd_links(std::span<const std::byte> payload, std::vector<FdLink>& links);
// Puts them in order; of two about one descriptor the first counts.
void sort_fd_links(std::vector<FdLink>& links);

}  // namespace kflight::dump
