// SPDX-License-Identifier: Apache-2.0
//
// explain_how.cpp - what is to be said of one wait besides the call it was in and whoever ended it.
#include <fmt/format.h>

#include "analyze/explain_words.hpp"
#include "base/escape.hpp"
#include "base/units.hpp"
#include "dump/kernel_names.hpp"
#include "dump/syscalls.hpp"
#include "model/names.hpp"

namespace kflight::analyze {

using model::kNone;

namespace {

bool is_exit(std::uint16_t nr) {
  static const auto kExit = dump::syscall_nr("exit"), kExitGroup = dump::syscall_nr("exit_group");
  return nr == kExit || nr == kExitGroup;
}

// The waker called futex on another address of the same process: the waiter was moved there meanwhile.
std::string moved_to(const ExplainedOperation& e, const model::Thread& waiter, const model::Call& wait,
                     const model::Wake& wake) {
  if (wake.ctx != KF_CTX_TASK || wake.waker >= model::kIdleThread) return "";
  const model::Thread& waker = e.timeline().thread(wake.waker);
  const std::uint32_t index = e.timeline().call_at(waker, wake.ts_ns);
  if (index == kNone || waker.tgid != waiter.tgid || waiter.tgid == 0) return "";
  const model::Call& call = waker.calls[index];
  const bool both_known = call.args_taken != KF_ARGS_NONE && wait.args_taken != KF_ARGS_NONE;
  if (!both_known || call.nr != wait.nr || call.arg0 == wait.arg0) return "";
  return fmt::format("moved to futex {:#x}", call.arg0);
}

std::string by_wake(const ExplainedOperation& e, const model::Thread& thread, const model::Interval& blocked) {
  if (blocked.wake == kNone) return "";
  const model::Wake& wake = e.timeline().wake(blocked.wake);
  if (wake.signal != 0) return "signal " + dump::signal_name(wake.signal);
  const model::WaitKind kind = model::wait_kind(thread, blocked);
  if (kind == model::WaitKind::kChild && is_exit(wake.waker_nr)) return "it exited";
  const model::Call* call = thread.call_of(blocked);
  return kind == model::WaitKind::kFutex && call ? moved_to(e, thread, *call, wake) : "";
}

std::string request_text(const model::BlockRequest& request) {
  if (request.bytes == 0 && request.op != 2) return "";  // what it was is not known; a flush has no bytes
  const std::string size = request.bytes == 0 ? "" : " of " + format_bytes(request.bytes);
  return fmt::format("{}{}{}", dump::block_op_name(request.op), size, request.failed ? " that failed" : "");
}

}  // namespace

std::string function_text(const ExplainedOperation& e, std::uint64_t address) {
  const std::string_view name = e.trace.function_name(address);
  return name.empty() ? fmt::format("{:#x}", address) : escape_for_terminal(name);
}

std::string how_text(const ExplainedOperation& e, const Hop& hop) {
  if (hop.interval == kNone) return "";
  const model::Thread& thread = e.timeline().thread(hop.thread);
  const model::Interval& blocked = thread.intervals[hop.interval];
  if (hop.request != kNone) return request_text(e.timeline().block_requests()[hop.request]);
  if (hop.work != kNone) return "work item " + function_text(e, e.timeline().works()[hop.work].function);
  if (std::string text = by_wake(e, thread, thread.intervals[hop.judged]); !text.empty()) return text;
  const model::IntervalNote* note = thread.note_of(blocked);
  if (!note) return "";
  const bool known = note->other < model::kIdleThread;
  const std::string holder = known ? " held by " + model::thread_name(e.timeline(), note->other, blocked.begin_ns) : "";
  if (note->kind == model::IntervalNote::Kind::kMutex) return "mutex of the kernel" + holder;
  if (note->kind == model::IntervalNote::Kind::kRtMutex) return "rt_mutex" + holder;
  if (note->kind == model::IntervalNote::Kind::kRwsem) return "rwsem of the kernel" + holder;
  if (note->kind == model::IntervalNote::Kind::kMmapLock) return "mmap_lock of its process" + holder;
  return "";
}

}  // namespace kflight::analyze
