// SPDX-License-Identifier: Apache-2.0
#include "analyze/timeline_check.hpp"

#include <algorithm>
#include <random>

#include "analyze/explain.hpp"
#include "analyze/invariant.hpp"

namespace kflight::analyze {

using model::State;
using model::Thread;
using model::ThreadId;
using model::Timeline;

namespace {

constexpr int kIntervals = 1000;

EventHead at(std::uint64_t ts_ns, std::uint16_t cpu = 0) { return {ts_ns, 0, cpu, false}; }

void partition(const model::Trace& trace, Tally tally) {
  const Timeline& timeline = trace.timeline();
  for (const Thread& thread : timeline.threads()) {
    std::uint64_t last_ns = 0;
    for (std::size_t i = 0; i < thread.intervals.size(); ++i) {
      tally.checked();
      const std::uint64_t begin_ns = thread.intervals[i].begin_ns;
      const std::uint64_t end_ns = timeline.interval_end_ns(thread, i);
      if (begin_ns < last_ns || end_ns < begin_ns)
        tally.violate(at(begin_ns), thread.tid, "interval {} ends before it begins", i);
      last_ns = begin_ns;
    }
  }
}

// Sum of running time over threads and over CPUs, and the name on the CPU at each running interval's first instant.
void cpus_agree(const model::Trace& trace, Tally tally) {
  const Timeline& timeline = trace.timeline();
  std::uint64_t running_ns = 0, busy_ns = 0;
  for (ThreadId id = 0; id < timeline.threads().size(); ++id) {
    const Thread& thread = timeline.thread(id);
    for (std::size_t i = 0; i < thread.intervals.size(); ++i) {
      if (thread.intervals[i].state != State::kRunning) continue;
      const std::uint64_t from_ns = std::max(thread.intervals[i].begin_ns, timeline.begin_ns());
      const std::uint64_t to_ns = timeline.interval_end_ns(thread, i);
      if (from_ns >= to_ns) continue;
      running_ns += to_ns - from_ns;
      tally.checked();
      model::OccupantPiece piece;
      timeline.occupants(thread.intervals[i].cpu, from_ns, to_ns).next(piece);
      if (piece.thread != id || piece.end_ns != to_ns)
        tally.violate(at(from_ns, thread.intervals[i].cpu), thread.tid, "runs on a CPU that another task has");
    }
  }
  for (std::uint16_t cpu = 0; cpu < timeline.cpus(); ++cpu) {
    auto occupants = timeline.occupants(cpu, timeline.begin_ns(), timeline.end_ns());
    for (model::OccupantPiece piece; occupants.next(piece);)
      if (piece.thread < model::kIdleThread) busy_ns += piece.end_ns - piece.begin_ns;
  }
  if (running_ns != busy_ns)
    tally.violate(at(timeline.begin_ns()), 0, "threads ran {} ns, CPUs were busy {} ns", running_ns, busy_ns);
}

std::array<std::uint64_t, kCategories> sums(const Explanation& explanation) {
  std::array<std::uint64_t, kCategories> out{};
  for (const Leaf& leaf : explanation.leaves) out[static_cast<std::size_t>(leaf.category)] += leaf.length_ns();
  return out;
}

bool tiles(const Explanation& explanation) {
  std::uint64_t at_ns = explanation.begin_ns;
  for (const Leaf& leaf : explanation.leaves) {
    if (leaf.begin_ns != at_ns || leaf.end_ns <= leaf.begin_ns) return false;
    at_ns = leaf.end_ns;
  }
  return at_ns == explanation.end_ns;
}

void explanations_add_up(const model::Trace& trace, Tally tally) {
  const Timeline& timeline = trace.timeline();
  const std::uint64_t length_ns = timeline.end_ns() - timeline.begin_ns();
  if (timeline.threads().empty() || length_ns == 0) return tally.not_applicable("the window is empty");
  // Long enough to have chains in them, short enough to check many.
  const std::uint64_t longest_ns = std::max<std::uint64_t>(std::min<std::uint64_t>(length_ns, 100'000'000), 1);
  std::mt19937_64 random(length_ns);
  for (int i = 0; i < kIntervals; ++i) {
    const auto id = static_cast<ThreadId>(random() % timeline.threads().size());
    const std::uint64_t a = timeline.begin_ns() + random() % length_ns;
    const std::uint64_t b = std::min(timeline.end_ns(), a + 1 + random() % longest_ns), c = a + (b - a) / 3;
    const Explanation whole = explain(trace, id, a, b);
    tally.checked();
    if (!tiles(whole)) tally.violate(at(a), timeline.thread(id).tid, "leaves do not tile [{}, {})", a, b);
    auto parts = sums(explain(trace, id, a, c));
    const auto second = sums(explain(trace, id, c, b));
    for (std::size_t k = 0; k < kCategories; ++k) parts[k] += second[k];
    if (parts != sums(whole))
      tally.violate(at(a), timeline.thread(id).tid, "[{}, {}) and [{}, {}) do not add up to the whole", a, c, c, b);
    if (whole.cycles == 0) continue;
    if (timeline.losses().all().empty() && timeline.counters().misfits == 0 && timeline.counters().lost_switches == 0) {
      tally.violate(at(a), timeline.thread(id).tid, "a chain comes back to itself");
    } else {
      tally.excuse();
    }
  }
}

struct Row {
  std::string_view name, proves;
  void (*run)(const model::Trace&, Tally);
};

constexpr Row kRows[] = {
    {"timeline-partition", "each thread is in exactly one state at each instant", partition},
    {"cpu-time", "the time threads ran is the time CPUs were busy, to the nanosecond", cpus_agree},
    {"explain-adds-up", "explanations of random intervals tile them, add up and have no circles", explanations_add_up},
};

}  // namespace

std::vector<InvariantReport> check_timeline(const model::Trace& trace, const CheckOptions& options) {
  std::vector<InvariantReport> reports;
  for (const Row& row : kRows) {
    InvariantReport& report = reports.emplace_back();
    report.name = row.name;
    report.proves = row.proves;
    row.run(trace, Tally(report, options));
    report.verdict = !report.why_not.empty()  ? Verdict::kNotApplicable
                     : report.violations != 0 ? Verdict::kViolated
                                              : Verdict::kOk;
  }
  return reports;
}

}  // namespace kflight::analyze
