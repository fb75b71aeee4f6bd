// SPDX-License-Identifier: Apache-2.0
#include "analyze/timeline_check.hpp"

#include <iterator>

#include "analyze/invariants_of_states.hpp"

namespace kflight::analyze {

namespace {

struct Row {
  std::string_view name, proves;
  StateInvariant* run;
};

constexpr Row kRows[] = {
    {"timeline-partition", "each thread is in exactly one state at each instant", states_tile},
    {"cpu-time", "each CPU has one occupant at each instant, and threads ran as long as CPUs were busy", cpus_agree},
    {"waker-was-running", "whoever woke a thread was running on the waking's CPU at that time", wakers_run},
    {"kernel-times", "threads born in the window ran and queued as long as the kernel says", kernel_times},
    {"explanations",
     "explanations of random stretches tile them, add up, have no circles, and are unknown only where events are lost",
     explanations_hold},
};

}  // namespace

std::vector<InvariantReport> check_timeline(const model::Trace& trace, const CheckOptions& options) {
  std::vector<InvariantReport> reports;
  for (const Row& row : kRows) {
    InvariantReport& report = reports.emplace_back();
    report.name = row.name;
    report.proves = row.proves;
    row.run(trace, Tally(report, options), options);
    settle(report);
  }
  return reports;
}

CheckReport check_trace(const model::Trace& trace, const CheckOptions& options) {
  CheckReport report;
  if (trace.dump() != nullptr) report = check_dump(*trace.dump(), options);
  std::vector<InvariantReport> states = check_timeline(trace, options);
  report.invariants.insert(report.invariants.end(), std::make_move_iterator(states.begin()),
                           std::make_move_iterator(states.end()));
  return report;
}

}  // namespace kflight::analyze
