// SPDX-License-Identifier: Apache-2.0
//
// capget and capset are called as they are: libcap would be a dependency for two calls whose structures never change.
#include "record/privileges.hpp"

#include <fmt/ranges.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "base/errors.hpp"

namespace kflight::record {

namespace {

constexpr std::uint64_t bit(int capability) { return std::uint64_t{1} << capability; }

}  // namespace

const Capability kCapabilities[kCapabilityCount] = {
    {CAP_BPF, "CAP_BPF", Need::kRequired, true, "load BPF programs and use their maps", "nothing can be recorded"},
    {CAP_PERFMON, "CAP_PERFMON", Need::kRequired, false, "attach to tracepoints and read kernel memory",
     "nothing can be recorded"},
    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE", Need::kUsual, true, "look into processes of other users",
     "functions and descriptors of other users' processes stay unnamed, and waits that go on have no user stack"},
    {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", Need::kUsual, true,
     "read what /proc has about processes of other users",
     "functions and descriptors of other users' processes stay unnamed, and waits that go on have no user stack"},
    {CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE", Need::kUsual, true,
     "read the build ids of mapped files (/proc/PID/map_files)", "functions in user stacks stay addresses"},
    {CAP_SYSLOG, "CAP_SYSLOG", Need::kUsual, true, "see addresses in /proc/kallsyms",
     "functions in kernel stacks stay addresses, and timers have no kind"},
    {CAP_SYS_NICE, "CAP_SYS_NICE", Need::kUsual, false, "run the thread that empties the rings at nice -10",
     "events are more likely to be lost when every CPU is busy"},
    {CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE", Need::kSometimes, false, "lift the locked-memory limit before Linux 5.11",
     "such a kernel refuses the maps unless `ulimit -l` is large"},
    {CAP_KILL, "CAP_KILL", Need::kSometimes, true, "pass SIGTERM on to a COMMAND that changed its user",
     "such a command goes on when the recorder is told to end"},
};

std::uint64_t effective_capabilities() {
  std::ifstream status("/proc/thread-self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("CapEff:")) return std::strtoull(line.c_str() + std::strlen("CapEff:"), nullptr, 16);
  return 0;
}

bool holds(std::uint64_t effective, const Capability& capability) {
  // CAP_SYS_ADMIN stands for what was once part of it; CAP_SYSLOG is not.
  const bool of_admin =
      capability.number == CAP_BPF || capability.number == CAP_PERFMON || capability.number == CAP_CHECKPOINT_RESTORE;
  return (effective & bit(capability.number)) != 0 || (of_admin && (effective & bit(CAP_SYS_ADMIN)) != 0);
}

Result<> require_privileges() {
  const std::uint64_t effective = effective_capabilities();
  std::vector<std::string> missing;
  for (const Capability& capability : kCapabilities)
    if (capability.need == Need::kRequired && !holds(effective, capability))
      missing.push_back(fmt::format("{} (to {})", capability.name, capability.purpose));
  if (missing.empty()) return {};
  return Error{Errc::kPermission,
               fmt::format("recording needs {}, which this process does not hold; run it as root, or grant them with "
                           "setcap; `kflight doctor` says more",
                           fmt::join(missing, " and "))};
}

std::vector<std::string> missing_privileges() {
  const std::uint64_t effective = effective_capabilities();
  std::vector<std::string> lines;
  for (const Capability& capability : kCapabilities)
    if (capability.need == Need::kUsual && !holds(effective, capability))
      lines.push_back(fmt::format("{} is missing: {}", capability.name, capability.without));
  return lines;
}

// Where CAP_SYS_ADMIN stood for others, it is kept for them: there is no way to change one for the other.
std::uint64_t steady_capabilities() {
  const std::uint64_t effective = effective_capabilities();
  std::uint64_t kept = 0;
  for (const Capability& capability : kCapabilities) {
    if (!capability.kept || !holds(effective, capability)) continue;
    kept |= (effective & bit(capability.number)) != 0 ? bit(capability.number) : bit(CAP_SYS_ADMIN);
  }
  return kept;
}

std::uint64_t capability_to_write_anywhere() { return bit(CAP_DAC_OVERRIDE); }

Result<> keep_only_capabilities(std::uint64_t kept) {
  // What the thread holds already no longer depends on this set, and an exec is refused anyway.
  for (int number = 0; ::prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number)
    if (::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0) break;
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, sets) != 0) return errno_error(errno, "cannot read the capabilities held");
  for (std::size_t half = 0; half < std::size(sets); ++half) {
    const auto wanted = static_cast<std::uint32_t>(kept >> (32 * half));
    sets[half] = {sets[half].effective & wanted, sets[half].effective & wanted, 0};
  }
  if (::syscall(SYS_capset, &header, sets) != 0) return errno_error(errno, "cannot give up capabilities");
  return {};
}

}  // namespace kflight::record
