// SPDX-License-Identifier: Apache-2.0
//
// wake_cause.hpp - what the recorder's KF_CAUSE_* mean to the model: the one place that translates them.
#pragma once

#include "model/interval.hpp"

namespace kflight::model {

constexpr CauseKind cause_kind(std::uint8_t wire_cause) {
  switch (wire_cause) {
    case KF_CAUSE_HRTIMER:
    case KF_CAUSE_TIMER:
      return CauseKind::kTimer;
    case KF_CAUSE_BLOCK:
      return CauseKind::kBlock;
    case KF_CAUSE_NET_RX:
      return CauseKind::kNetRx;
    case KF_CAUSE_SOFTIRQ:
      return CauseKind::kSoftirq;
    case KF_CAUSE_IRQ:
      return CauseKind::kIrq;
    case KF_CAUSE_WORK:
      return CauseKind::kWorkqueue;
    case KF_CAUSE_IPI:
      return CauseKind::kIpi;
    default:
      return CauseKind::kNotNoted;
  }
}

}  // namespace kflight::model
