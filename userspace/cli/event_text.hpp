// SPDX-License-Identifier: Apache-2.0
//
// event_text.hpp - events as people read them: one line each, the same columns for all.
#pragma once

#include <string>
#include <string_view>

#include "cli/thread_names.hpp"
#include "cli/times.hpp"
#include "kflight/event.hpp"

namespace kflight::cli {

// "R", "S", "D", ... as ps shows them; "?" for a code without a name.
std::string_view state_letter(std::uint32_t code);
// "task", "softirq", "hardirq", "nmi".
std::string_view context_name(std::uint32_t code);
// "ring full", "nested event", "file damaged".
std::string_view block_phase_name(std::uint32_t code);  // KF_BLOCK_*
std::string_view loss_reason(std::uint32_t code);
// "exit 3", "killed by signal 9".
std::string exit_status_text(std::uint32_t wait_status);

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
