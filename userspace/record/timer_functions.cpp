// SPDX-License-Identifier: Apache-2.0
#include "record/timer_functions.hpp"

#include <cstddef>
#include <string_view>

#include "record/kallsyms.hpp"

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

}  // namespace

std::array<kf_u64, KF_TIMER_FUNCTIONS> timer_functions() {
  std::array<kf_u64, KF_TIMER_FUNCTIONS> addresses{};
  for_each_function(read_kallsyms(), [&addresses](const FunctionLine& line) {
    for (const TimerFunction& function : kTimerFunctions)
      if (line.name == function.symbol) addresses[function.index] = line.address;
  });
  return addresses;
}

}  // namespace kflight::record
