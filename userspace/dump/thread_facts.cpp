// SPDX-License-Identifier: Apache-2.0
//
// The rarer rules: the end and the beginning of a thread's life, exec's change of tid, snapshots. What happens at every
// event is inline in the header.
#include "dump/thread_facts.hpp"

#include <algorithm>
#include <cstring>

namespace kflight::dump {

void ThreadFacts::switched_out(const SwitchEvent& e) {
  if (!note(e.ts_ns)) return;
  const bool dead = e.prev_state == KF_ST_DEAD;
  if (dead && task.in_ns > e.ts_ns) return forget_before(e.ts_ns + 1);  // the tid has a new bearer, its fork was lost
  ++task.switch_outs;
  const bool stays_runnable = !dead && (e.preempt || e.prev_state == KF_ST_RUNNING);
  if (e.has_sys || !stays_runnable) set_call(e.ts_ns, e.has_sys ? &e.sys : nullptr, e.enter_ns);
  else runnable_ns = std::max<kf_u64>(runnable_ns, e.ts_ns);
  if (e.ts_ns < task.out_ns) return;
  task.known = (task.known & ~(KF_BASE_SNAPSHOT | KF_BASE_EXITED)) | (dead ? KF_BASE_EXITED : 0);
  task.out_ns = e.ts_ns;
  task.out_cpu = e.cpu;
  task.out_state = e.prev_state;
  task.out_flags = static_cast<kf_u8>((task.out_flags & kOutHasSys) | (e.preempt ? kOutPreempt : 0) |
                                      (e.in_iowait ? kOutIowait : 0) | (e.throttled ? kOutThrottled : 0));
  task.out_nsw = e.nsw;
  if (e.ts_ns >= task.in_ns) task.prio = e.prev_prio;
}

void ThreadFacts::forked(const ForkEvent& e) {
  if (e.ts_ns < not_before_ns) return;
  forget_before(e.ts_ns);
  note(e.ts_ns);
  task.tgid = e.child_tgid;
  task.parent_tid = e.parent_tid;
  task.known |= KF_BASE_IDENTITY;
  task.start_ns = e.child_start_ns;
  task.cgroup_id = e.cgroup_id;
  task.fork_ns = e.ts_ns;
  if (task.waking_ns == 0) task.waking_cpu = e.cpu;
  named(e.ts_ns, e.comm);
}

void ThreadFacts::named(std::uint64_t ts_ns, const Comm& comm) {
  if (!note(ts_ns) || ts_ns < comm_ns) return;
  comm_ns = ts_ns;
  std::memcpy(task.comm, comm.bytes.data(), sizeof task.comm);
}

void ThreadFacts::exiting(const ExitEvent& e) {
  if (note(e.ts_ns) && e.group_dead) task.known |= KF_BASE_GROUP_DEAD;
}

// The leader's identity stays (exec hands its start time on), its life is over: each fact is the later one of the two.
void ThreadFacts::continues(const ThreadFacts& former) {
  if (task.known & KF_BASE_EXITED) {
    ThreadFacts rest = facts_since(task.out_ns + 1);
    rest.take_identity(*this);
    *this = rest;
  }
  const kf_base_task& was = former.task;
  if (was.in_ns > task.in_ns) take_in(former);
  if (was.out_ns > task.out_ns) take_out(former);
  if (was.waking_ns > task.waking_ns) take_waking(former);
  if (was.wakeup_ns > task.wakeup_ns) placed(was.wakeup_ns, was.wakeup_cpu);
  if (former.call_ns > call_ns) take_call(former);
  runnable_ns = std::max(runnable_ns, former.runnable_ns);
  if (!(task.known & KF_BASE_IDENTITY)) take_identity(former);
  if (was.last_event_ns != 0) note(was.last_event_ns);
  task.switch_outs = was.switch_outs;
}

void ThreadFacts::snapshot(const kf_task& seen) {
  const bool identified = (task.known & KF_BASE_IDENTITY) != 0;
  if (identified && seen.start_ns < task.start_ns) return;  // an earlier thread of this tid
  if (identified && seen.start_ns > task.start_ns) forget_before(seen.start_ns);
  if (!(task.known & KF_BASE_IDENTITY)) {
    task.tgid = seen.tgid;
    task.start_ns = seen.start_ns;
    task.cgroup_id = seen.cgroup_id;
    task.known |= KF_BASE_IDENTITY;
    if (comm_ns == 0) std::memcpy(task.comm, seen.comm, sizeof task.comm);
  }
  if (task.last_event_ns != 0 || (task.known & KF_BASE_SNAPSHOT)) return;

  const bool on_cpu = (seen.flags & KF_TASK_ON_CPU) != 0;
  const bool queued = (seen.flags & KF_TASK_ON_RQ) != 0 && !on_cpu;
  const bool in_call = (seen.flags & KF_TASK_HAS_SYS) != 0;
  task.known |= KF_BASE_SNAPSHOT;
  task.snapshot_ns = seen.ts_ns;
  task.in_cpu = task.out_cpu = task.wakeup_cpu = seen.cpu;
  task.out_state = static_cast<kf_u8>(seen.state);
  // On a queue with a sleeping state: preempted on its way to sleep.
  task.out_flags = static_cast<kf_u8>((on_cpu ? kOutOnCpu : 0) | (queued && seen.state != 0 ? kOutPreempt : 0));
  task.prio = seen.prio;
  const kf_sys sys{seen.nr,
                   static_cast<kf_u16>(seen.abi),
                   KF_ARGS_0123,
                   {seen.args[0], seen.args[1] & 0xffffffff, seen.args[2] & 0xffffffff, seen.args[3]}};
  set_call(seen.ts_ns, in_call ? &sys : nullptr, (seen.flags & KF_TASK_ENTER_KNOWN) ? seen.sys_enter_ns : 0);
}

void ThreadFacts::take_in(const ThreadFacts& from) {
  task.in_ns = from.task.in_ns;
  task.in_cpu = from.task.in_cpu;
  task.prio = from.task.prio;
}

void ThreadFacts::take_out(const ThreadFacts& from) {
  const kf_base_task& was = from.task;
  task.known = (task.known & ~KF_BASE_EXITED) | (was.known & KF_BASE_EXITED);
  task.out_ns = was.out_ns;
  task.out_cpu = was.out_cpu;
  task.out_state = was.out_state;
  task.out_flags = static_cast<kf_u8>((task.out_flags & kOutHasSys) | (was.out_flags & ~kOutHasSys));
  task.out_nsw = was.out_nsw;
}

void ThreadFacts::take_waking(const ThreadFacts& from) {
  const kf_base_task& was = from.task;
  task.waking_ns = was.waking_ns;
  task.waking_cpu = was.waking_cpu;
  task.waker_tid = was.waker_tid;
  task.waking_ctx = was.waking_ctx;
  task.waking_cause = was.waking_cause;
  task.waker_nr = was.waker_nr;
  task.cause_detail = was.cause_detail;
  std::copy(std::begin(was.cause_args), std::end(was.cause_args), task.cause_args);
}

void ThreadFacts::take_call(const ThreadFacts& from) {
  call_ns = from.call_ns;
  entry_told_ns = from.entry_told_ns;
  no_call_ns = from.no_call_ns;
  task.call_enter_ns = from.task.call_enter_ns;
  task.out_flags = static_cast<kf_u8>((task.out_flags & ~kOutHasSys) | (from.task.out_flags & kOutHasSys));
  task.sys = from.task.sys;
}

void ThreadFacts::take_identity(const ThreadFacts& from) {
  const kf_base_task& was = from.task;
  task.known |= was.known & (KF_BASE_IDENTITY | KF_BASE_GROUP_DEAD);
  task.tgid = was.tgid;
  task.parent_tid = was.parent_tid;
  task.start_ns = was.start_ns;
  task.cgroup_id = was.cgroup_id;
  task.fork_ns = was.fork_ns;
  comm_ns = from.comm_ns;
  std::memcpy(task.comm, was.comm, sizeof task.comm);
}

// What events at ts_ns or later said, and nothing else.
ThreadFacts ThreadFacts::facts_since(kf_u64 ts_ns) const {
  const auto later = [ts_ns](kf_u64 time_ns) { return time_ns != 0 && time_ns >= ts_ns; };
  ThreadFacts out(task.tid);
  out.not_before_ns = not_before_ns;
  if (!later(task.last_event_ns)) return out;
  out.task.last_event_ns = task.last_event_ns;
  out.first_event_ns = std::max(first_event_ns, ts_ns);
  if (later(task.in_ns)) out.take_in(*this);
  if (later(task.out_ns)) out.take_out(*this);
  if (later(task.waking_ns)) out.take_waking(*this);
  if (later(task.wakeup_ns)) out.placed(task.wakeup_ns, task.wakeup_cpu);
  if (later(call_ns)) out.take_call(*this);
  if (!later(entry_told_ns)) out.entry_told_ns = out.task.call_enter_ns = 0;
  if (later(runnable_ns)) out.runnable_ns = runnable_ns;
  out.task.switch_outs = out.task.out_ns ? 1 : 0;
  return out;
}

void ThreadFacts::drop_snapshot() {
  if (call_ns == task.snapshot_ns) call_ns = 0;
  if (entry_told_ns == task.snapshot_ns) entry_told_ns = task.call_enter_ns = 0;
  ThreadFacts rest = facts_since(1);
  rest.take_identity(*this);
  *this = rest;
}

// A new thread has the tid from ts_ns on: facts of the one before it go, those that are already the new one's stay.
void ThreadFacts::forget_before(kf_u64 ts_ns) {
  if (first_event_ns < ts_ns) {
    ThreadFacts rest = facts_since(ts_ns);
    if (comm_ns >= ts_ns) rest.named(comm_ns, Comm::from({task.comm, ::strnlen(task.comm, sizeof task.comm)}));
    *this = rest;
  }
  not_before_ns = std::max(not_before_ns, ts_ns);
}

}  // namespace kflight::dump
