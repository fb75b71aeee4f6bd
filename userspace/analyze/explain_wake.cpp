// SPDX-License-Identifier: Apache-2.0
#include "analyze/explain_wake.hpp"

#include <cerrno>
#include <vector>

#include "model/names.hpp"
#include "model/wake_cause.hpp"

namespace kflight::analyze {

using model::CauseKind;
using model::Interval;
using model::kNone;
using model::State;
using model::Thread;
using model::ThreadId;
using model::WaitKind;
using model::Wake;

namespace {

constexpr std::uint64_t kFalseWakeupNs = 50'000;  // running longer than this between two waits was of use
constexpr std::uint32_t kRcuSoftirq = 9;          // include/linux/interrupt.h

WaitEnd leaf(Category category, Who who, Quality quality) {
  WaitEnd end;
  end.category = category;
  end.who = who;
  end.quality = quality;
  return end;
}

WaitEnd follow(ThreadId waker, Quality quality) {
  WaitEnd end;
  end.kind = WaitEnd::Kind::kThread;
  end.waker = waker;
  end.quality = quality;
  return end;
}

WaitEnd unknown(ThreadId id) { return leaf(Category::kUnknown, {Who::Kind::kThread, id}, Quality::kUnknown); }

// Kinds of waits that end when one condition holds, and that look at it again after a waking that was of no use.
bool waits_for_a_condition(WaitKind kind) {
  switch (kind) {
    case WaitKind::kFutex:
    case WaitKind::kSleep:
    case WaitKind::kPoll:
    case WaitKind::kNetwork:
    case WaitKind::kChild:
    case WaitKind::kSignal:
    case WaitKind::kFile:
      return true;
    default:
      return false;
  }
}

}  // namespace

WaitEnd WaitJudge::judge(ThreadId id, std::uint32_t first) {
  const std::uint32_t last = last_of_same_wait(id, first);
  WaitEnd end = judge_one(id, last);
  end.interval = last;
  return end;
}

WaitEnd WaitJudge::judge_one(ThreadId id, std::uint32_t index) const {
  const Thread& thread = timeline_.thread(id);
  const Interval& blocked = thread.intervals[index];
  if (blocked.wake == kNone) return not_woken(id, index);
  const Wake& wake = timeline_.wake(blocked.wake);
  const bool timeout = timed_out(thread, index);
  if (wake.flags & model::kWakeLost)
    return timeout || slept_to_the_end(thread, index) ? timer(id, index, Quality::kInferred) : unknown(id);
  if (wake.ctx != KF_CTX_TASK) return by_interrupt(id, index, wake, timeout);
  if (timeout) return timer(id, index, Quality::kInferred);  // timers can run in a kernel thread
  return by_task(id, wake);
}

// It still waits when the window ends: for whoever held the lock when the wait began, where that is known.
WaitEnd WaitJudge::not_woken(ThreadId id, std::uint32_t index) const {
  const Thread& thread = timeline_.thread(id);
  if (index + 1u != thread.intervals.size()) return unknown(id);
  const model::IntervalNote* note = thread.note_of(thread.intervals[index]);
  if (!note || note->other >= model::kIdleThread || note->other == id)
    return leaf(Category::kStillBlocked, {Who::Kind::kThread, id}, Quality::kExact);
  return follow(note->other, Quality::kInferred);
}

WaitEnd WaitJudge::by_task(ThreadId id, const Wake& wake) const {
  if (wake.waker == model::kNoThread) return unknown(id);
  if (wake.waker == model::kIdleThread)
    return leaf(Category::kKernelUnattributed, {Who::Kind::kKernel, 0}, Quality::kInferred);
  WaitEnd end = follow(wake.waker, Quality::kExact);
  if (wake.cause != CauseKind::kWorkqueue || wake.cause_ref >= timeline_.works().size()) return end;
  const model::WorkRun& work = timeline_.works()[wake.cause_ref];
  end.kind = WaitEnd::Kind::kWork;
  end.work = wake.cause_ref;
  if (timeline_.losses().any_in(work.started_ns, wake.ts_ns)) end.quality = Quality::kInferred;
  return end;
}

// What the interrupted CPU noted decides; without a note, how the system call ended and what the wait was for.
WaitEnd WaitJudge::by_interrupt(ThreadId id, std::uint32_t index, const Wake& wake, bool timeout) const {
  const Thread& thread = timeline_.thread(id);
  if (timeout) return timer(id, index, Quality::kExact);
  const bool idle_kworker =
      thread.intervals[index].detail == KF_ST_IDLE && thread.name_at(wake.ts_ns).starts_with("kworker/");
  if (wake.cause == CauseKind::kTimer && !idle_kworker) {
    // A futex that somebody else has woken returns 0: note and result disagree. And a timer that is of no kind which
    // processes set need not be the sleeper's own: drivers wake by theirs.
    const std::uint32_t call = thread.intervals[index].call();
    const bool disagree = call < thread.calls.size() && thread.calls[call].returned() && thread.calls[call].ret == 0 &&
                          model::wait_kind(thread, thread.intervals[index]) == WaitKind::kFutex;
    const bool own = !(wake.flags & model::kWakeOtherTimer);
    return timer(id, index, disagree || !own ? Quality::kInferred : Quality::kExact);
  }
  if (wake.cause == CauseKind::kNotNoted) return by_unnoted_interrupt(id, thread.intervals[index], wake);
  return by_noted_interrupt(id, wake);
}

WaitEnd WaitJudge::by_noted_interrupt(ThreadId id, const Wake& wake) const {
  switch (wake.cause) {
    case CauseKind::kBlock: {
      WaitEnd end = leaf(Category::kDiskService, {Who::Kind::kDisk, 0}, Quality::kInferred);
      if (wake.cause_ref >= timeline_.block_requests().size()) return end;
      end.kind = WaitEnd::Kind::kDisk;
      end.request = wake.cause_ref;
      end.who.id = timeline_.block_requests()[end.request].dev;
      end.quality = Quality::kExact;
      return end;
    }
    case CauseKind::kNetRx:
    case CauseKind::kSent:
      return by_softirqd(wake, by_network(wake, id, Quality::kExact));
    case CauseKind::kSoftirq: {
      const Category category = wake.cause_ref == kRcuSoftirq ? Category::kRcu : Category::kIrq;
      return by_softirqd(wake, leaf(category, {Who::Kind::kIrq, wake.cause_ref}, Quality::kExact));
    }
    case CauseKind::kIrq:
      return leaf(Category::kIrq, {Who::Kind::kIrq, wake.cause_ref}, Quality::kExact);
    case CauseKind::kTimer:  // of nobody's own: delayed work and the like
    case CauseKind::kWorkqueue:
      return leaf(Category::kWorkqueue, {Who::Kind::kKernel, 0}, Quality::kExact);
    default:
      return leaf(Category::kKernelUnattributed, {Who::Kind::kKernel, 0},
                  wake.cause == CauseKind::kIpi ? Quality::kExact : Quality::kInferred);
  }
}

bool is_softirqd(const Thread& thread, std::uint64_t at_ns) { return thread.name_at(at_ns).starts_with("ksoftirqd/"); }

// Softirqs that came too fast were left to ksoftirqd: from the moment it was woken it is a thread like any other.
WaitEnd WaitJudge::by_softirqd(const Wake& wake, WaitEnd end) const {
  if (wake.waker >= model::kIdleThread || end.waker == wake.waker) return end;
  const Thread& softirqd = timeline_.thread(wake.waker);
  if (!is_softirqd(softirqd, wake.ts_ns)) return end;
  const model::Piece now = timeline_.piece_at(wake.waker, wake.ts_ns);
  if (now.state != State::kRunning) return end;
  for (std::size_t i = now.index; i-- > 0;) {
    if (softirqd.intervals[i].state == State::kRunning || softirqd.intervals[i].state == State::kRunnable) continue;
    if (end.kind == WaitEnd::Kind::kThread) end.sender = end.waker;
    end.kind = WaitEnd::Kind::kSoftirqd;
    end.waker = wake.waker;
    end.deadline_ns = timeline_.interval_end_ns(softirqd, i);
    end.quality = Quality::kInferred;
    return end;
  }
  return end;
}

WaitEnd WaitJudge::judge_queuing(const model::WorkRun& work) const {
  const Wake& queued = work.queued;
  if (queued.ts_ns == 0) return leaf(Category::kWorkqueue, {Who::Kind::kKernel, 0}, Quality::kInferred);
  if (queued.ctx != KF_CTX_TASK) return by_noted_interrupt(work.worker, queued);
  WaitEnd end = by_task(work.worker, queued);
  // Queued by another work item: its kworker is followed as a thread. Going from item to item would be unbounded, for
  // one may queue the next forever, and nothing on that way shows a circle.
  if (end.kind == WaitEnd::Kind::kWork) end.kind = WaitEnd::Kind::kThread;
  return end;
}

WaitEnd WaitJudge::by_unnoted_interrupt(ThreadId id, const Interval& blocked, const Wake& wake) const {
  if (model::is_network_wake(timeline_.thread(id), blocked, wake)) return by_network(wake, id, Quality::kInferred);
  switch (model::wait_kind(timeline_.thread(id), blocked)) {
    case WaitKind::kSleep: {
      WaitEnd end = leaf(Category::kTimer, {Who::Kind::kThread, id}, Quality::kInferred);
      end.kind = WaitEnd::Kind::kTimer;
      return end;
    }
    case WaitKind::kDisk:
    case WaitKind::kPageFault:
      return leaf(Category::kDiskService, {Who::Kind::kDisk, 0}, Quality::kInferred);
    default:
      return leaf(Category::kKernelUnattributed, {Who::Kind::kIrq, wake.ctx}, Quality::kInferred);
  }
}

WaitEnd WaitJudge::by_network(const Wake& wake, ThreadId sleeper, Quality quality) const {
  const ThreadId sender = model::network_sender(wake, sleeper);
  // From a device without hardware it may be a packet of this machine, whose sending was not seen.
  if (wake.cause == CauseKind::kNetRx && wake.cause_ref == KF_NET_UNKNOWN) quality = Quality::kInferred;
  if (sender == model::kNoThread) return leaf(Category::kNetwork, {Who::Kind::kNetwork, 0}, quality);
  return follow(sender, wake.cause == CauseKind::kSent ? Quality::kExact : Quality::kInferred);
}

WaitEnd WaitJudge::timer(ThreadId id, std::uint32_t index, Quality quality) const {
  WaitEnd end = leaf(Category::kTimer, {Who::Kind::kThread, id}, quality);
  end.kind = WaitEnd::Kind::kTimer;
  const Thread& thread = timeline_.thread(id);
  const Interval& blocked = thread.intervals[index];
  const Wake& wake = timeline_.wake(blocked.wake);
  if (wake.cause == CauseKind::kTimer && wake.cause_ref != kNone) {
    end.deadline_ns = wake.ts_ns - wake.cause_ref;
  } else if (const model::Call* call = thread.call_of(blocked)) {
    const std::int64_t allowed_ms = model::timeout_ms(*call);
    if (call->enter_known() && allowed_ms >= 0)
      end.deadline_ns = call->begin_ns + static_cast<std::uint64_t>(allowed_ms) * 1'000'000;
  }
  return end;
}

// The wait of the call that this interval belongs to ended by its timeout: only the last one of the call can have.
bool WaitJudge::timed_out(const Thread& thread, std::uint32_t index) const {
  const std::uint32_t call = thread.intervals[index].call();
  if (call >= thread.calls.size() || !model::returned_timeout(thread.calls[call])) return false;
  for (std::size_t i = index + 1u; i < thread.intervals.size(); ++i) {
    if (thread.intervals[i].begin_ns >= thread.calls[call].end_ns) break;
    if (thread.intervals[i].state == State::kBlocked) return thread.intervals[i].call() != call;
  }
  return true;
}

// A call that asks for nothing but sleep, and returned 0: nobody cut it short.
bool WaitJudge::slept_to_the_end(const Thread& thread, std::uint32_t index) const {
  const std::uint32_t call = thread.intervals[index].call();
  return call < thread.calls.size() && thread.calls[call].enter_known() && thread.calls[call].returned() &&
         thread.calls[call].ret == 0 && model::wait_kind(thread, thread.intervals[index]) == WaitKind::kSleep;
}

// A waking that did not end the wait: the thread ran for a moment and slept again for the same, in the same call or,
// where all its calls are recorded, in the same one again without another in between that did anything. The whole wait
// is then judged by the waking that ended it. Only where calls are known by their entry, for otherwise a thread that
// got what it wanted and waits for the next looks the same.
std::uint32_t WaitJudge::last_of_same_wait(ThreadId id, std::uint32_t interval) {
  const Thread& thread = timeline_.thread(id);
  const auto key = [id](std::uint32_t index) { return std::uint64_t{id} << 32 | index; };
  if (const auto known = last_part_.find(key(interval)); known != last_part_.end()) return known->second;
  std::vector<std::uint32_t> parts{interval};
  std::uint32_t last = interval;
  for (std::uint32_t next; (next = next_part_of_wait(thread, last)) != kNone; last = next) parts.push_back(next);
  if (parts.size() == 1) return interval;
  for (std::uint32_t part : parts)
    if (last_part_.emplace(key(part), last).second && part != last) ++false_wakeups_;
  return last;
}

std::uint32_t WaitJudge::next_part_of_wait(const Thread& thread, std::uint32_t index) const {
  const std::uint32_t call = thread.intervals[index].call();
  if (call >= thread.calls.size() || !thread.calls[call].enter_known()) return kNone;
  for (std::uint32_t i = index + 1; i < thread.intervals.size(); ++i) {
    const Interval& interval = thread.intervals[i];
    if (interval.state == State::kBlocked) {
      const bool goes_on = interval.call() == call || re_entered(thread, call, interval.call());
      return goes_on && same_wait(thread, index, i) ? i : kNone;
    }
    if (interval.state == State::kRunnable) continue;
    if (interval.state != State::kRunning) return kNone;
    if (timeline_.interval_end_ns(thread, i) - interval.begin_ns >= kFalseWakeupNs) return kNone;
  }
  return kNone;
}

// A call can wait for one thing after the other: a write for the inode's lock, then for the disk. In the kernel's own
// waits only a lock's address shows that it is the same again.
bool WaitJudge::same_wait(const Thread& thread, std::uint32_t index, std::uint32_t next) const {
  const Interval &a = thread.intervals[index], &b = thread.intervals[next];
  const WaitKind kind = model::wait_kind(thread, a);
  if (a.detail != b.detail || kind != model::wait_kind(thread, b)) return false;
  if ((a.flags ^ b.flags) & model::kIntervalIowait) return false;
  const auto by_disk = [this](const Interval& blocked) {
    return blocked.wake != kNone && timeline_.wake(blocked.wake).cause == CauseKind::kBlock;
  };
  if (by_disk(a) || by_disk(b)) return false;
  if (a.detail == KF_ST_SLEEP && kind != WaitKind::kKernelLock) return waits_for_a_condition(kind);
  const model::IntervalNote *before = thread.note_of(a), *after = thread.note_of(b);
  return before && after && before->object != 0 && before->object == after->object;
}

// The thread was woken, found nothing to do and waits for the same again: a lock somebody else was faster to take, a
// connection that another thread accepted. Unlocking what was fought over, or waking anybody, would have been a call.
bool WaitJudge::re_entered(const Thread& thread, std::uint32_t call, std::uint32_t next_call) const {
  if (next_call >= thread.calls.size() || next_call <= call || !trace_.has_all_calls(thread)) return false;
  const model::Call &before = thread.calls[call], &after = thread.calls[next_call];
  if (before.nr != after.nr || before.abi != after.abi || before.arg0 != after.arg0 || before.arg1 != after.arg1)
    return false;
  for (std::uint32_t i = call + 1; i < next_call; ++i)
    if (!thread.calls[i].returned() || thread.calls[i].ret != -EAGAIN) return false;
  return model::waits_for_one_object(before);
}

}  // namespace kflight::analyze
