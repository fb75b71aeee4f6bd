// SPDX-License-Identifier: Apache-2.0
//
// privileges.hpp - which capabilities(7) recording needs, what for, and which of them this process holds.
#pragma once

#include <cstdint>
#include <string_view>

#include "kflight/result.hpp"

namespace kflight::record {

struct Capability {
  int number;  // CAP_* of linux/capability.h
  std::string_view name;
  bool required;
  std::string_view purpose;  // "needed to ..."
};
inline constexpr std::size_t kCapabilityCount = 6;
extern const Capability kCapabilities[kCapabilityCount];

// The effective set of the calling thread, bit N for capability N; 0 when /proc is not there.
std::uint64_t effective_capabilities();

// `effective` holds it, or one that stands for it.
bool holds(std::uint64_t effective, const Capability& capability);

// kPermission, with the names of what is missing, when something required is.
Result<> require_privileges();

}  // namespace kflight::record
