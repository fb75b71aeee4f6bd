// SPDX-License-Identifier: Apache-2.0
//
// check.cpp - the list of invariants, and the one pass that shows them every event.
#include "analyze/check.hpp"

#include <algorithm>

#include "analyze/invariants.hpp"

namespace kflight::analyze {

namespace {

struct Entry {
  std::string_view name;
  std::string_view proves;
  MakeInvariant* make;
};

constexpr Entry kInvariants[] = {
    {"file-complete", "the file ends with a valid trailer and no part of it is damaged", file_complete},
    {"chunk-numbers", "the chunks of a CPU are numbered without gaps, or the gap is a loss", chunk_numbers},
    {"chunk-contents", "each chunk holds the events its header counts, in order of time", chunk_contents},
    {"recorder-counts", "the file holds what the recorder says it wrote, and no loss it did not count",
     recorder_counts},
    {"one-thread-per-cpu", "who leaves a CPU is who came last; no thread is on two CPUs", one_thread_per_cpu},
    {"current-task", "events name the thread that the last switch put on their CPU", current_task},
    {"thread-sequence", "no switch-out of a thread is missing, by the kernel's own count", thread_sequence},
    {"wake-before-run", "a thread that blocked runs again only after somebody woke it", wake_before_run},
    {"snapshot-counts", "switch-outs agree with the context switches the kernel counted", snapshot_counts},
    {"lives", "threads are born once, end once, and do nothing afterwards", lives},
    {"call-times", "a thread is in one call at a time, and all events agree when it began", call_times},
    {"calls-switched-out", "a call is marked as switched out if and only if it was", calls_switched_out},
    {"stacks", "a stack belongs to a switch-out or a waking, and the dump holds it", stacks_belong},
};

using Invariants = std::vector<std::unique_ptr<Invariant>>;

void show(const Event& event, const Invariants& invariants) {
  const auto each = [&](auto method, const auto& e) {
    for (const auto& invariant : invariants) {
      ((*invariant).*method)(e);
      invariant->on_any(e);
    }
  };
  const auto any = [&](const EventHead& e) {
    for (const auto& invariant : invariants) invariant->on_any(e);
  };
  visit_all(
      event,
      [&](const SwitchEvent& e) {
        for (const auto& invariant : invariants) invariant->on_switch(e);
      },
      [&](const WakingEvent& e) { each(&Invariant::on_waking, e); },
      [&](const WakeupEvent& e) { each(&Invariant::on_wakeup, e); },
      [&](const ForkEvent& e) { each(&Invariant::on_fork, e); },
      [&](const ExitEvent& e) { each(&Invariant::on_exit, e); },
      [&](const SyscallEvent& e) { each(&Invariant::on_syscall, e); },
      [&](const SyscallOpenEvent& e) { each(&Invariant::on_syscall_open, e); }, [&](const MigrateEvent& e) { any(e); },
      [&](const ExecEvent& e) { any(e); }, [&](const RenameEvent& e) { any(e); }, [&](const BlockEvent& e) { any(e); },
      [&](const WorkEvent& e) { any(e); }, [&](const SignalEvent& e) { any(e); },
      [&](const LockWaitEvent& e) { any(e); }, [&](const ThrottleEvent& e) { any(e); },
      [&](const RefillEvent& e) { any(e); }, [&](const InterruptsEvent& e) { any(e); },
      [&](const StackEvent& e) { each(&Invariant::on_stack, e); },
      [&](const UnknownEvent& e) { any(e); }, [](const LossEvent&) {});
}

}  // namespace

void settle(InvariantReport& report) {
  if (report.violations > 0)
    report.verdict = Verdict::kViolated;
  else if (!report.why_not.empty())
    report.verdict = Verdict::kNotApplicable;
  else if (report.checked == 0) {
    report.verdict = Verdict::kNotApplicable;
    report.why_not = report.excused > 0 ? "losses leave nothing to judge" : "nothing in the dump is about this";
  }
}

std::string_view verdict_name(Verdict verdict) {
  constexpr std::string_view kNames[] = {"ok", "violated", "not applicable"};
  return kNames[static_cast<std::size_t>(verdict)];
}

bool CheckReport::violated() const {
  return std::ranges::any_of(invariants, [](const auto& i) { return i.verdict == Verdict::kViolated; });
}

CheckReport check_dump(const Dump& dump, const CheckOptions& options) {
  const DumpSurvey survey(dump);
  CheckReport report;
  report.events = survey.events;
  report.begin_ns = survey.begin_ns;
  report.end_ns = survey.end_ns;
  report.losses = survey.losses.size();
  for (const Entry& entry : kInvariants) report.invariants.push_back({.name = entry.name, .proves = entry.proves});

  Invariants invariants;
  for (std::size_t i = 0; i < std::size(kInvariants); ++i)
    if (auto made = kInvariants[i].make(survey, Tally(report.invariants[i], options)))
      invariants.push_back(std::move(made));
  for (const Event& event : dump.events())
    if (head(event).ts_ns < survey.end_ns) show(event, invariants);
  for (const auto& invariant : invariants) invariant->finish();
  for (InvariantReport& one : report.invariants) settle(one);
  return report;
}

}  // namespace kflight::analyze
