// SPDX-License-Identifier: Apache-2.0
//
// timeline.hpp - what was each thread doing, and who held each CPU, at any moment of the window? Built once by
// TimelineBuilder; every analysis and every exporter of states reads this and nothing below it. Immutable, so any
// number of threads may read it at once.
//
// Two invariants hold whatever the events were: a thread's intervals leave no gap from its first instant in the window
// to the window's end, and a thread is kRunning on a CPU exactly while that CPU's occupancy names it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <memory_resource>
#include <span>
#include <string>
#include <vector>

#include "model/interval.hpp"
#include "model/losses.hpp"
#include "model/thread_table.hpp"

namespace kflight::model {

// A stretch of a thread's time, cut to what was asked for.
struct Piece {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  State state = State::kUnknown;
  std::uint32_t index = kNone;  // of its interval; kNone outside the thread's intervals or the window

  std::uint64_t length_ns() const noexcept { return end_ns - begin_ns; }
};

struct OccupantPiece {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  ThreadId thread = kNoThread;
};

// A stretch of a runnable interval on one queue.
struct QueuePiece {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  std::uint16_t cpu = kNoCpu;  // kNoCpu: on its way, between the waking and the enqueue, or not known
  bool on_its_way = false;
};

// What interrupts took from whoever had the CPU. Of several short ones only the last one's end is known, and how long they
// were together: they stand as one before that end.
struct InterruptTime {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  std::uint32_t count = 0;
  std::uint8_t cause = KF_CAUSE_NONE;  // of the longest, as in InterruptsEvent
  std::uint16_t cause_detail = 0;
};

// What building met on the way; all zero but early_wakes and spurious_wakings when nothing was lost.
struct TimelineCounters {
  std::uint64_t events = 0;
  std::uint64_t spurious_wakings = 0;  // of threads that were not asleep
  std::uint64_t early_wakes = 0;       // that came before the sleeper's switch-out
  std::uint64_t no_wakes = 0;          // switched in from sleep without a waking: signals, or losses
  std::uint64_t lost_wakings = 0;      // known from the enqueue alone
  std::uint64_t lost_switches = 0;     // by the threads' own sequence numbers
  std::uint64_t misfits = 0;           // events that contradict the state before them
};

// The thread was seen to be switched in after interval `index` (or at its beginning), and the switch-out that followed
// was its next one after the last before the interval: then it had no other turn on a CPU, whatever events are missing.
bool had_no_other_turn(const Thread& thread, std::size_t index);

class Timeline;

// Tiles [a,b) with one thread's states. Parts outside the window come back as kUnknown.
class PieceCursor {
 public:
  PieceCursor(const Timeline& timeline, ThreadId thread, std::uint64_t a_ns, std::uint64_t b_ns);
  bool next(Piece& piece);

 private:
  Piece outside() const;

  const Timeline* timeline_;
  const Thread* thread_;
  std::uint64_t at_ns_;
  std::uint64_t end_ns_;
  std::size_t index_ = 0;  // of the interval that holds at_ns_ or is the next one
};

class OccupantCursor {
 public:
  OccupantCursor(const Timeline& timeline, std::uint16_t cpu, std::uint64_t a_ns, std::uint64_t b_ns);
  bool next(OccupantPiece& piece);

 private:
  const Timeline* timeline_;
  const Log<Occupancy>* row_;  // null: a CPU nothing is known of
  std::uint64_t at_ns_;
  std::uint64_t end_ns_;
  std::size_t index_ = 0;
};

// Tiles a piece of a runnable interval with the queues the thread waited on.
class QueueCursor {
 public:
  QueueCursor(const Timeline& timeline, const Interval& runnable, std::uint64_t a_ns, std::uint64_t b_ns);
  bool next(QueuePiece& piece);

 private:
  const Timeline* timeline_;
  std::uint64_t at_ns_;
  std::uint64_t end_ns_;
  QueuePiece current_;
  std::uint32_t next_move_;
};

class Timeline {
 public:
  std::uint64_t begin_ns() const noexcept { return begin_ns_; }
  std::uint64_t end_ns() const noexcept { return end_ns_; }

