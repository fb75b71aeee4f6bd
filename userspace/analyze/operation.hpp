// SPDX-License-Identifier: Apache-2.0
//
// operation.hpp - what is to be explained: the call that fired the trigger, one of the slowest calls of the window, or
// any stretch of a thread's time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kflight/result.hpp"
#include "model/trace.hpp"

namespace kflight::analyze {

struct Operation {
  model::ThreadId thread = model::kNoThread;
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  std::uint32_t call = model::kNone;  // in thread.calls; kNone: a stretch of time, or a call only the trigger knows
  std::string what;                   // "read fd 3"; empty for a stretch of time
  bool in_flight = false;             // had not returned when the window ended
  std::optional<std::int64_t> ret;

  std::uint64_t length_ns() const noexcept { return end_ns - begin_ns; }
};

// Which one; without any of the fields the trigger's, or else the slowest.
struct OperationChoice {
  std::optional<std::uint32_t> tid;
  std::optional<std::uint64_t> from_ns, to_ns;  // CLOCK_BOOTTIME; with tid
  std::optional<std::size_t> op;                // number in the list of slowest_operations(), from 1
};

// Finished and unfinished calls of the target (of all threads when the trace knows no target), the slowest first. Calls
// whose purpose is to wait come after all others.
std::vector<Operation> slowest_operations(const model::Trace& trace, std::size_t most);

Result<Operation> choose_operation(const model::Trace& trace, const OperationChoice& choice);

}  // namespace kflight::analyze
