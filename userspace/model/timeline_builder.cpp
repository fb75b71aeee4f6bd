// SPDX-License-Identifier: Apache-2.0
//
// timeline_builder.cpp - from events to the facts the rules speak of. The rules themselves are in state_rules.cpp, what
// precedes the window comes in through base_replay.cpp, what stands behind wakings through handoff_rules.cpp.
#include "model/timeline_builder.hpp"

#include <algorithm>
#include <utility>

#include "model/call_log.hpp"

namespace kflight::model {

namespace {

void learn_name(Thread& thread, std::uint64_t since_ns, const Comm& comm) {
  if (!thread.names.empty() && thread.names.back().comm == comm) return;
  const std::uint64_t last_ns = thread.names.empty() ? 0 : thread.names.back().since_ns;
  thread.names.push_back({std::max(since_ns, last_ns), comm});  // whatever the times in damaged files
}

}  // namespace

TimelineBuilder::TimelineBuilder(const TraceFacts& facts) : facts_(facts), base_(base_facts_in_order(facts)) {
  out_.begin_ns_ = facts.window_begin_ns;
  out_.end_ns_ = std::max(facts.window_begin_ns, facts.window_end_ns);
  for (const kf_loss& loss : facts.losses) {
    const auto cpu = loss.lane < kNoCpu ? static_cast<std::uint16_t>(loss.lane) : kNoCpu;
    // What a window had no room for is missing in the chunks' numbers as well, so it comes as a LossEvent with its count.
    const std::uint64_t count = loss.kind == KF_LOSS_WINDOW ? 0 : loss.count;
    if (kf_hides_events(&loss)) out_.losses_.add({loss.from_ns, loss.to_ns, count, cpu});
    if (loss.kind == KF_LOSS_CAPPED) out_.capped_.add({loss.from_ns, loss.to_ns, count, cpu});
    if (loss.kind == KF_LOSS_OFFLINE && cpu != kNoCpu) offline_.push_back(loss);
  }
  std::ranges::sort(offline_, std::ranges::greater{}, &kf_loss::to_ns);
}

void TimelineBuilder::add(const Event& event) {
  const EventHead& event_head = head(event);
  replay_base_until(event_head.ts_ns);
  switch_off_until(event_head.ts_ns);
  ++out_.counters_.events;
  // Behind the window's end only calls are of use that began before it: other CPUs' events may be missing there already.
  if (event_head.ts_ns > out_.end_ns_) {
    if (const auto* call = std::get_if<SyscallEvent>(&event); call && threads_.find(call->tid) != kNoThread) on(*call);
    if (const auto* call = std::get_if<SyscallOpenEvent>(&event)) open_behind_end(*call);
    return;
  }
  visit_all(event, [this](const auto& e) { on(e); });
  if (!std::holds_alternative<WakingEvent>(event) && !std::holds_alternative<WakeupEvent>(event))
    ++cpu_state(event_head.cpu).turn;
}

void TimelineBuilder::add(const WakeFact& fact) {
  replay_base_until(fact.wake.ts_ns);
  wake(fact);
}

std::uint32_t TimelineBuilder::add(const BlockRequest& request) {
  out_.block_requests_.push_back(request);
  return static_cast<std::uint32_t>(out_.block_requests_.size() - 1);
}

Timeline TimelineBuilder::finish() && {
  replay_base_until(~0ULL);
  switch_off_until(out_.end_ns_);
  for (const kf_task& task : facts_.tasks) learn_from_dump_snapshot(task);
  name_stoppers();
  doubt_hidden_threads();
  out_.losses_.seal();
  out_.capped_.seal();
  doubt_unlisted_threads();
  doubt_no_wakes();
  doubt_undecided_sleeps();
  out_.threads_ = std::move(threads_).take();
  return std::move(out_);
}

// A CPU's last event gave it to a thread that nobody knows: one the system hides, and with it what its interrupts do.
void TimelineBuilder::doubt_hidden_threads() {
  if (facts_.tasks.empty()) return;
  std::vector<bool> listed(threads_.size());
  for (const kf_task& task : facts_.tasks) {
    if (const ThreadId id = threads_.find(task.tid); id != kNoThread) listed[id] = true;
  }
  const auto cpu_count = static_cast<std::uint16_t>(cpus_.size());
  for (std::uint16_t cpu = 0; cpu < cpu_count; ++cpu) {
    const ThreadId id = cpus_[cpu].tid == kNoTid || cpus_[cpu].tid == 0 ? kNoThread : threads_.find(cpus_[cpu].tid);
    if (id == kNoThread || threads_[id].born_ns != 0 || state(id).last_nsw >= 0) continue;
    const bool came_last = !threads_[id].intervals.empty() && open(id).begin_ns == cpus_[cpu].last_ns;
    if (came_last && !listed[id]) note_unreported_loss(cpu, cpus_[cpu].last_ns, out_.end_ns_);
  }
}

// Who was there when the snapshot began and is not in it has ended, and nobody saw it: so since its last switch-out
// events are missing, and the wait that it seems to be in is over.
void TimelineBuilder::doubt_unlisted_threads() {
  std::vector<bool> listed(threads_.size());
  std::uint64_t snapshot_ns = facts_.tasks.empty() ? 0 : ~0ULL;
  for (const kf_task& task : facts_.tasks) {
    snapshot_ns = std::min<std::uint64_t>(snapshot_ns, task.ts_ns);
    const ThreadId id = threads_.find(task.tid);
    if (id != kNoThread && threads_[id].start_ns == task.start_ns) listed[id] = true;
  }
  for (ThreadId id = 0; id < listed.size(); ++id) {
    if (listed[id] || threads_[id].intervals.empty() || state(id).exiting || open(id).state == State::kExited) continue;
    const std::uint64_t since_ns = open(id).begin_ns;
    if (since_ns < snapshot_ns && out_.losses_.any_in(since_ns, out_.end_ns_)) forget_since_last_switch_out(id);
  }
}

void TimelineBuilder::on(const SwitchEvent& event) {
  observe_current(event);
  if (event.tid != 0) switch_out(event);
  if (event.next_tid != 0) {
    switch_in(event.next_tid, event.cpu, event.ts_ns, event.next_prio);
  } else {
    occupy(event.cpu, kIdleThread, event.ts_ns);
  }
  cpus_[event.cpu].tid = event.next_tid;
}

void TimelineBuilder::on(const WakingEvent& event) {
  observe_current(event);
  WakeFact fact{event.wakee, event.target_cpu, event.wakee_prio, event.tid, {}};
  fact.wake.ts_ns = event.ts_ns;
  fact.wake.enqueued_ns = event.has_wakeup ? event.wakeup_ns : 0;
  fact.wake.cpu = event.cpu;
  fact.wake.ctx = event.ctx;
  fact.wake.waker_nr = event.waker_nr;
  fact.wake.waker = thread_of(event.tid);
  note_cause(fact.wake, event.cause, event.cause_detail, event.cause_args);
  wake(fact);
}

void TimelineBuilder::on(const WakeupEvent& event) {
  observe_current(event);
  if (event.wakee == 0) return;
  const bool fork_unseen = event.is_new && threads_.find(event.wakee) == kNoThread;
  if (fork_unseen) {
    ForkEvent lost;
    static_cast<EventHead&>(lost) = event;
    lost.parent_tid = event.tid;
    lost.child_tid = event.wakee;
    fork(lost);
  }
  enqueue(event.wakee, event.target_cpu, event.ts_ns);
  // Into a group that is out of quota: kernels before 6.18 leave it there, later ones run it until it leaves the
  // kernel.
  if (const ThreadId id = threads_.find(event.wakee); event.throttled && open(id).state == State::kRunnable) {
    push(id, {event.ts_ns, kNone, kNone, event.target_cpu, State::kThrottled, 0, 0, open(id).prio});
    throttled_without_note(id);
  }
}

void TimelineBuilder::on(const MigrateEvent& event) {
  observe_current(event);
  if (event.migrated_tid == 0) return;
  const ThreadId id = alive_and_known(event.migrated_tid, event.ts_ns);
  if (open(id).state == State::kRunnable) place(id, event.dest_cpu, event.ts_ns);
}

void TimelineBuilder::on(const ForkEvent& event) {
  observe_current(event);
  if (event.child_tid != 0) fork(event);
}

void TimelineBuilder::on(const ExecEvent& event) {
  observe_current(event);
  if (event.new_tid == 0) return;
  ThreadId id = alive(event.new_tid, event.ts_ns);
  const ThreadId caller = event.old_tid == event.new_tid ? kNoThread : threads_.find(event.old_tid);
  const bool took_over = caller != kNoThread && event.old_tid != 0;
  if (took_over && event.tid == event.new_tid) {
    // It was switched in under the new tid already: that life goes on, the one under the old tid ends.
    end_life(caller, event.ts_ns);
  } else if (took_over) {
    end_life(id, event.ts_ns);
    threads_.rename_tid(caller, event.new_tid, event.ts_ns);
    if (!threads_[caller].intervals.empty() && open(caller).state == State::kRunning)
      cpus_[open(caller).cpu].tid = event.new_tid;
    id = caller;
  }
  learn_name(threads_[id], event.ts_ns, event.comm);
}

void TimelineBuilder::on(const ExitEvent& event) {
  observe_current(event);
  if (const ThreadId id = threads_.find(event.exiting_tid); id != kNoThread) state(id).exiting = true;
}

void TimelineBuilder::on(const RenameEvent& event) {
  observe_current(event);
  if (event.renamed_tid != 0) learn_name(threads_[alive(event.renamed_tid, event.ts_ns)], event.ts_ns, event.comm);
}

void TimelineBuilder::on(const SyscallEvent& event) {
  if (event.ts_ns <= out_.end_ns_) observe_current(event);
  if (event.tid == 0) return;
  const ThreadId id = alive(event.tid, event.ts_ns);
  finish_call(threads_[id], state(id).open_call, event);
}

void TimelineBuilder::on(const SyscallOpenEvent& event) {
  observe_current(event);
  if (event.tid == 0) return;
  const ThreadId id = alive(event.tid, event.ts_ns);
  note_call(threads_[id], state(id).open_call, event.sys, event.enter_ns, event.ts_ns);
}

// The dump's own flush comes behind its window's end. Whom it finds in a call without a switch since the entry was on that
// CPU at the end: nobody else is meant, also where the tid has been reused since.
void TimelineBuilder::open_behind_end(const SyscallOpenEvent& event) {
  const ThreadId id = thread_of(event.tid);
  if (id >= kIdleThread || event.enter_ns == 0 || event.enter_ns > out_.end_ns_) return;
  if (threads_[id].intervals.empty() || open(id).state != State::kRunning || open(id).cpu != event.cpu) return;
  note_call(threads_[id], state(id).open_call, event.sys, event.enter_ns, event.ts_ns);
}

void TimelineBuilder::on(const LossEvent& event) {
  out_.losses_.add({event.from_ns, event.ts_ns, event.count, event.cpu});
  CpuState& cpu = cpu_state(event.cpu);
  if (cpu.hole_ns == 0) cpu.hole_ns = std::max<std::uint64_t>(event.from_ns, 1);
}

// A CPU that has gone offline runs nobody; whom it ran last is not known.
void TimelineBuilder::switch_off_until(std::uint64_t ts_ns) {
  for (; !offline_.empty() && offline_.back().to_ns <= ts_ns; offline_.pop_back()) {
    const auto cpu = static_cast<std::uint16_t>(offline_.back().lane);
    if (cpu_state(cpu).known) cpus_[cpu].hole_ns = std::max<std::uint64_t>(cpus_[cpu].last_ns, 1);
    observe_current({offline_.back().to_ns, 0, cpu, false});
  }
}

// Every event names the task its CPU runs, so a missing switch shows at the next event of any kind.
void TimelineBuilder::observe_current(const EventHead& head) {
  CpuState& cpu = cpu_state(head.cpu);
  if (!cpu.known) {
    first_current(head.cpu, head.tid, head.ts_ns);
  } else if (cpu.tid != head.tid && !took_leaders_tid(head.cpu, head.tid, head.ts_ns)) {
    missed_switch(head.cpu, head.tid, head.ts_ns);
  }
  CpuState& now = cpus_[head.cpu];
  now.known = true;
  now.tid = head.tid;
  now.last_ns = head.ts_ns;
  now.hole_ns = 0;
}

TimelineBuilder::CpuState& TimelineBuilder::cpu_state(std::uint16_t cpu) {
  if (cpu >= cpus_.size()) {
    cpus_.resize(cpu + 1u);
    while (out_.occupancy_.size() <= cpu) out_.occupancy_.emplace_back(out_.memory_.get());
  }
  return cpus_[cpu];
}

// A CPU's first event: no switch of this CPU came before it in the window, so its task has run since the window began,
// and wakings of that task since then found it awake.
void TimelineBuilder::first_current(std::uint16_t cpu, std::uint32_t tid, std::uint64_t ts_ns) {
  const std::uint64_t begin_ns = std::min(out_.begin_ns_, ts_ns);
  if (tid == 0) return occupy(cpu, kIdleThread, begin_ns);
  const ThreadId id = alive(tid, ts_ns);
  auto& intervals = threads_[id].intervals;
  const bool elsewhere = !intervals.empty() && (state(id).was_placed || threads_[id].born_ns != 0);
  if (elsewhere || cpus_[cpu].hole_ns != 0) return missed_switch(cpu, tid, ts_ns);
  intervals.clear();
  push_running(id, cpu, begin_ns);
}

// A thread that calls exec takes its leader's tid a while before the exec is announced: once the leader has ended,
// events of the caller name it by that tid.
bool TimelineBuilder::took_leaders_tid(std::uint16_t cpu, std::uint32_t tid, std::uint64_t ts_ns) {
  const ThreadId caller = cpus_[cpu].tid == kNoTid ? kNoThread : threads_.find(cpus_[cpu].tid);
  const ThreadId leader = threads_.find(tid);
  if (caller == kNoThread || leader == kNoThread || threads_[caller].tgid != tid) return false;
  const bool ended = !threads_[leader].intervals.empty() && open(leader).state == State::kExited;
  if (!ended && !state(leader).exiting) return false;
  threads_.rename_tid(caller, tid, ts_ns);
  return true;
}

// The CPU runs a task that no switch brought there: somewhere since its last event one is missing.
void TimelineBuilder::missed_switch(std::uint16_t cpu, std::uint32_t tid, std::uint64_t ts_ns) {
  ++out_.counters_.misfits;
  auto& row = out_.occupancy_[cpu];
  std::uint64_t since_ns = cpus_[cpu].hole_ns != 0 ? cpus_[cpu].hole_ns : cpus_[cpu].last_ns;
  // no std::clamp: with times out of order, as damaged files have them, the row may have begun after ts_ns
  since_ns = std::min(std::max(since_ns, row.empty() ? out_.begin_ns_ : row.back().begin_ns), ts_ns);
  if (cpus_[cpu].hole_ns == 0) note_unreported_loss(cpu, since_ns, ts_ns);
  displace(cpu, kNoThread, since_ns);
  occupy(cpu, kNoThread, since_ns);
  if (tid == 0) return occupy(cpu, kIdleThread, ts_ns);

  const ThreadId id = alive_and_known(tid, ts_ns);
  Interval& interval = open(id);
  const std::uint64_t begin_ns = interval.begin_ns;
  if (interval.state == State::kRunning) {
    vacate(interval, ts_ns);
  } else if (interval.state == State::kBlocked || interval.state == State::kStopped || begin_ns >= since_ns) {
    if (interval.state == State::kRunnable) interval.link = kNone;
    interval.state = State::kUnknown;
  } else if (interval.state != State::kUnknown) {
    interval.flags |= kIntervalInferred;  // what brought it there may have been in the hole
    push(id, {since_ns, kNone, kNone, cpu, State::kUnknown});
  }
  push_running(id, cpu, ts_ns);
  open(id).flags |= kIntervalInferred;
}

// The recorder counted nothing as lost, yet something must be missing: some systems hide threads from it.
void TimelineBuilder::note_unreported_loss(std::uint16_t cpu, std::uint64_t from_ns, std::uint64_t to_ns) {
  if (to_ns > out_.begin_ns_) out_.losses_.add({from_ns, to_ns, 0, cpu});
}

void TimelineBuilder::occupy(std::uint16_t cpu, ThreadId thread, std::uint64_t ts_ns) {
  auto& row = out_.occupancy_[cpu];
  if (row.empty() && ts_ns > out_.begin_ns_) row.push_back({out_.begin_ns_, kNoThread, 0});
  if (!row.empty()) ts_ns = std::max(ts_ns, row.back().begin_ns);
  const bool replaces = !row.empty() && (ts_ns <= out_.begin_ns_ || row.back().begin_ns == ts_ns);
  if (replaces) {
    row.back() = {ts_ns, thread, 0};
  } else {
    row.push_back({ts_ns, thread, 0});
  }
}

// Whoever ran on the CPU, but for `by`, is not known to do so any more.
void TimelineBuilder::displace(std::uint16_t cpu, ThreadId by, std::uint64_t ts_ns) {
  const auto& row = out_.occupancy_[cpu];
  const ThreadId before = row.empty() ? kNoThread : row.back().thread;
  if (before >= kIdleThread || before == by) return;
  const Interval& interval = open(before);
  if (interval.state == State::kRunning && interval.cpu == cpu)
    push(before, {ts_ns, kNone, kNone, cpu, State::kUnknown});
}

// A thread that ran here turns up elsewhere: nobody knows who has had the CPU since.
void TimelineBuilder::vacate(const Interval& running, std::uint64_t ts_ns) {
  occupy(running.cpu, kNoThread, ts_ns);
  cpus_[running.cpu].tid = kNoTid;
}

}  // namespace kflight::model
