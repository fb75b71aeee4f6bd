// SPDX-License-Identifier: Apache-2.0
#include "record/kernel_functions.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

namespace kflight::record {
namespace {

struct TimerFunction {
  std::size_t index;  // in kf_config.timer_functions
  std::string_view symbol;
};

constexpr TimerFunction kTimerFunctions[] = {
    {KF_TIMER_SLEEP, "hrtimer_wakeup"},         {KF_TIMER_TIMERFD, "timerfd_tmrproc"},
    {KF_TIMER_POSIX, "posix_timer_fn"},         {KF_TIMER_ITIMER, "it_real_fn"},
    {KF_TIMER_QUOTA, "sched_cfs_period_timer"}, {KF_TIMER_WORK, "delayed_work_timer_fn"},
    {KF_TIMER_CLASSES, "process_timeout"},      {KF_TIMER_CLASSES + 1, "sched_cfs_slack_timer"},
};

struct CloseFile {
  void operator()(FILE* file) const noexcept { std::fclose(file); }
};

// Calls fn(address, name) for each of 120,000 lines "ffffffff813b8bb0 t name\t[module]", so: no sscanf.
template <class F>
void for_each_symbol(F&& fn) {
  constexpr std::size_t kNameAt = 19;
  const std::unique_ptr<FILE, CloseFile> file(std::fopen("/proc/kallsyms", "re"));
  if (!file) return;
  char line[512];
  while (std::fgets(line, sizeof line, file.get())) {
    if (std::strlen(line) <= kNameAt) continue;
    const char* name = line + kNameAt;
    fn(std::strtoull(line, nullptr, 16), std::string_view(name, std::strcspn(name, "\t\n ")));
  }
}

}  // namespace

std::array<kf_u64, KF_TIMER_FUNCTIONS> timer_functions() {
  std::array<kf_u64, KF_TIMER_FUNCTIONS> addresses{};
  for_each_symbol([&addresses](std::uint64_t address, std::string_view name) {
    for (const TimerFunction& function : kTimerFunctions)
      if (name == function.symbol) addresses[function.index] = address;
  });
  return addresses;
}

std::vector<KernelFunction> FunctionNames::named(std::span<const std::uint64_t> addresses) {
  bool all_known = true;
  for (const std::uint64_t address : addresses) all_known &= !known_.try_emplace(address).second;
  if (!all_known)
    for_each_symbol([this](std::uint64_t address, std::string_view name) {
      if (const auto it = known_.find(address); it != known_.end() && it->second.empty()) it->second = name;
    });
  std::vector<KernelFunction> out;
  for (const std::uint64_t address : addresses)
    if (const std::string& name = known_[address]; !name.empty()) out.push_back({address, name});
  std::ranges::sort(out, {}, &KernelFunction::address);
  return out;
}

}  // namespace kflight::record
