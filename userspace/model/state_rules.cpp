// SPDX-License-Identifier: Apache-2.0
//
// state_rules.cpp - how a thread gets from one state to the next. The one rule that is not plain: a waking may carry an
// earlier time than the switch-out it ends, because the waker only waits for the sleeper to leave its CPU, it does not
// wait to announce the waking. Such an early waking is remembered and decided upon lazily: if the thread is next
// enqueued or switched in without another waking, it was the one; if another one comes, it was not.
#include <algorithm>

#include "dump/syscalls.hpp"
#include "model/call_log.hpp"
#include "model/timeline_builder.hpp"

namespace kflight::model {

namespace {

struct Left {
  State state;
  std::uint8_t detail;
};

Left runnable(RunnableWhy why) { return {State::kRunnable, static_cast<std::uint8_t>(why)}; }

bool wants_cpu(const Left& left) { return left.state == State::kRunnable || left.state == State::kThrottled; }

bool yields(const SwitchEvent& event) {
  static const auto kYield = dump::syscall_nr("sched_yield");
  return event.has_sys && event.sys.abi == KF_ABI_NATIVE && event.sys.nr == kYield;
}

// What a thread does after it was switched out; the order of the rules matters.
Left state_after(const SwitchEvent& event) {
  if (event.prev_state == KF_ST_DEAD) return {State::kExited, KF_ST_DEAD};
  const bool stays_runnable = event.preempt || event.prev_state == KF_ST_RUNNING;
  if (event.throttled && stays_runnable) return {State::kThrottled, 0};
  if (event.preempt) return runnable(RunnableWhy::kPreempted);
  if (stays_runnable) return runnable(yields(event) ? RunnableWhy::kYielded : RunnableWhy::kPreempted);
  if (event.prev_state == KF_ST_STOPPED || event.prev_state == KF_ST_TRACED) return {State::kStopped, event.prev_state};
  return {State::kBlocked, event.prev_state};
}

// A preempted thread's call is named at its first switch-out only. It goes on if its return will be an event, as it is
// where its entry was seen.
bool ends_with_event(const Thread& thread, std::uint32_t call) {
  return call != kNone && thread.calls[call].enter_known();
}

}  // namespace

void TimelineBuilder::switch_out(const SwitchEvent& event) {
  const ThreadId id = threads_.find(event.tid);  // observe_current() made it run here
  const bool in_sequence = check_sequence(id, event.nsw);
  ThreadState& thread_state = state(id);
  thread_state.last_cpu = event.cpu;
  thread_state.prio = event.prev_prio;
  thread_state.was_placed = true;

  const Left left = state_after(event);
  Interval next{event.ts_ns, kNone, kNone, event.cpu, left.state, left.detail, 0, event.prev_prio};
  if (event.in_iowait) next.flags |= kIntervalIowait;
  if (in_sequence) next.flags |= kIntervalInSequence;
  if (event.has_sys) {
    const auto call = note_call(threads_[id], thread_state.open_call, event.sys, event.enter_ns, event.ts_ns);
    if (left.state != State::kRunnable) next.link = call;
  } else if (!wants_cpu(left) || !ends_with_event(threads_[id], thread_state.open_call)) {
    const bool waits = left.state == State::kBlocked || left.state == State::kStopped;
    if (waits && thread_state.open_call != kNone) threads_[id].calls[thread_state.open_call].flags |= kCallLeft;
    thread_state.open_call = kNone;
  }
  push(id, next);
  keep_note(id, event);
  if (left.state == State::kStopped && left.detail == KF_ST_STOPPED) stops_.emplace_back(id, open(id).begin_ns);
  thread_state.after_out = static_cast<std::uint32_t>(threads_[id].intervals.size() - 1);

  // An early waking whose enqueue came before the switch-out found the thread awake; one enqueued after it is this
  // sleep's.
  if (thread_state.has_early && thread_state.early.enqueued_ns != 0) {
    if (left.state == State::kBlocked && thread_state.early.enqueued_ns >= event.ts_ns) return wake_early(id);
    thread_state.has_early = false;
  }
  if (left.state == State::kBlocked && event.prev_state == KF_ST_WAKING) {
    if (!thread_state.has_early) thread_state.early = {event.ts_ns, 0, kNoThread, 0, kNoCpu};
    wake_early(id);
  }
}

void TimelineBuilder::switch_in(std::uint32_t tid, std::uint16_t cpu, std::uint64_t ts_ns, std::uint8_t prio) {
  const ThreadId id = alive_and_known(tid, ts_ns);
  ThreadState& thread_state = state(id);
  Interval& interval = open(id);
  if (interval.state == State::kRunning) {
    ++out_.counters_.misfits;
    if (interval.cpu != cpu) {
      note_unreported_loss(interval.cpu, std::max(interval.begin_ns, cpus_[interval.cpu].last_ns), ts_ns);
      vacate(interval, ts_ns);
    }
  } else if (interval.state == State::kStopped) {
    interval.flags |= kIntervalInferred;
  } else if (interval.state == State::kBlocked && thread_state.has_early) {
    wake_early(id);
  } else if (interval.state == State::kBlocked) {
    no_wakes_.push_back({id, static_cast<std::uint32_t>(threads_[id].intervals.size() - 1), interval});
    interval = {
        interval.begin_ns, kNone, kNone, cpu, State::kRunnable, static_cast<std::uint8_t>(RunnableWhy::kNoWake), 0,
        interval.prio};
  }
  thread_state.has_early = false;
  thread_state.prio = prio;
  push_running(id, cpu, ts_ns);
}

void TimelineBuilder::wake(const WakeFact& fact) {
  const bool wakes_itself = fact.wake.ctx == KF_CTX_TASK && fact.waker_tid == fact.wakee;
  if (fact.wakee == 0 || wakes_itself) return;
  const ThreadId id = alive_and_known(fact.wakee, fact.wake.ts_ns);
  Wake remembered = fact.wake;
  remembered.waker = thread_of(fact.waker_tid);
  remember_wake(id, remembered);
  switch (open(id).state) {
    case State::kBlocked:
    case State::kStopped:
    case State::kUnknown:
      wake_sleeper(id, fact);
      break;
    default: {
      // Runnable: it may run already, its switch-in lost.
      ++out_.counters_.spurious_wakings;
      ThreadState& thread_state = state(id);
      thread_state.has_early = true;
      thread_state.early = fact.wake;
      thread_state.early.waker = fact.waker_tid == 0 ? kIdleThread : threads_.find(fact.waker_tid);
      thread_state.early_queue_cpu = fact.queue_cpu;
    }
  }
}

void TimelineBuilder::wake_sleeper(ThreadId id, const WakeFact& fact) {
  ThreadState& thread_state = state(id);
  Wake wake = fact.wake;
  wake.waker = fact.waker_tid == 0 ? kIdleThread : threads_.find(fact.waker_tid);
  const std::uint32_t index = keep(wake);
  open(id).wake = index;
  thread_state.has_early = false;
  thread_state.prio = fact.wakee_prio;
  Interval next{
      wake.ts_ns,     index, kNone, fact.queue_cpu, State::kRunnable, static_cast<std::uint8_t>(RunnableWhy::kWoken), 0,
      fact.wakee_prio};
  if (wake.enqueued_ns != 0) {
    out_.wakes_.back().flags |= kWakeMerged;
  } else {
    next.flags |= kIntervalUnplaced;
    if (thread_state.last_cpu != kNoCpu) next.cpu = thread_state.last_cpu;
  }
  push(id, next);
}

// The early waking was the one that ended this sleep: nothing of it was left when the thread had gone to sleep.
void TimelineBuilder::wake_early(ThreadId id) {
  ThreadState& thread_state = state(id);
  ++out_.counters_.early_wakes;
  Wake wake = thread_state.early;
  wake.flags |= kWakeEarly;
  const std::uint32_t index = keep(wake);
  Interval& sleep = open(id);
  sleep.wake = index;
  const bool placed = wake.enqueued_ns != 0;
  Interval next{sleep.begin_ns,
                index,
                kNone,
                placed ? thread_state.early_queue_cpu : thread_state.last_cpu,
                State::kRunnable,
                static_cast<std::uint8_t>(RunnableWhy::kWoken),
                placed ? std::uint8_t{0} : kIntervalUnplaced,
                sleep.prio};
  thread_state.has_early = false;
  push(id, next);
}

// Put on the queue of `cpu`.
void TimelineBuilder::enqueue(std::uint32_t tid, std::uint16_t cpu, std::uint64_t ts_ns) {
  const ThreadId id = alive_and_known(tid, ts_ns);
  ThreadState& thread_state = state(id);
  switch (open(id).state) {
    case State::kRunnable:
      place(id, cpu, ts_ns);
      break;
    case State::kBlocked:
      if (thread_state.has_early) {
        wake_early(id);
        place(id, cpu, ts_ns);
      } else {
        lost_waking(id, cpu, ts_ns);
      }
      break;
    case State::kUnknown:
    case State::kStopped:
      lost_waking(id, cpu, ts_ns);
      break;
    case State::kRunning:
      thread_state.has_early = false;  // it was still queued and its state went back to running: the waking is used up
      break;
    default:
      break;
  }
}

// Runnable, and now on the queue of `cpu`.
void TimelineBuilder::place(ThreadId id, std::uint16_t cpu, std::uint64_t ts_ns) {
  Interval& interval = open(id);
  ThreadState& thread_state = state(id);
  if (interval.flags & kIntervalUnplaced) {
    interval.flags &= static_cast<std::uint8_t>(~kIntervalUnplaced);
    interval.cpu = cpu;
    if (interval.wake != kNone) out_.wakes_[interval.wake].enqueued_ns = ts_ns;
    return;
  }
  const bool moved = interval.link != kNone;
  if ((moved ? out_.moves_[thread_state.last_move].cpu : interval.cpu) == cpu) return;
  const auto index = static_cast<std::uint32_t>(out_.moves_.size());
  out_.moves_.push_back({ts_ns, kNone, cpu});
  (moved ? out_.moves_[thread_state.last_move].next : interval.link) = index;
  thread_state.last_move = index;
}

// An enqueue tells of a waking nobody saw.
void TimelineBuilder::lost_waking(ThreadId id, std::uint16_t cpu, std::uint64_t ts_ns) {
  ++out_.counters_.lost_wakings;
  Wake wake{ts_ns, ts_ns};
  wake.flags = kWakeLost;
  const std::uint32_t index = keep(wake);
  open(id).wake = index;
  push(id, {ts_ns, index, kNone, cpu, State::kRunnable, static_cast<std::uint8_t>(RunnableWhy::kWoken),
            kIntervalInferred, state(id).prio});
}

void TimelineBuilder::fork(const ForkEvent& event) {
  const ThreadId old = threads_.find(event.child_tid);
  if (old != kNoThread) end_life(old, event.ts_ns);
  const ThreadId id = threads_.create(event.child_tid);
  Thread& thread = threads_[id];
  thread.tgid = event.child_tgid;
  thread.parent = event.parent_tid == 0 ? kIdleThread : threads_.find(event.parent_tid);
  thread.start_ns = event.child_start_ns;
  thread.born_ns = event.ts_ns;
  thread.cgroup_id = event.cgroup_id;
  if (!event.comm.view().empty()) thread.names.push_back({event.ts_ns, event.comm});
  Wake wake{event.ts_ns, 0, thread.parent, 0, event.cpu};
  push(id, {event.ts_ns, keep(wake), kNone, event.cpu, State::kRunnable, static_cast<std::uint8_t>(RunnableWhy::kNew),
            kIntervalUnplaced});
  // The kernel counts a new thread's switches from 0, so its first one tells of those before it, too.
  state(id).last_nsw = 0;
  state(id).after_out = static_cast<std::uint32_t>(thread.intervals.size() - 1);
}

// nvcsw + nivcsw grows by one per switch-out: a larger step means that switches of this thread are missing, so whatever
// seems to have happened since the last one is not known. True when none is missing.
bool TimelineBuilder::check_sequence(ThreadId id, std::uint8_t nsw) {
  const std::int16_t last = state(id).last_nsw;
  state(id).last_nsw = nsw;
  if (last < 0) return false;
  const auto missing = static_cast<std::uint8_t>(nsw - last - 1);
  if (missing == 0) return true;
  out_.counters_.lost_switches += missing;
  forget_since_last_switch_out(id);
  return false;
}

void TimelineBuilder::forget_since_last_switch_out(ThreadId id) {
  auto& intervals = threads_[id].intervals;
  const std::size_t first = std::min<std::size_t>(state(id).after_out, intervals.size() - 1);
  for (std::size_t i = first; i < intervals.size(); ++i) {
    Interval& interval = intervals[i];
    if (interval.state == State::kRunning) {
      auto& row = out_.occupancy_[interval.cpu];
      const auto after = std::ranges::upper_bound(row, interval.begin_ns, {}, &Occupancy::begin_ns);
      if (after != row.begin() && std::prev(after)->thread == id) std::prev(after)->thread = kNoThread;
    }
    interval.link = kNone;
    interval.state = State::kUnknown;
  }
}

// A sleep that nobody ended was none, unless the waking was lost. Losses are known only after what they hide.
void TimelineBuilder::doubt_no_wakes() {
  for (const auto& [id, index, sleep] : no_wakes_) {
    auto& intervals = threads_[id].intervals;
    if (index >= intervals.size()) continue;
    Interval& interval = intervals[index];
    if (interval.state != State::kRunnable || interval.why() != RunnableWhy::kNoWake) continue;
    const std::uint64_t end_ns = index + 1 < intervals.size() ? intervals[index + 1].begin_ns : out_.end_ns_;
    if (!out_.losses_.any_in(interval.begin_ns, end_ns)) {
      ++out_.counters_.no_wakes;
      continue;
    }
    // Its numbers say that it had no other turn meanwhile: it did sleep, and only its waking is missing.
    interval = sleep;
    interval.flags |= kIntervalInferred;
    if (had_no_other_turn(threads_[id], index)) {
      Wake wake{end_ns, end_ns};
      wake.flags = kWakeLost;
      interval.wake = keep(wake);
    } else {
      interval.state = State::kUnknown;
      interval.link = kNone;
    }
  }
}

// At the window's end an early waking has not been decided upon: the sleep may be none.
void TimelineBuilder::doubt_undecided_sleeps() {
  for (ThreadId id = 0; id < states_.size(); ++id) {
    const bool asleep = !threads_[id].intervals.empty() && open(id).state == State::kBlocked;
    if (states_[id].has_early && asleep) open(id).flags |= kIntervalInferred;
  }
}

// No longer the thread its tid means, without an end of its own having been seen.
void TimelineBuilder::end_life(ThreadId id, std::uint64_t ts_ns) {
  if (threads_[id].intervals.empty()) return;
  const Interval& interval = open(id);
  if (interval.state == State::kExited) return;
  if (interval.state == State::kRunning) vacate(interval, ts_ns);
  push(id, {ts_ns, kNone, kNone, interval.cpu, State::kExited, KF_ST_DEAD, kIntervalInferred});
}

// The thread a tid means now; when its life has ended, another one must have begun unseen.
ThreadId TimelineBuilder::alive(std::uint32_t tid, std::uint64_t ts_ns) {
  const ThreadId id = threads_.get(tid);
  const auto& intervals = threads_[id].intervals;
  if (intervals.empty() || intervals.back().state != State::kExited || intervals.back().begin_ns >= ts_ns) return id;
  const std::uint64_t ended_ns = intervals.back().begin_ns;
  const ThreadId next = threads_.create(tid);
  push(next, {ended_ns, kNone, kNone, kNoCpu, State::kUnknown});
  return next;
}

ThreadId TimelineBuilder::alive_and_known(std::uint32_t tid, std::uint64_t ts_ns) {
  const ThreadId id = alive(tid, ts_ns);
  if (threads_[id].intervals.empty())
    push(id, {std::min(out_.begin_ns_, ts_ns), kNone, kNone, kNoCpu, State::kUnknown});
  return id;
}

TimelineBuilder::ThreadState& TimelineBuilder::state(ThreadId id) {
  if (id >= states_.size()) states_.resize(std::max<std::size_t>(threads_.size(), id + 1u));
  return states_[id];
}

// Opens the next interval. One that ended where it began leaves no trace, but for a sleep whose waking came early; nor
// does one from before the window.
void TimelineBuilder::push(ThreadId id, const Interval& interval) {
  auto& intervals = threads_[id].intervals;
  if (intervals.empty()) {
    intervals.push_back(interval);
    return;
  }
  Interval next = interval;
  next.begin_ns = std::max(next.begin_ns, intervals.back().begin_ns);
  const bool empty = intervals.back().begin_ns == next.begin_ns && intervals.back().state != State::kBlocked;
  if (empty || next.begin_ns <= out_.begin_ns_) {
    intervals.back() = next;
  } else {
    intervals.push_back(next);
  }
}

void TimelineBuilder::push_running(ThreadId id, std::uint16_t cpu, std::uint64_t ts_ns) {
  displace(cpu, id, ts_ns);
  push(id, {ts_ns, kNone, kNone, cpu, State::kRunning, 0, 0, state(id).prio});
  state(id).last_cpu = cpu;
  state(id).was_placed = true;
  occupy(cpu, id, ts_ns);
}

std::uint32_t TimelineBuilder::keep(const Wake& wake) {
  out_.wakes_.push_back(wake);
  return static_cast<std::uint32_t>(out_.wakes_.size() - 1);
}

}  // namespace kflight::model
