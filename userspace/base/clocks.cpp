// SPDX-License-Identifier: Apache-2.0
//
// clocks.cpp - vDSO clock readings; no system call on usual hardware.
#include "base/clocks.hpp"

#include <ctime>
#include <limits>

namespace kflight {

namespace {

constexpr int kTries = 5;

std::uint64_t read_clock(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

std::uint64_t boottime_ns() { return read_clock(CLOCK_BOOTTIME); }

ClockReading read_all_clocks() {
  ClockReading best;
  auto best_bracket_ns = std::numeric_limits<std::uint64_t>::max();
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const auto before = boottime_ns();
    const auto monotonic = read_clock(CLOCK_MONOTONIC);
    const auto realtime = read_clock(CLOCK_REALTIME);
    const auto bracket_ns = boottime_ns() - before;
    if (bracket_ns >= best_bracket_ns) continue;
    best_bracket_ns = bracket_ns;
    best = {.boottime = before + bracket_ns / 2, .monotonic = monotonic, .realtime = realtime};
  }
  return best;
}

}  // namespace kflight
