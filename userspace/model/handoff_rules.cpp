// SPDX-License-Identifier: Apache-2.0
//
// handoff_rules.cpp - who is behind a wait where the waking alone does not tell: requests to disks, work items of
// kworkers, signals, locks of the kernel, CPU quotas. Their events only add to what wakings and switches say; without
// them a Timeline has the same states, but for the end of a throttled stretch.
#include <algorithm>
#include <set>

#include "model/timeline_builder.hpp"
#include "model/wake_cause.hpp"

namespace kflight::model {

namespace {

// One program writes a note and its switch, but a hypervisor can take the CPU from it in between.
constexpr std::uint64_t kNoteReachNs = 20'000'000;
constexpr std::uint64_t kAdjacentNs = 1'000'000;  // events that the recorder writes one after the other
constexpr std::uint64_t kSameInterrupt = 10'000'000;
constexpr std::uint8_t kFirstStopSignal = 19, kLastStopSignal = 22;  // SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU

IntervalNote::Kind kind_of_lock(std::uint8_t kind) {
  switch (kind) {
    case KF_LOCK_RT_MUTEX:
      return IntervalNote::Kind::kRtMutex;
    case KF_LOCK_RWSEM:
      return IntervalNote::Kind::kRwsem;
    case KF_LOCK_MMAP:
      return IntervalNote::Kind::kMmapLock;
    default:
      return IntervalNote::Kind::kMutex;
  }
}

std::uint64_t apart(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : b - a; }

// The event is of a later request at the address of this one. Others are merged into a request until it is issued, so it
// may have grown since it was inserted; of a completion the bytes may be a part.
bool is_another(const BlockRequest& known, const BlockEvent& event) {
  if (event.phase == KF_BLOCK_INSERT || event.op != known.op || event.dev != known.dev) return true;
  if (event.phase != KF_BLOCK_ISSUE) return false;
  return known.issued_ns != 0 ? event.bytes != known.bytes : event.bytes < known.bytes;
}

}  // namespace

// ---------------------------------------------------------------------------------------------- causes of wakings

std::uint64_t TimelineBuilder::boottime(std::uint64_t monotonic_ns, std::uint64_t at_most_ns) const {
  return std::min(monotonic_ns + static_cast<std::uint64_t>(facts_.boottime_minus_monotonic_ns), at_most_ns);
}

void TimelineBuilder::note_cause(Wake& wake, std::uint8_t cause, std::uint32_t detail,
                                 const std::array<std::uint64_t, 2>& args) {
  wake.cause = cause_kind(cause);
  wake.cause_ref = detail;
  if (wake.cause == CauseKind::kBlock) return note_block_cause(wake, detail, args);
  if (wake.cause == CauseKind::kWorkqueue) {
    const std::uint32_t work = wake.waker < kIdleThread ? state(wake.waker).work : kNone;
    wake.cause_ref = work != kNone && out_.works_[work].function == args[0] ? work : kNone;
  }
  if (wake.cause == CauseKind::kNetRx) return note_sender(wake, args[0]);
  if (wake.cause != CauseKind::kTimer) return;
  constexpr std::uint32_t kMonotonic = 1, kBoottime = 7;  // clock ids of clock_gettime(2)
  const std::uint32_t timer = detail & 15, clock = detail >> 4;
  const bool asked_for = timer >= KF_TIMER_SLEEP && timer <= KF_TIMER_ITIMER;  // by a process, for that time
  if (!asked_for) wake.flags |= kWakeOtherTimer;
  wake.cause_ref = kNone;
  if (cause != KF_CAUSE_HRTIMER || !asked_for || args[0] == 0 || (clock != kMonotonic && clock != kBoottime)) return;
  const std::uint64_t due_ns = clock == kMonotonic ? boottime(args[0], wake.ts_ns) : std::min(args[0], wake.ts_ns);
  wake.cause_ref = static_cast<std::uint32_t>(std::min<std::uint64_t>(wake.ts_ns - due_ns, kNone - 1));
}

void TimelineBuilder::note_sender(Wake& wake, std::uint64_t sender_tid) {
  const bool own = wake.cause_ref == KF_NET_OWN, by_another = wake.cause_ref == KF_NET_SENDER;
  if (!own && !by_another) return;
  const ThreadId sender = own ? wake.waker : threads_.find(static_cast<std::uint32_t>(sender_tid & KF_TID_MASK));
  const bool known = sender < kIdleThread;
  wake.cause = known ? CauseKind::kSent : CauseKind::kNetRx;
  wake.cause_ref = known ? sender : KF_NET_LOOPBACK;
}

// The request's own times, from its events where they are there.
void TimelineBuilder::note_block_cause(Wake& wake, std::uint32_t detail, const std::array<std::uint64_t, 2>& args) {
  const std::uint32_t dev = detail == KF_DEV_UNKNOWN ? 0 : (detail >> 9) << 20 | (detail & 511);
  const std::uint64_t start_ns = boottime(args[0], wake.ts_ns);
  const std::uint64_t issued_ns =
      args[1] ? boottime(args[1], wake.ts_ns) : 0;  // drivers without statistics do not tell
  wake.cause_ref = completed_request(wake, dev, issued_ns);
  if (wake.cause_ref != kNone) {
    BlockRequest& request = out_.block_requests_[wake.cause_ref];
    if (request.issued_ns == 0) request.issued_ns = issued_ns;
    if (request.queued_ns == 0) request.queued_ns = start_ns;
    return;
  }
  BlockRequest request;
  request.completed_ns = wake.ts_ns;
  request.queued_ns = start_ns;
  request.issued_ns = issued_ns ? issued_ns : start_ns;
  request.issue_guessed = issued_ns == 0;
  request.dev = dev;
  wake.cause_ref = add(request);
}

// The last request that this CPU completed up to the waking, unless it cannot be the one the waking is about.
std::uint32_t TimelineBuilder::completed_request(const Wake& wake, std::uint32_t dev, std::uint64_t issued_ns) const {
  if (wake.cpu >= completed_.size()) return kNone;
  const auto& done = completed_[wake.cpu];
  const auto& all = out_.block_requests_;
  auto after = std::upper_bound(done.begin(), done.end(), wake.ts_ns,
                                [&all](std::uint64_t t_ns, std::uint32_t i) { return t_ns < all[i].completed_ns; });
  if (after == done.begin()) return kNone;
  const BlockRequest& request = all[*--after];
  if ((dev != 0 && request.dev != dev) || wake.ts_ns - request.completed_ns > kSameInterrupt) return kNone;
  if (issued_ns != 0 && request.completed_ns < issued_ns) return kNone;
  if (issued_ns != 0 && request.issued_ns != 0 && apart(request.issued_ns, issued_ns) > kAdjacentNs) return kNone;
  return *after;
}

// ---------------------------------------------------------------------------------------------- requests and work

void TimelineBuilder::on(const BlockEvent& event) {
  observe_current(event);
  auto known = requests_in_flight_.find(event.request);
  if (known != requests_in_flight_.end() && is_another(out_.block_requests_[known->second], event)) {
    requests_in_flight_.erase(known);  // its completion was not seen
    known = requests_in_flight_.end();
  }
  if (known == requests_in_flight_.end()) {
    BlockRequest fresh;
    fresh.dev = event.dev;
    fresh.bytes = event.bytes;
    fresh.op = event.op;
    if (event.phase != KF_BLOCK_COMPLETE && event.ctx == KF_CTX_TASK) {
      fresh.submitter = thread_of(event.tid);
      if (fresh.submitter < kIdleThread) fresh.work = state(fresh.submitter).work;
    }
    known = requests_in_flight_.emplace(event.request, add(fresh)).first;
  }
  BlockRequest& request = out_.block_requests_[known->second];
  if (event.phase == KF_BLOCK_INSERT) request.queued_ns = event.ts_ns;
  if (event.phase == KF_BLOCK_ISSUE) {
    request.issued_ns = event.ts_ns;
    request.bytes = event.bytes;
  }
  if (event.phase != KF_BLOCK_COMPLETE) return;
  request.completed_ns = event.ts_ns;
  request.failed = event.failed;
  if (event.cpu >= completed_.size()) completed_.resize(event.cpu + 1u);
  completed_[event.cpu].push_back(known->second);
  requests_in_flight_.erase(known);
}

void TimelineBuilder::on(const WorkEvent& event) {
  observe_current(event);
  if (event.tid == 0) return;
  WorkRun run;
  run.function = event.function;
  run.started_ns = event.started_ns;
  run.worker = alive_and_known(event.tid, event.ts_ns);
  run.queued.ts_ns = std::min(event.queued_ns, event.started_ns);
  if (event.queued_ns != 0) {
    run.queued.waker = thread_of(event.queuer_tid);
    run.queued.cpu = event.queue_cpu;
    run.queued.ctx = event.ctx;
    run.queued.waker_nr = event.queuer_nr;
    note_cause(run.queued, event.cause, event.cause_detail, event.cause_args);
  }
  const auto index = static_cast<std::uint32_t>(out_.works_.size());
  run.first_of_function = first_works_.try_emplace(run.function, index).first->second;
  state(run.worker).work = index;
  out_.works_.push_back(run);
}

// ---------------------------------------------------------------------------------------------- signals

// The waking was announced just before, by the same task on the same CPU. The sender cannot be interrupted meanwhile,
// so nothing but wakings lies between.
void TimelineBuilder::on(const SignalEvent& event) {
  observe_current(event);
  const ThreadId sender = thread_of(event.tid);
  if (event.signal >= kFirstStopSignal && event.signal <= kLastStopSignal)
    stop_signals_.push_back({event.ts_ns, sender, event.target_tid, event.target_tgid, event.signal, event.to_process});
  for (RecentWake& recent : recent_wakes_) {
    if (recent.wakee == kNoThread || recent.cpu != event.cpu || recent.waker != sender ||
        recent.turn != cpus_[event.cpu].turn)
      continue;
    const Thread& wakee = threads_[recent.wakee];
    const bool of_process = event.to_process && (wakee.tgid == 0 || wakee.tgid == event.target_tgid);
    if (wakee.tid != event.target_tid && !of_process) continue;
    name_signal(recent, event.signal);
    recent.wakee = kNoThread;
  }
}

void TimelineBuilder::name_signal(const RecentWake& recent, std::uint8_t signal) {
  ThreadState& wakee = state(recent.wakee);
  if (wakee.has_early && wakee.early.ts_ns == recent.ts_ns) {
    wakee.early.signal = signal;
    return;
  }
  const auto& intervals = threads_[recent.wakee].intervals;
  for (std::size_t i = intervals.size(), tries = 0; i-- > 0 && tries < 4; ++tries) {
    if (intervals[i].wake == kNone || out_.wakes_[intervals[i].wake].ts_ns != recent.ts_ns) continue;
    out_.wakes_[intervals[i].wake].signal = signal;
    return;
  }
}

void TimelineBuilder::remember_wake(ThreadId wakee, const Wake& wake) {
  recent_wakes_[recent_wake_++ % recent_wakes_.size()] = {wake.ts_ns, wakee, wake.waker, wake.cpu,
                                                          wake.cpu < cpus_.size() ? cpus_[wake.cpu].turn : 0};
}

// Processes of threads are known only when all is read.
void TimelineBuilder::name_stoppers() {
  std::set<ThreadId> noted;
  for (const auto& [id, begin_ns] : stops_) {
    Thread& thread = threads_[id];
    for (std::size_t i = stop_signals_.size(), tries = 0; i-- > 0 && tries < 1000; ++tries) {
      const StopSignal& stop = stop_signals_[i];
      const bool of_process = stop.to_process && thread.tgid != 0 && thread.tgid == stop.target_tgid;
      if (stop.ts_ns > begin_ns || (stop.target_tid != thread.tid && !of_process)) continue;
      thread.notes.push_back({begin_ns, 0, stop.sender, IntervalNote::Kind::kStop, stop.signal});
      noted.insert(id);
      break;
    }
  }
  for (const ThreadId id : noted) std::ranges::stable_sort(threads_[id].notes, {}, &IntervalNote::begin_ns);
}

// ---------------------------------------------------------------------------------------------- locks and quotas

void TimelineBuilder::on(const LockWaitEvent& event) {
  observe_current(event);
  if (event.tid == 0) return;
  const ThreadId owner = event.owner_tid == 0 ? kNoThread : threads_.find(event.owner_tid);
  ThreadState& blocker = state(alive_and_known(event.tid, event.ts_ns));
  blocker.note = {event.ts_ns, event.lock, owner, kind_of_lock(event.lock_kind), 0};
  blocker.has_note = true;
}

void TimelineBuilder::on(const ThrottleEvent& event) {
  observe_current(event);
  if (event.cgroup_id != 0) quota_cgroups_[event.group] = event.cgroup_id;
  if (event.tid == 0) return;
  ThreadState& throttled = state(alive_and_known(event.tid, event.ts_ns));
  throttled.note = {event.ts_ns, event.group, kNoThread, IntervalNote::Kind::kQuota, 0};
  throttled.has_note = true;
}

// A note tells of the interval that the switch-out after it begins.
void TimelineBuilder::keep_note(ThreadId id, const SwitchEvent& event) {
  const Interval& interval = open(id);
  const bool throttled = interval.state == State::kThrottled;
  IntervalNote note = state(id).note;
  const bool noted = std::exchange(state(id).has_note, false) && event.ts_ns - note.begin_ns <= kNoteReachNs;
  const bool quota = note.kind == IntervalNote::Kind::kQuota;
  if (!noted || (quota ? !throttled : interval.state != State::kBlocked)) {
    if (throttled) throttled_without_note(id);
    return;
  }
  note.begin_ns = interval.begin_ns;
  threads_[id].notes.push_back(note);  // in order, as a thread's intervals are
  if (quota) throttled_[note.object].push_back(id);
}

void TimelineBuilder::throttled_without_note(ThreadId id) {
  if (threads_[id].cgroup_id != 0) throttled_unnoted_[threads_[id].cgroup_id].push_back(id);
  newly_unnoted_.push_back(id);
}

bool TimelineBuilder::is_throttled_without_note(ThreadId id) {
  return open(id).state == State::kThrottled && threads_[id].note_of(open(id)) == nullptr;
}

void TimelineBuilder::on(const RefillEvent& event) {
  observe_current(event);
  const auto refill = [&](ThreadId id, std::uint8_t flags) {
    push(id, {event.ts_ns, kNone, kNone, open(id).cpu, State::kRunnable,
              static_cast<std::uint8_t>(RunnableWhy::kRefilled), flags, open(id).prio});
  };
  // Who was throttled is on the queue of its CPU again.
  if (const auto of_group = throttled_.extract(event.group); !of_group.empty()) {
    for (const ThreadId id : of_group.mapped()) {
      const Interval& interval = open(id);
      const IntervalNote* note = interval.state == State::kThrottled ? threads_[id].note_of(interval) : nullptr;
      if (!note || note->object != event.group) continue;  // it went on without this refill
      refill(id, event.some_wait ? kIntervalInferred : std::uint8_t{0});
    }
  }
  // Of whom nothing told the group: most probably its own cgroup's, yet it may have been one above that.
  if (const auto cgroup = quota_cgroups_.find(event.group); cgroup != quota_cgroups_.end()) {
    if (const auto of_cgroup = throttled_unnoted_.extract(cgroup->second); !of_cgroup.empty()) {
      for (const ThreadId id : of_cgroup.mapped())
        if (is_throttled_without_note(id)) refill(id, kIntervalInferred);
    }
  }
  // The others may have waited for this one: from here on nobody knows.
  for (const ThreadId id : std::exchange(newly_unnoted_, {})) {
    if (!is_throttled_without_note(id)) continue;
    Interval doubtful = open(id);
    doubtful.begin_ns = event.ts_ns;
    doubtful.flags = kIntervalInferred;
    push(id, doubtful);
  }
}

// ---------------------------------------------------------------------------------------------- interrupts

// Whatever damaged files claim, none begins before the one before it has ended.
void TimelineBuilder::on(const InterruptsEvent& event) {
  observe_current(event);
  if (event.cpu >= out_.interrupts_.size()) out_.interrupts_.resize(event.cpu + 1u);
  auto& of_cpu = out_.interrupts_[event.cpu];
  const std::uint64_t begin_ns = event.count == 1 ? event.since_ns : event.ts_ns - std::min(event.spent_ns, event.ts_ns);
  const std::uint64_t since_ns = std::max(begin_ns, of_cpu.empty() ? 0 : of_cpu.back().end_ns);
  if (since_ns < event.ts_ns && event.count != 0)
    of_cpu.push_back({since_ns, event.ts_ns, event.count, event.cause, event.cause_detail});
}

}  // namespace kflight::model