  const std::deque<Thread>& threads() const noexcept { return threads_; }
  const Thread& thread(ThreadId id) const { return threads_[id]; }
  // The thread that had this tid at that time, or the one closest to it; kNoThread when nobody ever had it.
  ThreadId find_thread(std::uint32_t tid, std::uint64_t at_ns) const;

  // Of interval `index` of a thread: where it ends (the window's end for the last).
  std::uint64_t interval_end_ns(const Thread& thread, std::size_t index) const {
    return index + 1 < thread.intervals.size() ? thread.intervals[index + 1].begin_ns : end_ns_;
  }
  PieceCursor pieces(ThreadId thread, std::uint64_t a_ns, std::uint64_t b_ns) const {
    return PieceCursor(*this, thread, a_ns, b_ns);
  }
  Piece piece_at(ThreadId thread, std::uint64_t t_ns) const;

  std::uint16_t cpus() const noexcept { return static_cast<std::uint16_t>(occupancy_.size()); }
  const Log<Occupancy>& occupancy(std::uint16_t cpu) const { return occupancy_[cpu]; }
  OccupantCursor occupants(std::uint16_t cpu, std::uint64_t a_ns, std::uint64_t b_ns) const {
    return OccupantCursor(*this, cpu, a_ns, b_ns);
  }
  QueueCursor queues(const Interval& runnable, std::uint64_t a_ns, std::uint64_t b_ns) const {
    return QueueCursor(*this, runnable, a_ns, b_ns);
  }

  const Wake& wake(std::uint32_t index) const { return wakes_[index]; }
  const Move& move(std::uint32_t index) const { return moves_[index]; }
  // By time, none overlaps another: those of this CPU that reach into [a_ns, b_ns).
  std::span<const InterruptTime> interrupts(std::uint16_t cpu, std::uint64_t a_ns, std::uint64_t b_ns) const;
  const std::vector<BlockRequest>& block_requests() const noexcept { return block_requests_; }
  const std::vector<WorkRun>& works() const noexcept { return works_; }
  const LossIndex& losses() const noexcept { return losses_; }
  // Where only events of requests to disks and of signals are missing: there were more than a CPU may write.
  const LossIndex& capped() const noexcept { return capped_; }
  const TimelineCounters& counters() const noexcept { return counters_; }
  // An event that would have ended this interval otherwise may be among the lost ones.
  bool may_miss_events(const Thread& thread, std::size_t index) const;
  // Nothing says that call `index` of a thread has returned: no return, no later call, no wait outside of it.
  static bool in_flight(const Thread& thread, std::uint32_t index) {
    const Call& call = thread.calls[index];
    return !call.returned() && !call.left() && index + 1u == thread.calls.size();
  }
  // Where it ends: with its return; where that was lost, where it was last seen, which is when the thread ran again after
  // its last wait in it; in flight, with the window.
  std::uint64_t call_end_ns(const Thread& thread, std::uint32_t index) const;
  // The call the thread was in at that instant, as far as entry and end are known; kNone otherwise.
  std::uint32_t call_at(const Thread& thread, std::uint64_t t_ns) const;

 private:
  friend class TimelineBuilder;

  // Of all logs. Shared, because a deque that was moved from still refers to it.
  const std::shared_ptr<std::pmr::monotonic_buffer_resource> memory_ =
      std::make_shared<std::pmr::monotonic_buffer_resource>();
  std::uint64_t begin_ns_ = 0;
  std::uint64_t end_ns_ = 0;
  std::deque<Thread> threads_;
  std::deque<Log<Occupancy>> occupancy_;  // by CPU, each from begin_ns_ on, or empty
  Log<Wake> wakes_{memory_.get()};
  Log<Move> moves_{memory_.get()};
  std::vector<std::vector<InterruptTime>> interrupts_;  // by CPU
  std::vector<BlockRequest> block_requests_;
  std::vector<WorkRun> works_;
  LossIndex losses_;
  LossIndex capped_;
  TimelineCounters counters_;
};

}  // namespace kflight::model
