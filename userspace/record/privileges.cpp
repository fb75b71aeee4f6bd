// SPDX-License-Identifier: Apache-2.0
#include "record/privileges.hpp"

#include <fmt/ranges.h>
#include <linux/capability.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace kflight::record {

const Capability kCapabilities[kCapabilityCount] = {
    {CAP_BPF, "CAP_BPF", true, "load BPF programs and maps"},
    {CAP_PERFMON, "CAP_PERFMON", true, "attach to tracepoints and read kernel memory"},
    {CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE", false, "lift the locked-memory limit, on kernels before 5.11"},
    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE", false, "resolve file descriptors and programs of other users' processes"},
    {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", false, "read other users' entries in /proc"},
    {CAP_KILL, "CAP_KILL", false, "pass signals on to a command of another user"},
};

std::uint64_t effective_capabilities() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("CapEff:")) return std::strtoull(line.c_str() + std::strlen("CapEff:"), nullptr, 16);
  return 0;
}

bool holds(std::uint64_t effective, const Capability& capability) {
  const bool admin = (effective >> CAP_SYS_ADMIN & 1) != 0;  // stands for CAP_BPF and CAP_PERFMON
  return (effective >> capability.number & 1) != 0 || (admin && capability.required);
}

Result<> require_privileges() {
  const std::uint64_t effective = effective_capabilities();
  std::vector<std::string> missing;
  for (const Capability& capability : kCapabilities)
    if (capability.required && !holds(effective, capability))
      missing.push_back(fmt::format("{} (to {})", capability.name, capability.purpose));
  if (missing.empty()) return {};
  return Error{Errc::kPermission,
               fmt::format("recording needs {}, which this process does not hold; run it as root, or grant them with "
                           "setcap; `kflight doctor` says more",
                           fmt::join(missing, " and "))};
}

}  // namespace kflight::record
