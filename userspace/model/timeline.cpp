// SPDX-License-Identifier: Apache-2.0
#include "model/timeline.hpp"

#include <algorithm>

namespace kflight::model {

namespace {

// Index of the last record that begins at or before t (0 when all begin later). Of records that begin together it is
// the last one, so those of no length are never found.
template <class Row>
std::size_t last_at_or_before(const Row& row, std::uint64_t t_ns) {
  auto after = std::upper_bound(row.begin(), row.end(), t_ns,
                                [](std::uint64_t t, const auto& record) { return t < record.begin_ns; });
  return after == row.begin() ? 0 : static_cast<std::size_t>(after - row.begin()) - 1;
}

}  // namespace

PieceCursor::PieceCursor(const Timeline& timeline, ThreadId thread, std::uint64_t a_ns, std::uint64_t b_ns)
    : timeline_(&timeline), thread_(&timeline.thread(thread)), at_ns_(a_ns), end_ns_(b_ns) {
  index_ = last_at_or_before(thread_->intervals, std::max(a_ns, timeline.begin_ns()));
}

// The piece from at_ns_ to the first interval or to the window, whichever is earlier, or behind the window.
Piece PieceCursor::outside() const {
  Piece piece{at_ns_, end_ns_};
  if (at_ns_ < timeline_->begin_ns()) {
    piece.end_ns = std::min(end_ns_, timeline_->begin_ns());
  } else if (at_ns_ < timeline_->end_ns()) {
    if (!thread_->intervals.empty()) piece.end_ns = std::min(end_ns_, thread_->intervals.front().begin_ns);
    piece.end_ns = std::min(piece.end_ns, timeline_->end_ns());
    if (thread_->born_ns != 0) piece.state = State::kNotBorn;
  }
  return piece;
}

bool PieceCursor::next(Piece& piece) {
  if (at_ns_ >= end_ns_) return false;
  const auto& intervals = thread_->intervals;
  while (index_ < intervals.size() && timeline_->interval_end_ns(*thread_, index_) <= at_ns_) ++index_;
  const bool inside = at_ns_ >= timeline_->begin_ns() && index_ < intervals.size() &&
                      intervals[index_].begin_ns <= at_ns_ && at_ns_ < timeline_->end_ns();
  if (inside) {
    piece = {at_ns_, std::min(end_ns_, timeline_->interval_end_ns(*thread_, index_)), intervals[index_].state,
             static_cast<std::uint32_t>(index_)};
  } else {
    piece = outside();
  }
  at_ns_ = piece.end_ns;
  return true;
}

OccupantCursor::OccupantCursor(const Timeline& timeline, std::uint16_t cpu, std::uint64_t a_ns, std::uint64_t b_ns)
    : timeline_(&timeline),
      row_(cpu < timeline.cpus() && !timeline.occupancy(cpu).empty() ? &timeline.occupancy(cpu) : nullptr),
      at_ns_(a_ns),
      end_ns_(b_ns) {
  if (row_) index_ = last_at_or_before(*row_, a_ns);
}

bool OccupantCursor::next(OccupantPiece& piece) {
  if (at_ns_ >= end_ns_) return false;
  piece = {at_ns_, end_ns_, kNoThread};
  if (row_ && at_ns_ < timeline_->end_ns()) {
    const std::uint64_t begins = (*row_)[index_].begin_ns;
    if (begins > at_ns_) {
      piece.end_ns = std::min(end_ns_, begins);
    } else {
      const std::uint64_t ends = index_ + 1 < row_->size() ? (*row_)[index_ + 1].begin_ns : timeline_->end_ns();
      piece.end_ns = std::min(end_ns_, ends);
      piece.thread = (*row_)[index_].thread;
      if (index_ + 1 < row_->size()) ++index_;
    }
  }
  at_ns_ = piece.end_ns;
  return true;
}

QueueCursor::QueueCursor(const Timeline& timeline, const Interval& runnable, std::uint64_t a_ns, std::uint64_t b_ns)
    : timeline_(&timeline), at_ns_(a_ns), end_ns_(b_ns), next_move_(runnable.first_move()) {
  current_.cpu = runnable.cpu;
  if (runnable.wake == kNone || (runnable.flags & kIntervalUnplaced)) return;
  const std::uint64_t enqueued_ns = timeline.wake(runnable.wake).enqueued_ns;
  if (enqueued_ns <= a_ns) return;
  current_.end_ns = enqueued_ns;
  current_.on_its_way = true;
}

bool QueueCursor::next(QueuePiece& piece) {
  while (at_ns_ < end_ns_) {
    QueuePiece found = current_;
    const std::uint64_t move_ns = next_move_ == kNone ? end_ns_ : timeline_->move(next_move_).ts_ns;
    found.begin_ns = at_ns_;
    found.end_ns = std::min(end_ns_, found.on_its_way ? current_.end_ns : move_ns);
    if (found.on_its_way) {
      current_.on_its_way = false;
      found.cpu = kNoCpu;
    } else if (next_move_ != kNone) {
      current_.cpu = timeline_->move(next_move_).cpu;
      next_move_ = timeline_->move(next_move_).next;
    }
    if (found.end_ns <= found.begin_ns) continue;
    at_ns_ = found.end_ns;
    piece = found;
    return true;
  }
  return false;
}

ThreadId Timeline::find_thread(std::uint32_t tid, std::uint64_t at_ns) const {
  ThreadId best = kNoThread;
  std::uint64_t best_distance = ~0ULL;
  bool best_had_it = false;  // at that very time: around an exec by a non-leader two threads have one tid, in turn
  for (ThreadId id = 0; id < threads_.size(); ++id) {
    const Thread& thread = threads_[id];
    if ((thread.tid != tid && thread.former_tid != tid) || thread.intervals.empty()) continue;
    const std::uint64_t from = thread.intervals.front().begin_ns;
    const Interval& last = thread.intervals.back();
    const std::uint64_t to = last.state == State::kExited ? last.begin_ns : end_ns_ + 1;
    const std::uint64_t distance = at_ns < from ? from - at_ns : at_ns >= to ? at_ns - to + 1 : 0;
    const bool had_it = thread.tid_at(at_ns) == tid;
    if (best == kNoThread || distance < best_distance || (distance == best_distance && had_it && !best_had_it)) {
      best = id;
      best_distance = distance;
      best_had_it = had_it;
    }
  }
  return best;
}

std::span<const InterruptTime> Timeline::interrupts(std::uint16_t cpu, std::uint64_t a_ns, std::uint64_t b_ns) const {
  if (cpu >= interrupts_.size() || a_ns >= b_ns) return {};
  const auto& of_cpu = interrupts_[cpu];
  const auto first = std::ranges::upper_bound(of_cpu, a_ns, {}, &InterruptTime::end_ns);
  const auto last = std::ranges::lower_bound(first, of_cpu.end(), b_ns, {}, &InterruptTime::begin_ns);
  return {first, last};
}

Piece Timeline::piece_at(ThreadId thread, std::uint64_t t_ns) const {
  Piece piece;
  PieceCursor(*this, thread, t_ns, t_ns + 1).next(piece);
  return piece;
}

bool had_no_other_turn(const Thread& thread, std::size_t index) {
  const auto& intervals = thread.intervals;
  if (intervals[index].state == State::kBlocked) ++index;
  while (index < intervals.size() && intervals[index].state == State::kRunnable) ++index;
  return index + 1 < intervals.size() && intervals[index].state == State::kRunning &&
         !(intervals[index].flags & kIntervalInferred) && (intervals[index + 1].flags & kIntervalInSequence);
}

bool Timeline::may_miss_events(const Thread& thread, std::size_t index) const {
  const Interval& interval = thread.intervals[index];
  const std::uint8_t wake_flags = interval.wake == kNone ? 0 : wakes_[interval.wake].flags;
  if (wake_flags & kWakeLost) return true;
  if (!losses_.any_in(interval.begin_ns, interval_end_ns(thread, index))) return false;
  const bool woken_in_sight = interval.wake != kNone && !(wake_flags & kWakeEarly);
  switch (interval.state) {
    case State::kRunning:
      return !had_no_other_turn(thread, index) &&
             losses_.any_in(interval.cpu, interval.begin_ns, interval_end_ns(thread, index));
    case State::kBlocked:
      // The kernel announces a waking only of a thread that still sleeps: no earlier one can be missing.
      return !(woken_in_sight && had_no_other_turn(thread, index));
    case State::kRunnable: {
      // It waited in one place when it was put there by the waking's own event, or was preempted there, and ran there.
      const bool placed = interval.wake == kNone || (woken_in_sight && (wake_flags & kWakeMerged));
      const bool ran_here = index + 1 < thread.intervals.size() &&
                            thread.intervals[index + 1].state == State::kRunning &&
                            thread.intervals[index + 1].cpu == interval.cpu;
      return !(placed && ran_here && interval.first_move() == kNone && had_no_other_turn(thread, index));
    }
    default:
      return true;
  }
}

std::uint32_t Timeline::call_at(const Thread& thread, std::uint64_t t_ns) const {
  if (thread.calls.empty()) return kNone;
  const std::size_t index = last_at_or_before(thread.calls, t_ns);
  const Call& call = thread.calls[index];
  if (call.begin_ns > t_ns) return kNone;
  const auto found = static_cast<std::uint32_t>(index);
  const bool known = call.returned() || call.enter_known();
  return known && (t_ns < call_end_ns(thread, found) || in_flight(thread, found)) ? found : kNone;
}

std::uint64_t Timeline::call_end_ns(const Thread& thread, std::uint32_t index) const {
  const Call& call = thread.calls[index];
  if (call.returned()) return call.end_ns;
  if (in_flight(thread, index)) return std::max(end_ns_, call.begin_ns);
  const std::uint64_t seen_ns = std::max(call.begin_ns, call.end_ns);
  if (thread.intervals.empty() || thread.intervals.front().begin_ns > seen_ns) return seen_ns;
  std::size_t i = last_at_or_before(thread.intervals, seen_ns);
  const auto queued = [&](std::size_t at) {
    return thread.intervals[at].state == State::kRunnable || thread.intervals[at].state == State::kThrottled;
  };
  const bool waits = thread.intervals[i].state == State::kBlocked || thread.intervals[i].state == State::kStopped;
  if (!queued(i) && !(waits && thread.intervals[i].call() == index)) return seen_ns;
  while (i + 1 < thread.intervals.size() && queued(i + 1)) ++i;
  return interval_end_ns(thread, i);
}

}  // namespace kflight::model
