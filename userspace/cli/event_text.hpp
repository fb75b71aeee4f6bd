// SPDX-License-Identifier: Apache-2.0
//
// event_text.hpp - events as people read them: one line each, the same columns for all.
#pragma once

#include <string>

#include "cli/thread_names.hpp"
#include "cli/times.hpp"
#include "kflight/event.hpp"

namespace kflight::cli {

class EventText {
 public:
  EventText(DumpClock& clock, const ThreadNames& names, bool absolute)
      : clock_(clock), names_(names), absolute_(absolute) {}

  void append_header(std::string& out) const;
  // A line with its end.
  void append(std::string& out, const Event& event);

 private:
  void append_time(std::string& out, std::uint64_t ts_ns);

  DumpClock& clock_;
  const ThreadNames& names_;
  bool absolute_;
};

}  // namespace kflight::cli
