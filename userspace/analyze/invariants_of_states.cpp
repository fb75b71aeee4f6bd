// SPDX-License-Identifier: Apache-2.0
//
// invariants_of_states.cpp - the Timeline by itself: every thread and every CPU is accounted for at every instant, both
// sides agree, and wakers were awake.
#include "analyze/invariants_of_states.hpp"

#include <algorithm>

namespace kflight::analyze {

using model::Piece;
using model::State;
using model::Thread;
using model::ThreadId;
using model::Timeline;

namespace {

bool ran_on(const Timeline& timeline, ThreadId id, std::uint16_t cpu, std::uint64_t ts_ns) {
  auto pieces = timeline.pieces(id, std::max(ts_ns, kClockStepNs) - kClockStepNs, ts_ns + kClockStepNs);
  for (Piece piece; pieces.next(piece);)
    if (piece.state == State::kRunning && timeline.thread(id).intervals[piece.index].cpu == cpu) return true;
  return false;
}

}  // namespace

bool in_doubt(const Timeline& timeline, ThreadId id, std::uint64_t ts_ns) {
  const Piece piece = timeline.piece_at(id, ts_ns);
  if (piece.index == model::kNone) return true;
  const Thread& thread = timeline.thread(id);
  const auto& intervals = thread.intervals;
  const auto unknown = [&](std::size_t i) { return intervals[i].state == State::kUnknown; };
  std::size_t first = piece.index, last = piece.index;
  while (first > 0 && unknown(first - 1)) --first;
  while (last + 1 < intervals.size() && unknown(last + 1)) ++last;
  if (first == 0 && unknown(0)) return true;  // not heard of before
  const std::uint64_t from_ns = std::max({intervals[first].begin_ns, timeline.begin_ns(), kClockStepNs});
  return timeline.losses().any_in(from_ns - kClockStepNs, timeline.interval_end_ns(thread, last) + kClockStepNs);
}

void states_tile(const model::Trace& trace, Tally tally, const CheckOptions&) {
  const Timeline& timeline = trace.timeline();
  for (ThreadId id = 0; id < timeline.threads().size(); ++id) {
    const Thread& thread = timeline.thread(id);
    tally.checked(thread.intervals.size());
    for (std::size_t i = 1; i < thread.intervals.size(); ++i)
      if (thread.intervals[i].begin_ns < thread.intervals[i - 1].begin_ns)
        tally.violate(moment(thread.intervals[i].begin_ns), thread.tid, "interval {} begins before the previous one",
                      i);
    std::uint64_t at_ns = timeline.begin_ns();
    auto pieces = timeline.pieces(id, timeline.begin_ns(), timeline.end_ns());
    for (Piece piece; pieces.next(piece); at_ns = piece.end_ns)
      if (piece.begin_ns != at_ns || piece.end_ns <= piece.begin_ns)
        tally.violate(moment(at_ns), thread.tid, "is in no state, or in two, from here to {}", piece.begin_ns);
    if (at_ns != timeline.end_ns())
      tally.violate(moment(at_ns), thread.tid, "is in no state from here to the window's end");
  }
}

// Sum of running time over threads and over CPUs, and the name on the CPU at each running interval's first instant.
void cpus_agree(const model::Trace& trace, Tally tally, const CheckOptions&) {
  const Timeline& timeline = trace.timeline();
  std::uint64_t running_ns = 0, busy_ns = 0;
  for (ThreadId id = 0; id < timeline.threads().size(); ++id) {
    const Thread& thread = timeline.thread(id);
    for (std::size_t i = 0; i < thread.intervals.size(); ++i) {
      if (thread.intervals[i].state != State::kRunning) continue;
      const std::uint64_t from_ns = std::max(thread.intervals[i].begin_ns, timeline.begin_ns());
      const std::uint64_t to_ns = timeline.interval_end_ns(thread, i);
      if (from_ns >= to_ns) continue;
      running_ns += to_ns - from_ns;
      tally.checked();
      model::OccupantPiece piece;
      timeline.occupants(thread.intervals[i].cpu, from_ns, to_ns).next(piece);
      if (piece.thread != id || piece.end_ns != to_ns)
        tally.violate(moment(from_ns, thread.intervals[i].cpu), thread.tid, "runs on a CPU that another task has");
    }
  }
  for (std::uint16_t cpu = 0; cpu < timeline.cpus(); ++cpu) {
    std::uint64_t at_ns = timeline.begin_ns();
    auto occupants = timeline.occupants(cpu, timeline.begin_ns(), timeline.end_ns());
    for (model::OccupantPiece piece; occupants.next(piece); at_ns = piece.end_ns) {
      if (piece.begin_ns != at_ns || piece.end_ns <= piece.begin_ns)
        tally.violate(moment(at_ns, cpu), 0, "the CPU has no occupant, or two, from here to {}", piece.begin_ns);
      if (piece.thread < model::kIdleThread) busy_ns += piece.end_ns - piece.begin_ns;
    }
    if (at_ns != timeline.end_ns()) tally.violate(moment(at_ns, cpu), 0, "the CPU has no occupant from here on");
  }
  if (running_ns != busy_ns)
    tally.violate(moment(timeline.begin_ns()), 0, "threads ran {} ns, CPUs were busy {} ns", running_ns, busy_ns);
}

void wakers_run(const model::Trace& trace, Tally tally, const CheckOptions&) {
  if (trace.meta().config.scope == "target")
    return tally.not_applicable("with --scope target, wakers outside it are not recorded");
  const Timeline& timeline = trace.timeline();
  for (const Thread& thread : timeline.threads()) {
    for (const model::Interval& interval : thread.intervals) {
      if (interval.state != State::kRunnable || interval.wake == model::kNone) continue;
      const model::Wake& wake = timeline.wake(interval.wake);
      const bool by_thread = wake.ctx == KF_CTX_TASK && wake.waker < model::kIdleThread;
      if (!by_thread || (wake.flags & model::kWakeLost) || wake.cpu == model::kNoCpu || wake.ts_ns < timeline.begin_ns())
        continue;
      tally.checked();
      if (ran_on(timeline, wake.waker, wake.cpu, wake.ts_ns)) continue;
      if (in_doubt(timeline, wake.waker, wake.ts_ns)) {
        tally.excuse();
      } else {
        tally.violate(moment(wake.ts_ns, wake.cpu), thread.tid, "was woken here by thread {}, which did not run here",
                      timeline.thread(wake.waker).tid);
      }
    }
  }
}

}  // namespace kflight::analyze
