// SPDX-License-Identifier: Apache-2.0
//
// privileges.hpp - which capabilities(7) recording needs, what for, what happens without them, and which ones it still
// needs when everything is attached. docs/reliability.md has the same as a table, and a test holds the two together.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kflight/result.hpp"

namespace kflight::record {

enum class Need {
  kRequired,   // no recording without it
  kUsual,      // recording works, its answers are poorer
  kSometimes,  // matters on old kernels or for commands of other users only
};

struct Capability {
  int number;  // CAP_* of linux/capability.h
  std::string_view name;
  Need need;
  bool kept;                 // also used when everything is attached
  std::string_view purpose;  // "needed to ..."
  std::string_view without;  // what then happens
};
inline constexpr std::size_t kCapabilityCount = 9;
extern const Capability kCapabilities[kCapabilityCount];

// The effective set of the calling thread, bit N for capability N; 0 when /proc is not there.
std::uint64_t effective_capabilities();

// `effective` holds it, or one that stands for it.
bool holds(std::uint64_t effective, const Capability& capability);

// kPermission, with the names of what is missing, when something required is.
Result<> require_privileges();

// One line for each capability that recording is poorer without: "CAP_X is missing: ...".
std::vector<std::string> missing_privileges();

// The capabilities that are still used when everything is attached, bit N for capability N.
std::uint64_t steady_capabilities();

// CAP_DAC_OVERRIDE.
std::uint64_t capability_to_write_anywhere();

// Leaves the calling thread, and those it starts, at most these of the capabilities it holds; the inheritable and
// ambient sets become empty, and so does the bounding set when the thread may change it (CAP_SETPCAP).
Result<> keep_only_capabilities(std::uint64_t kept);

}  // namespace kflight::record
