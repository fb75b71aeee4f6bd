// SPDX-License-Identifier: Apache-2.0
#include "model/wake_cause.hpp"

#include "model/names.hpp"

namespace kflight::model {

std::string_view cause_name(CauseKind cause) {
  switch (cause) {
    case CauseKind::kNotNoted:
      break;
    case CauseKind::kTimer:
      return "timer";
    case CauseKind::kBlock:
      return "disk";
    case CauseKind::kNetRx:
    case CauseKind::kSent:
      return "network";
    case CauseKind::kSoftirq:
      return "softirq";
    case CauseKind::kIrq:
      return "irq";
    case CauseKind::kWorkqueue:
      return "workqueue";
    case CauseKind::kIpi:
      return "ipi";
  }
  return "";
}

bool is_network_wake(const Thread& sleeper, const Interval& blocked, const Wake& wake) {
  if (wake.cause == CauseKind::kNetRx || wake.cause == CauseKind::kSent) return wake.ctx != KF_CTX_TASK;
  if (wake.cause != CauseKind::kNotNoted || wake.ctx != KF_CTX_SOFTIRQ) return false;
  const WaitKind kind = wait_kind(sleeper, blocked);
  return kind == WaitKind::kNetwork || kind == WaitKind::kPoll || kind == WaitKind::kFile;
}

ThreadId network_sender(const Wake& wake, ThreadId sleeper) {
  if (wake.cause == CauseKind::kSent) return wake.cause_ref == sleeper ? kNoThread : wake.cause_ref;
  const bool remote = wake.cause == CauseKind::kNetRx && wake.cause_ref == KF_NET_REMOTE;
  const bool sends = !remote && wake.waker < kIdleThread && wake.waker != sleeper && is_send_call(wake.waker_nr);
  return sends ? wake.waker : kNoThread;
}

}  // namespace kflight::model
