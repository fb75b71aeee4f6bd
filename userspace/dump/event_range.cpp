// SPDX-License-Identifier: Apache-2.0
//
// EventRange's members, kept out of the public header together with the merger.
#include "dump/event_range.hpp"

namespace kflight {

EventRange::EventRange(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventRange::EventRange(EventRange&&) noexcept = default;
EventRange::~EventRange() = default;

EventRange::Iterator EventRange::begin() {
  impl_->step();
  return Iterator(this);
}

const Event& EventRange::Iterator::operator*() const noexcept { return range_->impl_->event; }

EventRange::Iterator& EventRange::Iterator::operator++() {
  range_->impl_->step();
  return *this;
}

bool EventRange::Iterator::done() const noexcept { return range_->impl_->done; }

}  // namespace kflight
