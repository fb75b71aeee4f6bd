// SPDX-License-Identifier: Apache-2.0
#include "export/call_slices.hpp"

#include <algorithm>

namespace kflight::exports {

using model::Call;
using model::kNone;
using model::State;

std::optional<CallSlice> CallSlices::next() {
  for (; call_ < thread_.calls.size(); ++call_) {
    const Call& call = thread_.calls[call_];
    if (!call.enter_known() && !call.returned()) {
      if (auto slice = next_wait(call_)) return slice;
      continue;
    }
    if (auto slice = whole(call_)) {
      ++call_;
      return slice;
    }
  }
  return {};
}

std::optional<CallSlice> CallSlices::whole(std::uint32_t index) {
  const Call& call = thread_.calls[index];
  CallSlice slice{call.begin_ns, call.end_ns, true, &call};
  if (call.returned()) return cut(slice);
  const bool exited = !thread_.intervals.empty() && thread_.intervals.back().state == State::kExited;
  if (!model::Timeline::in_flight(thread_, index)) {
    slice.end_ns = timeline_.call_end_ns(thread_, index);
  } else if (exited) {
    slice.end_ns = thread_.intervals.back().begin_ns;
  } else {
    slice.ends = false;
  }
  return cut(slice);
}

// Each wait in which the call was seen.
std::optional<CallSlice> CallSlices::next_wait(std::uint32_t index) {
  for (; interval_ < thread_.intervals.size(); ++interval_) {
    const model::Interval& interval = thread_.intervals[interval_];
    const std::uint32_t link = interval.call();
    if (link != kNone && link > index) return {};
    if (link != index) continue;
    const std::uint64_t end_ns = wait_end_ns(interval_);
    ++interval_;
    if (auto slice = cut({interval.begin_ns, end_ns, end_ns < timeline_.end_ns(), &thread_.calls[index]})) return slice;
  }
  return {};
}

// When the thread runs again after a wait.
std::uint64_t CallSlices::wait_end_ns(std::uint32_t interval) const {
  std::size_t last = interval;
  while (last + 1 < thread_.intervals.size() && thread_.intervals[last + 1].state == State::kRunnable) ++last;
  return timeline_.interval_end_ns(thread_, last);
}

// To the window, and behind the slice before.
std::optional<CallSlice> CallSlices::cut(CallSlice slice) {
  if (slice.ends && slice.end_ns > timeline_.end_ns()) slice.ends = false;
  slice.begin_ns = std::max({slice.begin_ns, timeline_.begin_ns(), ended_ns_});
  const bool outside = slice.begin_ns >= timeline_.end_ns() || (slice.ends && slice.end_ns <= timeline_.begin_ns());
  if (outside || (slice.ends && slice.end_ns <= slice.begin_ns)) return {};
  ended_ns_ = slice.ends ? slice.end_ns : timeline_.end_ns();
  return slice;
}

}  // namespace kflight::exports
