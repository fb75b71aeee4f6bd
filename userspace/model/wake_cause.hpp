// SPDX-License-Identifier: Apache-2.0
//
// wake_cause.hpp - what the recorder's KF_CAUSE_* mean to the model: the one place that translates them; and who is
// behind a waking by the network.
#pragma once

#include <string_view>

#include "model/interval.hpp"
#include "model/thread_table.hpp"

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

// "timer", "disk", ...; empty when nothing was noted. Append only: the names are part of JSON output.
std::string_view cause_name(CauseKind cause);

// By network receive processing: noted by the waking CPU or, without a note, to be inferred from what the wait was for.
bool is_network_wake(const Thread& sleeper, const Interval& blocked, const Wake& wake);
// Who on this machine sent the packet, kNoThread when nobody is known to have: noted, or whom the receiver's softirq has
// interrupted in a call that sends, which over loopback is the sender (a guess).
ThreadId network_sender(const Wake& network_wake, ThreadId sleeper);

}  // namespace kflight::model
