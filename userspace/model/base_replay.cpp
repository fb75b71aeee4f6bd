// SPDX-License-Identifier: Apache-2.0
//
// base_replay.cpp - what is known from before the window enters the state machine: last facts of threads and CPUs at
// their own times, and snapshots of threads of which there is no event up to the snapshot.
#include <algorithm>

#include "model/call_log.hpp"
#include "model/timeline_builder.hpp"
#include "model/wake_cause.hpp"

namespace kflight::model {

namespace {

// kf_base_task.out_flags
constexpr std::uint8_t kPreempt = 1, kIowait = 2, kThrottled = 4, kHasSys = 8, kOnCpu = 16;

Comm comm_of(const char (&bytes)[KF_COMM_BYTES]) {
  Comm comm;
  std::copy(std::begin(bytes), std::end(bytes), comm.bytes.begin());
  comm.bytes.back() = 0;
  return comm;
}

void learn_first_name(Thread& thread, const char (&bytes)[KF_COMM_BYTES]) {
  if (thread.names.empty() && bytes[0] != 0) thread.names.push_back({0, comm_of(bytes)});
}

}  // namespace

void TimelineBuilder::replay_base_until(std::uint64_t ts_ns) {
  if (next_base_ == base_.size()) return;
  const TimelineCounters counters = out_.counters_;
  while (next_base_ < base_.size() && base_[next_base_].ts_ns <= ts_ns) replay(base_[next_base_++]);
  out_.counters_ = counters;  // last facts are full of gaps; that says nothing about the recording
}

void TimelineBuilder::replay(const BaseFact& fact) {
  if (fact.kind == BaseFact::Kind::kCurrent) return replay_current(facts_.base_lanes[fact.index]);
  const kf_base_task& task = facts_.base_tasks[fact.index];
  if (task.tid == 0) return;
  if (fact.kind == BaseFact::Kind::kFork) replay_fork(task);
  learn_identity(task);
  switch (fact.kind) {
    case BaseFact::Kind::kSwitchOut:
      return replay_switch_out(task);
    case BaseFact::Kind::kWaking:
      return replay_waking(task);
    case BaseFact::Kind::kWakeup:
      return enqueue(task.tid, task.wakeup_cpu, task.wakeup_ns);
    case BaseFact::Kind::kSwitchIn:
      cpu_state(task.in_cpu) = {true, task.tid, task.in_ns, 0};
      return switch_in(task.tid, task.in_cpu, task.in_ns, task.prio);
    case BaseFact::Kind::kSnapshot: {
      Snapshot snapshot{task.snapshot_ns, task.call_enter_ns, task.out_state, task.prio, task.in_cpu};
      snapshot.on_cpu = task.out_flags & kOnCpu;
      snapshot.iowait = task.out_flags & kIowait;
      snapshot.has_sys = task.out_flags & kHasSys;
      snapshot.sys = task.sys;
      return apply_snapshot(task.tid, snapshot);
    }
    default:
      return;
  }
}

void TimelineBuilder::replay_fork(const kf_base_task& task) {
  ForkEvent event;
  event.ts_ns = task.fork_ns;
  event.cpu = task.waking_ns == 0 ? task.waking_cpu : kNoCpu;
  event.parent_tid = task.parent_tid;
  event.child_tid = task.tid;
  event.child_tgid = task.tgid;
  event.child_start_ns = task.start_ns;
  fork(event);
}

void TimelineBuilder::replay_switch_out(const kf_base_task& task) {
  SwitchEvent event;
  event.ts_ns = task.out_ns;
  event.tid = task.tid;
  event.cpu = task.out_cpu;
  event.prev_state = task.out_state;
  event.preempt = task.out_flags & kPreempt;
  event.in_iowait = task.out_flags & kIowait;
  event.throttled = task.out_flags & kThrottled;
  event.nsw = task.out_nsw;
  event.has_sys = task.out_flags & kHasSys;
  event.sys = task.sys;
  event.enter_ns = task.call_enter_ns;
  event.prev_prio = task.prio;
  cpu_state(event.cpu);
  const ThreadId id = alive_and_known(task.tid, task.out_ns);
  if (open(id).state == State::kRunning && open(id).cpu != event.cpu) vacate(open(id), event.ts_ns);
  switch_out(event);
  if (open(id).state == State::kThrottled) open(id).flags |= kIntervalInferred;  // there may have been a refill since
  // Who came next is another thread's fact, or the lane's.
  auto& row = out_.occupancy_[event.cpu];
  if (!row.empty() && row.back().thread == id) {
    occupy(event.cpu, kNoThread, event.ts_ns);
    cpus_[event.cpu].tid = kNoTid;
  }
}

void TimelineBuilder::replay_waking(const kf_base_task& task) {
  WakeFact fact{task.tid, kNoCpu, task.prio, task.waker_tid, {}};
  fact.wake.ts_ns = task.waking_ns;
  fact.wake.cpu = task.waking_cpu;
  fact.wake.ctx = task.waking_ctx;
  fact.wake.waker_nr = task.waker_nr;
  note_cause(fact.wake, task.waking_cause, task.cause_detail, {task.cause_args[0], task.cause_args[1]});
  wake(fact);
}

// The task a CPU ran when the last of its evicted chunks ended. Before the window contradictions between facts of
// different ages are no losses: the lane's is the latest.
void TimelineBuilder::replay_current(const kf_base_lane& lane) {
  CpuState& cpu = cpu_state(lane.lane);
  if (cpu.tid == lane.cur_tid) return;
  displace(lane.lane, kNoThread, lane.through_ns);
  cpu = {true, lane.cur_tid, lane.through_ns, 0};
  if (lane.cur_tid == 0) return occupy(lane.lane, kIdleThread, lane.through_ns);
  const ThreadId id = alive_and_known(lane.cur_tid, lane.through_ns);
  if (open(id).state == State::kRunning) vacate(open(id), lane.through_ns);
  push_running(id, lane.lane, lane.through_ns);
}

// Counts only for a thread without a single event so far: it has been in this state all the time.
void TimelineBuilder::apply_snapshot(std::uint32_t tid, const Snapshot& snapshot) {
  const ThreadId id = alive(tid, snapshot.ts_ns);
  if (!threads_[id].intervals.empty()) return;
  ThreadState& thread_state = state(id);
  thread_state.prio = snapshot.prio;
  thread_state.last_cpu = snapshot.cpu;
  const std::uint64_t since_ns = std::min(out_.begin_ns_, snapshot.ts_ns);
  Interval interval{since_ns, kNone, kNone, snapshot.cpu, State::kBlocked, snapshot.state, 0, snapshot.prio};
  if (snapshot.iowait) interval.flags |= kIntervalIowait;
  if (snapshot.has_sys) {
    interval.link =
        note_call(threads_[id], thread_state.open_call, snapshot.sys, snapshot.call_enter_ns, snapshot.ts_ns);
  }
  if (snapshot.on_cpu) {
    if (!cpu_state(snapshot.cpu).known) {
      cpus_[snapshot.cpu] = {true, tid, snapshot.ts_ns, 0};
      return push_running(id, snapshot.cpu, since_ns);
    }
    interval.state = State::kUnknown;  // its CPU's own events say otherwise
  } else if (snapshot.state == KF_ST_RUNNING) {
    interval.state = State::kRunnable;
    interval.detail = static_cast<std::uint8_t>(RunnableWhy::kPreempted);
    interval.flags = kIntervalUnplaced;
    interval.link = kNone;
  } else if (snapshot.state == KF_ST_STOPPED || snapshot.state == KF_ST_TRACED) {
    interval.state = State::kStopped;
  } else if (snapshot.state == KF_ST_DEAD) {
    interval.state = State::kExited;
  }
  push(id, interval);
}

void TimelineBuilder::learn_identity(const kf_base_task& task) {
  const ThreadId id = threads_.get(task.tid);
  Thread& thread = threads_[id];
  if (!(task.known & KF_BASE_IDENTITY)) return;
  if (thread.start_ns == 0) {
    thread.tgid = task.tgid;
    thread.start_ns = task.start_ns;
    thread.cgroup_id = task.cgroup_id;
  }
  learn_first_name(thread, task.comm);
}

// A thread that seems to have been in one state since before the snapshot has been switched out meanwhile, by the
// kernel's count: since its last switch-out events are missing, to the very end.
void TimelineBuilder::compare_switches(ThreadId id, const kf_task& task) {
  constexpr std::uint64_t kReadBeforeNs = 20'000'000;  // ts_ns; a snapshot reads its numbers one after the other
  if (threads_[id].intervals.empty() || state(id).last_nsw < 0 || task.ts_ns > out_.end_ns_) return;
  if (open(id).begin_ns + kReadBeforeNs > task.ts_ns || open(id).state == State::kExited) return;
  const auto missing =
      static_cast<std::uint8_t>(task.nvcsw + task.nivcsw - static_cast<std::uint64_t>(state(id).last_nsw));
  if (missing == 0) return;
  out_.counters_.lost_switches += missing;
  forget_since_last_switch_out(id);
  state(id).last_nsw = -1;  // nothing to compare with any more: a damaged snapshot may name the thread again
}

void TimelineBuilder::learn_from_dump_snapshot(const kf_task& task) {
  if (task.tid == 0) return;
  const ThreadId id = threads_.get(task.tid);
  Thread& thread = threads_[id];
  if (thread.start_ns != 0 && thread.start_ns != task.start_ns) return;  // the tid has been reused
  thread.start_ns = task.start_ns;
  thread.tgid = task.tgid;
  thread.cgroup_id = task.cgroup_id;
  thread.is_kthread = task.flags & KF_TASK_KTHREAD;
  thread.is_target = task.flags & KF_TASK_TARGET;
  learn_first_name(thread, task.comm);
  compare_switches(id, task);

  Snapshot snapshot{task.ts_ns, task.sys_enter_ns, static_cast<std::uint8_t>(task.state), task.prio, task.cpu};
  snapshot.on_cpu = task.flags & KF_TASK_ON_CPU;
  snapshot.has_sys = task.flags & KF_TASK_HAS_SYS;
  snapshot.sys.nr = task.nr;
  snapshot.sys.abi = static_cast<kf_u16>(task.abi);
  snapshot.sys.args_taken = KF_ARGS_0123;
  std::copy_n(task.args, 4, snapshot.sys.args);
  if (!snapshot.on_cpu && (task.flags & KF_TASK_ON_RQ)) snapshot.state = KF_ST_RUNNING;
  apply_snapshot(task.tid, snapshot);
}

}  // namespace kflight::model
