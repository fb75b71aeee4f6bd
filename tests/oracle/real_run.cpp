// SPDX-License-Identifier: Apache-2.0
#include "oracle/real_run.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace kflight::test {

namespace {

class Converter {
 public:
  explicit Converter(const Dump& dump)
      : boottime_minus_monotonic_ns_(dump.meta().clocks.boottime - dump.meta().clocks.monotonic) {}

  void take(const Event& event) {
    visit(
        event, [this](const SwitchEvent& e) { take(e); }, [this](const WakingEvent& e) { take(e); },
        [this](const WakeupEvent& e) { take(e); },
        [this](const MigrateEvent& e) { add(e, SimKind::kMigrate, e.migrated_tid, e.dest_cpu); },
        [this](const ForkEvent& e) {
          seen_.insert(e.child_tid);
          add(e, SimKind::kWaking, e.child_tid, e.cpu);
        },
        [this](const ExecEvent& e) {
          if (e.old_tid != e.new_tid) former_[e.new_tid] = same(e.old_tid);
        });
  }

  // One order, no two events at the same time: both sides then agree on what came first.
  std::vector<SimEvent> finish() && {
    std::ranges::stable_sort(events_, {}, &SimEvent::ts_ns);
    std::uint64_t last_ns = 0;
    for (SimEvent& event : events_) last_ns = event.ts_ns = std::max(event.ts_ns, last_ns + 1);
    return std::move(events_);
  }
  std::uint16_t cpus() const { return cpus_; }
  // Whoever is the first on a CPU and does something there before all else has run from the beginning.
  std::map<std::uint32_t, std::uint16_t> running() const { return running_; }

 private:
  std::uint32_t same(std::uint32_t tid) const {
    const auto found = former_.find(tid);
    return found == former_.end() ? tid : found->second;
  }

  // Whom this CPU runs. Some systems hide threads: seen to come, never seen to leave.
  std::uint32_t current(const EventHead& at) {
    cpus_ = std::max<std::uint16_t>(cpus_, at.cpu + 1);
    auto& known = current_[at.cpu];
    const std::uint32_t tid = same(at.tid);
    if (!known && seen_.contains(tid)) known = 0;
    if (!known && tid != 0) {
      running_.emplace(tid, at.cpu);
      seen_.insert(tid);
    }
    if (known && *known != tid && !at.nested) switched(at, *known, tid, SimWait::kPipe, false);
    if (!known || !at.nested) known = tid;
    return *known;
  }

  // A hidden thread that comes to a CPU has left the one where it was last seen.
  void leave_others(const EventHead& to, std::uint32_t tid) {
    for (auto& [cpu, known] : current_)
      if (tid != 0 && cpu != to.cpu && known == tid)
        switched({to.ts_ns, tid, cpu, false}, tid, 0, SimWait::kPipe, false);
  }

  SimEvent& add(const EventHead& at, SimKind kind, std::uint32_t tid, std::uint16_t target) {
    SimEvent event;
    event.ts_ns = at.ts_ns;
    event.kind = kind;
    event.cpu = at.cpu;
    event.current = current(at);
    event.tid = same(tid);
    event.target = target;
    return events_.emplace_back(event);
  }

  void switched(const EventHead& at, std::uint32_t from, std::uint32_t to, SimWait wait, bool preempt) {
    leave_others(at, to);
    SimEvent event;
    event.ts_ns = at.ts_ns;
    event.kind = SimKind::kSwitch;
    event.cpu = event.target = at.cpu;
    event.current = from;
    event.tid = to;
    event.wait = from == 0 ? SimWait::kNothing : wait;
    event.preempt = preempt;
    event.nsw = ++switches_[from];
    seen_.insert({from, to});
    events_.push_back(event);
    current_[at.cpu] = to;
  }

  void take(const SwitchEvent& e) {
    const bool runs_on = e.prev_state == KF_ST_RUNNING;
    const SimWait wait = runs_on ? SimWait::kNothing : e.prev_state == KF_ST_DISK ? SimWait::kDisk : SimWait::kPipe;
    const std::uint32_t from = current(e);
    switched(e, from, same(e.next_tid), wait, e.preempt);
  }

  void take(const WakingEvent& e) {
    const bool by_task = e.ctx == KF_CTX_TASK;
    if (by_task && same(e.tid) == same(e.wakee)) return;  // has not slept
    seen_.insert(same(e.wakee));
    SimEvent& waking = add(e, SimKind::kWaking, e.wakee, e.target_cpu);
    if (!by_task) note_source(waking, e);
    if (!e.has_wakeup) return;
    SimEvent wakeup = waking;
    wakeup.kind = SimKind::kWakeup;
    wakeup.ts_ns = std::max(e.wakeup_ns, e.ts_ns);
    wakeup.source = SimSource::kTask;
    events_.push_back(wakeup);
  }

  // To the model a thread of which nothing was seen before is unknown until it runs; kflight takes it for runnable.
  void take(const WakeupEvent& e) {
    if (seen_.contains(same(e.wakee))) add(e, SimKind::kWakeup, e.wakee, e.target_cpu);
  }

  void note_source(SimEvent& waking, const WakingEvent& e) const {
    const auto boottime = [&](std::uint64_t ns) { return std::min(ns + boottime_minus_monotonic_ns_, e.ts_ns); };
    switch (e.cause) {
      case KF_CAUSE_HRTIMER:
      case KF_CAUSE_TIMER:
        waking.source = SimSource::kTimer;
        return;
      case KF_CAUSE_BLOCK:
        waking.source = SimSource::kDisk;
        waking.queued_ns = boottime(e.cause_args[0]);
        waking.issued_ns = e.cause_args[1] ? std::max(boottime(e.cause_args[1]), waking.queued_ns) : waking.queued_ns;
        waking.completed_ns = e.ts_ns;
        return;
      default:
        waking.source = SimSource::kIrq;
    }
  }

  std::uint64_t boottime_minus_monotonic_ns_;
  std::uint16_t cpus_ = 0;
  std::map<std::uint16_t, std::optional<std::uint32_t>> current_;
  std::map<std::uint32_t, std::uint32_t> former_;  // exec: the tid its events had before
  std::map<std::uint32_t, std::uint8_t> switches_;
  std::map<std::uint32_t, std::uint16_t> running_;
  std::set<std::uint32_t> seen_;
  std::vector<SimEvent> events_;
};

}  // namespace

Result<SimRun> run_of(const Dump& dump) {
  Converter converter(dump);
  bool lost = !dump.complete() || !dump.damage().empty();
  for (const kf_loss& loss : dump.losses()) lost |= kf_hides_events(&loss);
  for (const Event& event : dump.events()) {
    const std::uint64_t ts_ns = head(event).ts_ns;
    lost |= std::holds_alternative<LossEvent>(event);
    if (ts_ns >= dump.window_begin_ns() && ts_ns < dump.window_end_ns()) converter.take(event);
  }
  if (lost) return Error{Errc::kUnsupported, "events are missing in this dump; the model knows no losses"};
  SimRun run;
  run.cpus = converter.cpus();
  run.running = converter.running();
  run.events = std::move(converter).finish();
  run.end_ns = std::max(dump.window_end_ns(), run.events.empty() ? 0 : run.events.back().ts_ns + 1);
  return run;
}

}  // namespace kflight::test
