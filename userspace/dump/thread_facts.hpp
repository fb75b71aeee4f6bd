// SPDX-License-Identifier: Apache-2.0
//
// thread_facts.hpp - what is worth remembering of one thread: the rules by which an event replaces an older fact.
//
// Chunks of different CPUs leave the window one after the other although their events interleave, so facts arrive out
// of order. Every rule therefore compares times and never relies on what came before: any order gives the same facts.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kflight/dump_format.h"
#include "kflight/event.hpp"

namespace kflight::dump {

// kf_base_task.out_flags
inline constexpr kf_u8 kOutPreempt = 1, kOutIowait = 2, kOutThrottled = 4, kOutHasSys = 8, kOutOnCpu = 16;

struct ThreadFacts {
  // What switches and wakings look at comes first, up to the task's `sys`: with many threads each line of it is a miss.
  static constexpr std::size_t kHotBytes = 3 * 64;

  kf_u64 first_event_ns = 0;
  kf_u64 not_before_ns = 0;  // events before this time are of an earlier thread with the same tid
  kf_u64 call_ns = 0;        // when what is known about the call in flight was true
  kf_u64 entry_told_ns = 0;  // when its entry was told of; 0: it was not
  kf_u64 no_call_ns = 0;     // when it was last known to be in another call, or none, before that
  kf_u64 runnable_ns = 0;    // last switch-out that says nothing of a call whose entry is known, and otherwise: in none
  kf_u64 comm_ns = 0;        // when the name was given; 0 when it comes from a snapshot
  kf_base_task task{};
  kf_base_stack stack{};  // taken at its last switch-out, if its out_ns is that of the task

  explicit ThreadFacts(kf_u32 tid) {
    task.tid = tid;
    task.waker_nr = KF_WAKER_NO_SYS;
  }

  void switched_in(const SwitchEvent& e) {
    if ((task.known & KF_BASE_EXITED) && e.ts_ns > task.out_ns) forget_before(task.out_ns + 1);  // its fork was lost
    if (!note(e.ts_ns) || e.ts_ns < task.in_ns) return;
    task.in_ns = e.ts_ns;
    task.in_cpu = e.cpu;
    if (e.ts_ns >= task.out_ns) task.prio = e.next_prio;
  }
  void switched_out(const SwitchEvent& e);
  void woken(const WakingEvent& e) {
    if (!note(e.ts_ns)) return;
    if (e.has_wakeup) placed(e.wakeup_ns, e.target_cpu);
    if (e.ts_ns < task.waking_ns) return;
    task.waking_ns = e.ts_ns;
    task.waking_cpu = e.cpu;
    task.waker_tid = e.tid;
    task.waking_ctx = e.ctx;
    task.waking_cause = e.cause;
    task.waker_nr = e.waker_nr;
    task.cause_detail = e.cause_detail;
    task.cause_args[0] = e.cause_args[0];
    task.cause_args[1] = e.cause_args[1];
  }
  // Put on the queue of `cpu`, by a wakeup or a migration.
  void enqueued(std::uint64_t ts_ns, std::uint16_t cpu) {
    if (note(ts_ns)) placed(ts_ns, cpu);
  }
  void call_ended(std::uint64_t ts_ns) {
    if (note(ts_ns)) set_call(ts_ns, nullptr, 0);
  }
  void call_open(const SyscallOpenEvent& e) {
    if (note(e.ts_ns)) set_call(e.ts_ns, &e.sys, e.enter_ns);
  }
  void forked(const ForkEvent& e);
  void named(std::uint64_t ts_ns, const Comm& comm);
  void exiting(const ExitEvent& e);
  // `former` is this thread under the tid it had before exec gave it the dead leader's.
  void continues(const ThreadFacts& former);
  void snapshot(const kf_task& seen);

  // With a known entry it goes on until its end is told, whatever switch-outs leave out.
  bool in_call() const {
    return (task.out_flags & kOutHasSys) && (task.call_enter_ns != 0 || runnable_ns <= call_ns);
  }

  // False: nothing is known about it but that an older bearer of its tid is gone.
  bool worth_keeping() const { return task.known != 0 || task.last_event_ns != 0; }

 private:
  // The event is this thread's. Whatever a snapshot said at the same time or later, the events say it better.
  bool note(kf_u64 ts_ns) {
    if (ts_ns < not_before_ns) return false;
    if (ts_ns > task.last_event_ns) task.last_event_ns = ts_ns;
    if (ts_ns < first_event_ns || first_event_ns == 0) first_event_ns = ts_ns;
    if ((task.known & KF_BASE_SNAPSHOT) && ts_ns <= task.snapshot_ns) drop_snapshot();
    return true;
  }
  void placed(kf_u64 ts_ns, std::uint16_t cpu) {
    if (ts_ns < task.wakeup_ns) return;
    task.wakeup_ns = ts_ns;
    task.wakeup_cpu = cpu;
  }
  // In which call it was at ts_ns; null: in none. Only the first switch-out of a call tells of its entry, and may be folded
  // after later ones: it counts unless the thread was in another call, or in none, in between.
  void set_call(kf_u64 ts_ns, const kf_sys* sys, kf_u64 enter_ns) {
    const bool later = ts_ns >= call_ns;
    const bool same = sys && (task.out_flags & kOutHasSys) && same_request(*sys, task.sys);
    if (!same) {
      no_call_ns = std::max(no_call_ns, std::min(ts_ns, call_ns));
      if (ts_ns >= entry_told_ns) entry_told_ns = task.call_enter_ns = 0;
    }
    if (later) {
      call_ns = ts_ns;
      task.out_flags = static_cast<kf_u8>(sys ? task.out_flags | kOutHasSys : task.out_flags & ~kOutHasSys);
      if (sys) task.sys = *sys;
    }
    if (enter_ns != 0 && ts_ns >= entry_told_ns && (later || (same && ts_ns > no_call_ns))) {
      entry_told_ns = ts_ns;
      task.call_enter_ns = enter_ns;
    }
  }
  static bool same_request(const kf_sys& a, const kf_sys& b) {  // as model/call_log.cpp compares
    return a.nr == b.nr && a.abi == b.abi && a.args[0] == b.args[0] &&
           static_cast<kf_u32>(a.args[1]) == static_cast<kf_u32>(b.args[1]) &&
           static_cast<kf_u32>(a.args[2]) == static_cast<kf_u32>(b.args[2]);
  }
  void take_in(const ThreadFacts& from);
  void take_out(const ThreadFacts& from);
  void take_waking(const ThreadFacts& from);
  void take_call(const ThreadFacts& from);
  void take_identity(const ThreadFacts& from);
  ThreadFacts facts_since(kf_u64 ts_ns) const;
  void drop_snapshot();
  void forget_before(kf_u64 ts_ns);
};

}  // namespace kflight::dump
