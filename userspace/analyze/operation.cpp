// SPDX-License-Identifier: Apache-2.0
#include "analyze/operation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "dump/syscalls.hpp"
#include "model/descriptors.hpp"

namespace kflight::analyze {

using model::Call;
using model::Thread;
using model::ThreadId;
using model::Timeline;

namespace {

bool has_ended(const Thread& thread) {
  return !thread.intervals.empty() && thread.intervals.back().state == model::State::kExited;
}

// A call in flight ends with its thread, if that has ended: exit for one.
std::uint64_t end_of(const model::Timeline& timeline, const Thread& thread, std::uint32_t index) {
  const bool cut_off = Timeline::in_flight(thread, index) && has_ended(thread);
  return cut_off ? std::max(thread.intervals.back().begin_ns, thread.calls[index].begin_ns)
                 : timeline.call_end_ns(thread, index);
}

Operation of_call(const model::Timeline& timeline, ThreadId id, std::uint32_t index) {
  const Thread& thread = timeline.thread(id);
  const Call& call = thread.calls[index];
  Operation op;
  op.thread = id;
  op.begin_ns = call.begin_ns;
  op.end_ns = end_of(timeline, thread, index);
  op.call = index;
  op.in_flight = Timeline::in_flight(thread, index) && !has_ended(thread);
  if (call.returned()) op.ret = call.ret;
  return op;
}

// The call that fired, by what the trigger says and, where the events know more, by them.
Result<Operation> of_trigger(const model::Trace& trace) {
  const model::Timeline& timeline = trace.timeline();
  const Cause& cause = trace.meta().cause;
  const ThreadId id = timeline.find_thread(cause.tid, cause.enter_ns);
  if (id == model::kNoThread)
    return Error{Errc::kNotFound,
                 fmt::format("explain: the thread {} whose call fired the trigger has no event in the window; "
                             "choose another operation with --op or --tid (--list shows them)",
                             cause.tid)};
  const Thread& thread = timeline.thread(id);
  Operation op;
  op.thread = id;
  op.begin_ns = cause.enter_ns;
  op.end_ns = cause.exit_ns != 0 ? cause.exit_ns : timeline.end_ns();
  op.in_flight = cause.exit_ns == 0;
  if (!op.in_flight) op.ret = cause.ret;
  op.what = dump::syscall_name(cause.nr, cause.abi);
  const auto call = std::find_if(thread.calls.begin(), thread.calls.end(), [&cause](const Call& c) {
    return c.enter_known() && c.begin_ns == cause.enter_ns && c.nr == cause.nr;
  });
  if (call != thread.calls.end()) {
    const Operation seen = of_call(timeline, id, static_cast<std::uint32_t>(call - thread.calls.begin()));
    op.call = seen.call;
    op.what = model::describe_call(trace, thread, *call);
    if (op.in_flight) op = Operation{id, seen.begin_ns, seen.end_ns, seen.call, op.what, seen.in_flight, seen.ret};
  }
  op.end_ns = std::max(op.begin_ns, op.end_ns);
  return op;
}

Result<Operation> of_thread(const model::Trace& trace, const OperationChoice& choice) {
  const model::Timeline& timeline = trace.timeline();
  Operation op;
  op.begin_ns = choice.from_ns.value_or(timeline.begin_ns());
  op.end_ns = choice.to_ns.value_or(timeline.end_ns());
  if (op.begin_ns >= op.end_ns)
    return Error{Errc::kUsage, "explain: the interval is empty: --from must lie before --to"};
  op.thread = timeline.find_thread(*choice.tid, op.begin_ns);
  if (op.thread == model::kNoThread)
    return Error{Errc::kNotFound,
                 fmt::format("explain: no event of thread {} is in this dump; `kflight events --kind switch` "
                             "shows which threads ran",
                             *choice.tid)};
  return op;
}

}  // namespace

std::vector<Operation> slowest_operations(const model::Trace& trace, std::size_t most) {
  const model::Timeline& timeline = trace.timeline();
  const bool has_target = std::any_of(timeline.threads().begin(), timeline.threads().end(),
                                      [&trace](const Thread& thread) { return trace.is_target(thread); });
  struct Candidate {
    bool waits;
    std::uint64_t length_ns;
    ThreadId thread;
    std::uint32_t call;

    // Which of two comes first in the list; among equals the one that is found first.
    bool operator<(const Candidate& other) const {
      return std::tuple(waits, other.length_ns, thread, call) < std::tuple(other.waits, length_ns, other.thread, other.call);
    }
  };
  std::vector<Candidate> best;  // a heap with the last of the list on top: of millions of calls only these are kept
  const auto consider = [&best, most](const Candidate& candidate) {
    if (best.size() == most) {
      if (!(candidate < best.front())) return;
      std::pop_heap(best.begin(), best.end());
      best.pop_back();
    }
    best.push_back(candidate);
    std::push_heap(best.begin(), best.end());
  };
  for (ThreadId id = 0; id < timeline.threads().size() && most > 0; ++id) {
    const Thread& thread = timeline.thread(id);
    if (has_target && !trace.is_target(thread)) continue;
    std::uint32_t i = 0;
    for (const Call& call : thread.calls) {
      const std::uint32_t index = i++;
      if (!call.enter_known() || !(call.returned() || Timeline::in_flight(thread, index))) continue;
      const std::uint64_t end_ns = end_of(timeline, thread, index);
      if (end_ns > call.begin_ns) consider({dump::expected_to_block(call.nr), end_ns - call.begin_ns, id, index});
    }
  }
  std::sort_heap(best.begin(), best.end());
  std::vector<Operation> out;
  for (const Candidate& candidate : best) {
    const Thread& thread = timeline.thread(candidate.thread);
    out.push_back(of_call(timeline, candidate.thread, candidate.call));
    out.back().what = model::describe_call(trace, thread, thread.calls[candidate.call]);
  }
  return out;
}

Result<Operation> choose_operation(const model::Trace& trace, const OperationChoice& choice) {
  if (choice.tid) return of_thread(trace, choice);
  if (choice.from_ns || choice.to_ns)
    return Error{Errc::kUsage, "explain: --from and --to are times of one thread: add --tid"};
  if (!choice.op && trace.meta().cause.has_call) return of_trigger(trace);
  const std::size_t number = choice.op.value_or(1);
  const std::vector<Operation> slowest = slowest_operations(trace, std::max<std::size_t>(number, 1));
  if (number >= 1 && number <= slowest.size()) return slowest[number - 1];
  if (slowest.empty())
    return Error{Errc::kNotFound,
                 "explain: this dump holds no call with a known beginning; record with --syscalls slow "
                 "or all, or name a thread with --tid"};
  return Error{Errc::kUsage, fmt::format("explain: there is no operation {}; the list has {} (--list shows it)", number,
                                         slowest.size())};
}

}  // namespace kflight::analyze
