// SPDX-License-Identifier: Apache-2.0
//
// invariants_of_cpus.cpp - who is on which CPU: each switch takes off the thread that the one before it put on, nobody
// is on two CPUs at once, and everything else that happens on a CPU is attributed to the thread that is there.
#include <optional>
#include <vector>

#include "analyze/invariants.hpp"
#include "analyze/tid_table.hpp"

namespace kflight::analyze {

namespace {

struct Occupant {
  std::uint32_t tid = 0;
  std::uint64_t since_ns = 0;  // the last switch of this CPU
  bool known = false;
};

// Who is on each CPU, as the switches tell.
class Cpus {
 public:
  explicit Cpus(const DumpSurvey& survey) {
    for (const kf_base_lane& lane : survey.dump.base_lanes())
      if (lane.known) of(lane.lane) = {lane.cur_tid, lane.through_ns, true};
  }
  Occupant& of(std::uint16_t cpu) {
    if (cpu >= cpus_.size()) cpus_.resize(std::size_t{cpu} + 1);
    return cpus_[cpu];
  }
  void switched(const SwitchEvent& e) { of(e.cpu) = {e.next_tid, e.ts_ns, true}; }

 private:
  std::vector<Occupant> cpus_;
};

bool scope_is_partial(const DumpSurvey& survey, Tally& tally) {
  if (!survey.system_scope)
    tally.not_applicable("with --scope target, switches between other threads are not recorded");
  return !survey.system_scope;
}

class OneThreadPerCpu final : public Invariant {
 public:
  OneThreadPerCpu(const DumpSurvey& survey, Tally tally) : Invariant(survey, tally), cpus_(survey) {}

  void on_switch(const SwitchEvent& e) override {
    if (judged(e.ts_ns)) tally_.checked();
    leave(e);
    cpus_.switched(e);
    if (e.next_tid != 0) enter(e);
  }

  void finish() override {
    threads_.for_each([this](std::uint32_t tid, Thread& thread) { settle(tid, thread); });
    tally_.remark("switches in the wrong order by less than 1 us: the clock was being adjusted", clock_steps_);
    tally_.remark("a CPU ran a thread that this system hides from BPF programs, and was not seen meanwhile",
                  survey_.hidden_stays);
  }

 private:
  struct Thread {
    std::uint64_t since_ns = 0;
    std::uint16_t cpu = 0;
    bool on_cpu = false;
    // It came to a CPU while still on another one; the switch-out there may follow within a clock step.
    std::uint16_t also_on_cpu = 0;
    std::uint64_t also_since_ns = 0;
    std::optional<EventHead> also_seen;
  };

  void leave(const SwitchEvent& e) {
    const Occupant& occupant = cpus_.of(e.cpu);
    if (occupant.known && occupant.tid != e.tid && judged(e.ts_ns) && !renamed(occupant.tid) && !renamed(e.tid) &&
        !excused_by_loss_on(e.cpu, occupant.since_ns, e.ts_ns))
      tally_.violate(e, e.tid, "thread {} leaves the CPU, but the switch before this one put {} there", e.tid,
                     occupant.tid);
    if (e.tid == 0) return;
    Thread& thread = threads_[e.tid];
    if (thread.also_seen && thread.also_on_cpu == e.cpu && e.ts_ns - thread.also_seen->ts_ns <= kClockStepNs) {
      ++clock_steps_;
      thread.also_seen.reset();
      return;  // it is on the other CPU already
    }
    thread.on_cpu = false;
  }

  void enter(const SwitchEvent& e) {
    Thread& thread = threads_[e.next_tid];
    settle(e.next_tid, thread);
    if (thread.on_cpu && judged(thread.since_ns) && !renamed(e.next_tid)) {
      thread.also_seen = e;
      thread.also_on_cpu = thread.cpu;
      thread.also_since_ns = thread.since_ns;
    }
    thread.on_cpu = true;
    thread.cpu = e.cpu;
    thread.since_ns = e.ts_ns;
  }

  void settle(std::uint32_t tid, Thread& thread) {
    if (!thread.also_seen) return;
    if (!excused_by_loss_on(thread.also_on_cpu, thread.also_since_ns, thread.also_seen->ts_ns))
      tally_.violate(*thread.also_seen, tid, "comes to this CPU while it is still on CPU {}", thread.also_on_cpu);
    thread.also_seen.reset();
  }

  bool renamed(std::uint32_t tid) const { return survey_.renamed.contains(tid); }

  Cpus cpus_;
  TidTable<Thread> threads_;
  std::uint64_t clock_steps_ = 0;
};

class CurrentTask final : public Invariant {
 public:
  CurrentTask(const DumpSurvey& survey, Tally tally) : Invariant(survey, tally), cpus_(survey) {}

  void on_switch(const SwitchEvent& e) override { cpus_.switched(e); }

  // A nested event may lie inside the switch it interrupted, where both answers are right.
  void on_any(const EventHead& e) override {
    const Occupant& occupant = cpus_.of(e.cpu);
    if (e.nested || !occupant.known || !judged(e.ts_ns)) return;
    tally_.checked();
    if (occupant.tid == e.tid || survey_.renamed.contains(e.tid) || survey_.renamed.contains(occupant.tid)) return;
    if (!excused_by_loss_on(e.cpu, occupant.since_ns, e.ts_ns))
      tally_.violate(e, e.tid, "thread {} acts on this CPU, but the last switch put {} there", e.tid, occupant.tid);
  }

 private:
  Cpus cpus_;
};

}  // namespace

std::unique_ptr<Invariant> one_thread_per_cpu(const DumpSurvey& survey, Tally tally) {
  return scope_is_partial(survey, tally) ? nullptr : std::make_unique<OneThreadPerCpu>(survey, tally);
}

std::unique_ptr<Invariant> current_task(const DumpSurvey& survey, Tally tally) {
  return scope_is_partial(survey, tally) ? nullptr : std::make_unique<CurrentTask>(survey, tally);
}

}  // namespace kflight::analyze
