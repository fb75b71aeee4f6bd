// SPDX-License-Identifier: Apache-2.0
#include "analyze/explain_wake.hpp"

#include <vector>

#include "model/names.hpp"

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

WaitEnd unknown(ThreadId id) { return leaf(Category::kUnknown, {Who::Kind::kThread, id}, Quality::kUnknown); }

}  // namespace

WaitEnd WaitJudge::judge(ThreadId id, std::uint32_t first) {
  const Thread& thread = timeline_.thread(id);
  const std::uint32_t index = last_of_same_wait(id, first);
  const Interval& blocked = thread.intervals[index];
  if (blocked.wake == kNone) {
    const bool open = index + 1u == thread.intervals.size();
    return open ? leaf(Category::kStillBlocked, {Who::Kind::kThread, id}, Quality::kExact) : unknown(id);
  }
  const Wake& wake = timeline_.wake(blocked.wake);
  const bool timeout = timed_out(thread, index);
  if (wake.flags & model::kWakeLost)
    return timeout || slept_to_the_end(thread, index) ? timer(id, index, Quality::kInferred) : unknown(id);
  if (wake.ctx != KF_CTX_TASK) return by_interrupt(id, index, wake, timeout);
  if (timeout) return timer(id, index, Quality::kInferred);  // timers can run in a kernel thread
  if (wake.waker == model::kNoThread) return unknown(id);
  if (wake.waker == model::kIdleThread)
    return leaf(Category::kKernelUnattributed, {Who::Kind::kKernel, 0}, Quality::kInferred);
  WaitEnd end;
  end.kind = WaitEnd::Kind::kThread;
  end.waker = wake.waker;
  end.quality = Quality::kExact;
  return end;
}

// What the interrupted CPU noted decides; without a note, how the system call ended and what the wait was for.
WaitEnd WaitJudge::by_interrupt(ThreadId id, std::uint32_t index, const Wake& wake, bool timeout) const {
  if (timeout) return timer(id, index, Quality::kExact);
  switch (wake.cause) {
    case CauseKind::kTimer:
      return timer(id, index, Quality::kExact);
    case CauseKind::kBlock: {
      WaitEnd end = leaf(Category::kDiskService, {Who::Kind::kDisk, 0}, Quality::kInferred);
      if (wake.cause_ref >= timeline_.block_requests().size()) return end;
      end.kind = WaitEnd::Kind::kDisk;
      end.request = &timeline_.block_requests()[wake.cause_ref];
      end.who.id = end.request->dev;
      end.quality = Quality::kExact;
      return end;
    }
    case CauseKind::kNetRx:
      return by_network(wake, id, Quality::kExact);
    case CauseKind::kSoftirq:
      return leaf(wake.cause_ref == kRcuSoftirq ? Category::kRcu : Category::kIrq, {Who::Kind::kIrq, wake.cause_ref},
                  Quality::kExact);
    case CauseKind::kIrq:
      return leaf(Category::kIrq, {Who::Kind::kIrq, wake.cause_ref}, Quality::kExact);
    case CauseKind::kWorkqueue:
      return leaf(Category::kWorkqueue, {Who::Kind::kKernel, 0}, Quality::kExact);
    case CauseKind::kIpi:
      return leaf(Category::kKernelUnattributed, {Who::Kind::kKernel, 0}, Quality::kExact);
    case CauseKind::kNotNoted:
      break;
  }
  return by_unnoted_interrupt(id, timeline_.thread(id).intervals[index], wake);
}

WaitEnd WaitJudge::by_unnoted_interrupt(ThreadId id, const Interval& blocked, const Wake& wake) const {
  switch (model::wait_kind(timeline_.thread(id), blocked)) {
    case WaitKind::kSleep: {
      WaitEnd end = leaf(Category::kTimer, {Who::Kind::kThread, id}, Quality::kInferred);
      end.kind = WaitEnd::Kind::kTimer;
      return end;
    }
    case WaitKind::kDisk:
    case WaitKind::kPageFault:
      return leaf(Category::kDiskService, {Who::Kind::kDisk, 0}, Quality::kInferred);
    case WaitKind::kNetwork:
    case WaitKind::kPoll:
    case WaitKind::kFile:
      if (wake.ctx == KF_CTX_SOFTIRQ) return by_network(wake, id, Quality::kInferred);
      [[fallthrough]];
    default:
      return leaf(Category::kKernelUnattributed, {Who::Kind::kIrq, wake.ctx}, Quality::kInferred);
  }
}

// Over loopback the receiver's softirq runs inside the sender's own call: the interrupted task is the cause.
WaitEnd WaitJudge::by_network(const Wake& wake, ThreadId sleeper, Quality quality) const {
  const bool remote = wake.cause == CauseKind::kNetRx && wake.cause_ref == KF_NET_REMOTE;
  const bool task_sends =
      !remote && wake.waker < model::kIdleThread && wake.waker != sleeper && model::is_send_call(wake.waker_nr);
  if (!task_sends) return leaf(Category::kNetwork, {Who::Kind::kNetwork, 0}, quality);
  WaitEnd end;
  end.kind = WaitEnd::Kind::kThread;
  end.waker = wake.waker;
  end.quality = Quality::kInferred;
  return end;
}

WaitEnd WaitJudge::timer(ThreadId id, std::uint32_t index, Quality quality) const {
  WaitEnd end = leaf(Category::kTimer, {Who::Kind::kThread, id}, quality);
  end.kind = WaitEnd::Kind::kTimer;
  const Thread& thread = timeline_.thread(id);
  const Interval& blocked = thread.intervals[index];
  const Wake& wake = timeline_.wake(blocked.wake);
  if (wake.cause == CauseKind::kTimer && wake.cause_ref != kNone) {
    end.deadline_ns = wake.ts_ns - wake.cause_ref;
  } else if (blocked.call() < thread.calls.size()) {
    const model::Call& call = thread.calls[blocked.call()];
    const std::int64_t allowed_ms = model::timeout_ms(call);
    if (call.enter_known() && allowed_ms >= 0)
      end.deadline_ns = call.begin_ns + static_cast<std::uint64_t>(allowed_ms) * 1'000'000;
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

// A waking that did not end the wait: still in the same call, the thread ran for a moment and slept again. The whole
// wait is then judged by the waking that ended it. Only where calls are known by their entry, for otherwise a thread
// that got what it wanted and waits for the next looks the same.
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
    if (interval.state == State::kBlocked) return interval.call() == call ? i : kNone;
    if (interval.state == State::kRunnable) continue;
    if (interval.state != State::kRunning) return kNone;
    if (timeline_.interval_end_ns(thread, i) - interval.begin_ns >= kFalseWakeupNs) return kNone;
  }
  return kNone;
}

}  // namespace kflight::analyze
