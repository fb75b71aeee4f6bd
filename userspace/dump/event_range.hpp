// SPDX-License-Identifier: Apache-2.0
//
// event_range.hpp - what stands behind EventRange: a merger and the event it gave last.
#pragma once

#include <utility>

#include "dump/merge.hpp"
#include "kflight/dump.hpp"

namespace kflight {

struct EventRange::Impl {
  explicit Impl(dump::Merger events) : merger(std::move(events)) {}
  void step() { done = !merger.next(event); }

  dump::Merger merger;
  Event event;
  bool done = false;
};

}  // namespace kflight
