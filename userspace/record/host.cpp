// SPDX-License-Identifier: Apache-2.0
#include "record/host.hpp"

#include <fmt/format.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

#include "base/clocks.hpp"
#include "record/loader.hpp"

namespace kflight::record {
namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::uint64_t nanoseconds(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_usec) * 1000u;
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

HostInfo read_host() {
  HostInfo host;
  utsname names{};
  if (uname(&names) == 0) {
    host.hostname = names.nodename;
    host.kernel_release = names.release;
    host.kernel_version = names.version;
    host.machine = names.machine;
  }
  host.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  host.cpus_possible = possible_cpus();
  host.cpus_online = static_cast<std::uint32_t>(online_cpus().size());
  host.clock_tick_hz = static_cast<std::uint32_t>(sysconf(_SC_CLK_TCK));
  return host;
}

Result<> require_host_clock() {
  std::ifstream file("/proc/self/timens_offsets");  // since Linux 5.5, "boottime SECONDS NANOSECONDS"
  std::string clock;
  std::int64_t seconds = 0, nanos = 0;
  while (file >> clock >> seconds >> nanos) {
    if (clock == "boottime" && (seconds != 0 || nanos != 0))
      return Error{Errc::kUnsupported,
                   fmt::format("kflight runs in a time namespace: its boot time is {}.{:09} s ahead of the kernel's, and "
                               "events would not fit it; run it in the host's (nsenter -t 1 -T)",
                               seconds, nanos)};
  }
  return {};
}

std::uint64_t process_cpu_ns() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
}

OwnCost read_own_cost(std::uint64_t started_ns, std::uint64_t cpu_at_start_ns) {
  OwnCost cost;
  cost.recorder_cpu_ns = process_cpu_ns() - cpu_at_start_ns;
  cost.recording_ns = boottime_ns() - started_ns;
  cost.rss_bytes = resident_bytes();
  return cost;
}

std::string executable_of(std::uint32_t tgid) {
  char target[PATH_MAX];
  const ssize_t length = ::readlink(fmt::format("/proc/{}/exe", tgid).c_str(), target, sizeof target);
  return length > 0 ? std::string(target, static_cast<std::size_t>(length)) : std::string();
}

}  // namespace kflight::record
