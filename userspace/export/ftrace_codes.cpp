// SPDX-License-Identifier: Apache-2.0
#include "export/ftrace_codes.hpp"

namespace kflight::exports {

using model::Interval;
using model::RunnableWhy;
using model::State;

namespace {

constexpr std::uint32_t kInHardirq = 0x08, kInSoftirq = 0x10, kInNmi = 0x40;

std::uint32_t blocked_state(std::uint8_t code) {
  switch (code) {
    case KF_ST_DISK:
    case KF_ST_KILLABLE:
    case KF_ST_RTLOCK:
      return kPrevDisk;
    case KF_ST_IDLE:
      return kPrevIdle;
    case KF_ST_PARKED:
      return kPrevParked;
    default:
      return kPrevSleep;
  }
}

}  // namespace

// There is no code for "not known"; nothing but kernel threads is ever parked.
std::uint32_t prev_state(const Interval& interval) {
  switch (interval.state) {
    case State::kRunnable:
      return interval.why() == RunnableWhy::kPreempted ? kPrevPreempted : kPrevRunning;
    case State::kRunning:
    case State::kThrottled:
      return kPrevPreempted;
    case State::kBlocked:
      return blocked_state(interval.detail);
    case State::kStopped:
      return interval.detail == KF_ST_TRACED ? kPrevTraced : kPrevStopped;
    case State::kExited:
      return kPrevDead;
    case State::kUnknown:
    case State::kNotBorn:
      break;
  }
  return kPrevParked;
}

std::uint32_t context_flags(std::uint8_t ctx) {
  switch (ctx) {
    case KF_CTX_SOFTIRQ:
      return kInSoftirq;
    case KF_CTX_HARDIRQ:
      return kInHardirq;
    case KF_CTX_NMI:
      return kInHardirq | kInNmi;
    default:
      return 0;
  }
}

}  // namespace kflight::exports
