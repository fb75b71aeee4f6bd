// SPDX-License-Identifier: Apache-2.0
//
// trigger_spec.hpp - the one place that knows how a trigger is written:
//
//   trigger   := ("syscall" | "inflight") [":" call ("," call)*] condition*
//   condition := ">" duration | "<" duration | "!" errno          each at most once; ">" or "!" must be there
//
//   syscall>50ms   syscall:fsync,pwrite64>20ms   syscall:futex>1s<10s   syscall:read!EAGAIN>5ms   inflight:fsync>2s
//
// "syscall" looks at calls when they return, "inflight" at calls that have not returned yet. The errno is the one at
// the call's exit: a call that a signal interrupts leaves with ERESTARTSYS there, even if the program then sees EINTR.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kflight/result.hpp"

namespace kflight::record {

enum class TriggerKind { kSyscall, kInflight };

struct TriggerRule {
  TriggerKind kind = TriggerKind::kSyscall;
  std::vector<std::uint32_t> calls;           // native numbers, each once; empty: every call
  std::uint64_t min_ns = 0;                   // at least this long ...
  std::uint64_t max_ns = UINT64_MAX;          // ... and shorter than this
  std::optional<std::uint32_t> error_number;  // positive

  // Calls whose purpose is to wait do not count: nobody asked for them by name or by result.
  bool leaves_out_waits() const noexcept { return calls.empty() && !error_number; }
};

// kUsage with the column, what was expected there and the nearest valid word, then the text with the place underlined.
Result<TriggerRule> parse_trigger(std::string_view text_untrusted);

// The canonical text: parse_trigger(to_text(rule)) gives the same rule.
std::string to_text(const TriggerRule& rule);

}  // namespace kflight::record
