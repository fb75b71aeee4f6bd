// SPDX-License-Identifier: Apache-2.0
#include "record/timer_functions.hpp"

#include <cstdio>
#include <cstring>
#include <memory>

namespace kflight::record {
namespace {

struct TimerFunction {
  std::size_t index;  // in kf_config.timer_functions
  const char* symbol;
};

constexpr TimerFunction kTimerFunctions[] = {
    {KF_TIMER_SLEEP, "hrtimer_wakeup"},    {KF_TIMER_TIMERFD, "timerfd_tmrproc"},
    {KF_TIMER_POSIX, "posix_timer_fn"},    {KF_TIMER_ITIMER, "it_real_fn"},
    {KF_TIMER_QUOTA, "sched_cfs_period_timer"}, {KF_TIMER_WORK, "delayed_work_timer_fn"},
    {KF_TIMER_CLASSES, "process_timeout"},
};

struct CloseFile {
  void operator()(FILE* file) const noexcept { std::fclose(file); }
};

}  // namespace

std::array<kf_u64, KF_TIMER_CLASSES + 1> timer_functions() {
  std::array<kf_u64, KF_TIMER_CLASSES + 1> addresses{};
  const std::unique_ptr<FILE, CloseFile> file(std::fopen("/proc/kallsyms", "re"));
  if (!file) return addresses;
  unsigned long long address = 0;
  char type = 0, name[128];
  // 120,000 lines: sscanf would take 50 ms, so the name is looked at first.
  char line[256];
  while (std::fgets(line, sizeof line, file.get())) {
    const char* symbol = std::strlen(line) > 19 ? line + 19 : "";
    for (const TimerFunction& function : kTimerFunctions) {
      if (symbol[0] != function.symbol[0] || std::strncmp(symbol, function.symbol, std::strlen(function.symbol)) != 0) continue;
      if (std::sscanf(line, "%llx %c %127s", &address, &type, name) == 3 && std::strcmp(name, function.symbol) == 0)
        addresses[function.index] = address;
    }
  }
  return addresses;
}

}  // namespace kflight::record
