// SPDX-License-Identifier: Apache-2.0
//
// call_slices.hpp - a thread's system calls as slices for a picture: one after the other, never overlapping, cut to the
// window. Where entry and return were recorded a slice is the call. A call that is known only from the switches it was
// in gives a slice per wait, from the switch-out to the switch-in: it lasted at least that long. One whose return is
// missing ends where it was last seen; one that had not returned when the window ended has no end.
#pragma once

#include <optional>

#include "model/timeline.hpp"

namespace kflight::exports {

struct CallSlice {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  bool ends = true;                   // end_ns is one
  const model::Call* call = nullptr;  // its result counts when it returned
};

class CallSlices {
 public:
  CallSlices(const model::Timeline& timeline, const model::Thread& thread) : timeline_(timeline), thread_(thread) {}
  // The next one; nothing after the last.
  std::optional<CallSlice> next();

 private:
  std::optional<CallSlice> whole(std::uint32_t index);
  std::optional<CallSlice> next_wait(std::uint32_t index);
  std::optional<CallSlice> cut(CallSlice slice);
  std::uint64_t wait_end_ns(std::uint32_t interval) const;

  const model::Timeline& timeline_;
  const model::Thread& thread_;
  std::uint32_t call_ = 0;
  std::uint32_t interval_ = 0;  // none before it belongs to call_ or a later one
  std::uint64_t ended_ns_ = 0;  // the last slice
};

}  // namespace kflight::exports
