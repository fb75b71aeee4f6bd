// SPDX-License-Identifier: Apache-2.0
//
// event_filter.hpp - which events of a dump are wanted. Losses pass every filter but --kind, --cpu and the times: what
// is missing could have been about any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/options.hpp"
#include "cli/times.hpp"
#include "kflight/event.hpp"

namespace kflight::cli {

// "switch, waking, ...": all kinds, as the field table names them.
std::string event_kind_list();
Result<std::string> parse_event_kind(std::string_view text);

class EventFilter {
 public:
  static Result<EventFilter> create(const EventsOptions& options, const DumpClock& clock);

  bool wants(const Event& event) const;
  std::uint64_t to_ns() const { return to_ns_; }  // no event from here on is wanted

 private:
  std::vector<std::uint32_t> tids_;
  std::vector<std::uint32_t> cpus_;
  std::uint32_t kinds_ = ~0u;  // bit per alternative of Event
  std::uint64_t from_ns_ = 0;
  std::uint64_t to_ns_ = UINT64_MAX;
};

}  // namespace kflight::cli
