// SPDX-License-Identifier: Apache-2.0
//
// What must not change an explanation, on simulated runs: another epoch, a process that has nothing to do with it, a
// window that begins later. And what must not break it: events at the wrong time, twice, or not at all.
#include <gtest/gtest.h>

#include <algorithm>

#include "analyze/explain.hpp"
#include "analyze/timeline_check.hpp"
#include "support/simulator.hpp"
#include "support/timeline_expect.hpp"

namespace kflight::test {
namespace {

using analyze::Category;
using analyze::Explanation;
using analyze::Leaf;
using analyze::Quality;
using analyze::Who;
using model::ThreadId;
using model::Trace;

constexpr std::uint64_t kSeeds = 60;
constexpr std::uint64_t kLatestNs = 2'000'000;  // of window beginnings; runs take 3 ms

SimRun simulate(std::uint64_t seed) {
  Simulator run(seed, 3000);
  run.run();
  return run.happened();
}

Trace traced(const SimRun& run, const RecordOptions& options = {}) { return Trace(record(run, options).timeline); }

// A leaf in terms that mean the same in another trace.
struct Said {
  std::uint64_t begin_ns, end_ns;
  Category category;
  Who::Kind kind;
  std::uint32_t who;
  friend bool operator==(const Said&, const Said&) = default;
};

Said said(const Trace& trace, const Leaf& leaf, std::uint64_t shift_ns = 0) {
  const bool thread = leaf.who.kind == Who::Kind::kThread;
  return {leaf.begin_ns - shift_ns, leaf.end_ns - shift_ns, leaf.category, leaf.who.kind,
          thread ? trace.timeline().thread(leaf.who.id).tid : leaf.who.id};
}

Explanation explain(const Trace& trace, std::uint32_t tid, std::uint64_t a_ns, std::uint64_t b_ns) {
  const ThreadId id = trace.timeline().find_thread(tid, a_ns);
  return id == model::kNoThread ? Explanation{} : analyze::explain(trace, id, a_ns, b_ns);
}

std::vector<Said> explained(const Trace& trace, std::uint32_t tid, std::uint64_t a_ns, std::uint64_t b_ns,
                            std::uint64_t shift_ns = 0) {
  std::vector<Said> out;
  for (const Leaf& leaf : explain(trace, tid, a_ns + shift_ns, b_ns + shift_ns).leaves)
    out.push_back(said(trace, leaf, shift_ns));
  return out;
}

const Leaf& leaf_of(const Explanation& e, std::uint64_t t_ns) {
  return *std::prev(std::upper_bound(e.leaves.begin(), e.leaves.end(), t_ns,
                                     [](std::uint64_t at, const Leaf& leaf) { return at < leaf.begin_ns; }));
}

template <class F>
void for_each_run(F&& check) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    const SimRun run = simulate(seed);
    std::uint32_t threads = 0;
    for (const SimEvent& event : run.events) threads = std::max(threads, event.tid);
    for (std::uint32_t tid = 1; tid <= threads; ++tid) {
      check(seed, run, tid);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(Metamorphic, AnotherEpochChangesNothing) {
  constexpr std::uint64_t kShiftNs = 987'654'321'000'000;
  for_each_run([](std::uint64_t seed, const SimRun& run, std::uint32_t tid) {
    SimRun later = run;
    later.end_ns += kShiftNs;
    for (SimEvent& event : later.events) {
      event.ts_ns += kShiftNs;
      for (std::uint64_t* time : {&event.queued_ns, &event.issued_ns, &event.completed_ns}) *time += kShiftNs;
    }
    const std::uint64_t begin_ns = seed % 2 ? 500'000 : 0;
    const Trace a = traced(run, {.seed = seed, .begin_ns = begin_ns});
    const Trace b = traced(later, {.seed = seed, .begin_ns = begin_ns + kShiftNs});
    EXPECT_EQ(explained(a, tid, begin_ns, run.end_ns), explained(b, tid, begin_ns, run.end_ns, kShiftNs)) << tid;
  });
}

// A process on a CPU of its own: timers wake it, it computes, it sleeps.
void add_unrelated_process(SimRun& run, std::uint64_t seed) {
  constexpr std::uint32_t kTid = 9001;
  std::mt19937_64 random(seed);
  const std::uint16_t cpu = run.cpus++;
  std::uint8_t switches = 0, idle_switches = 0;
  std::uint64_t at_ns = 0;
  const auto add = [&](SimKind kind, std::uint32_t current, std::uint32_t tid, SimEvent event = {}) {
    at_ns += 1'000 * (1 + random() % 40);
    event.ts_ns = at_ns + 700;  // nothing else has this fraction of a microsecond
    event.kind = kind;
    event.cpu = event.target = cpu;
    event.current = current;
    event.tid = tid;
    if (event.ts_ns < run.end_ns) run.events.push_back(event);
  };
  while (at_ns < run.end_ns) {
    add(SimKind::kWaking, 0, kTid, {.source = SimSource::kTimer});
    add(SimKind::kWakeup, 0, kTid);
    add(SimKind::kSwitch, 0, kTid, {.nsw = ++idle_switches});
    add(SimKind::kSwitch, kTid, 0, {.wait = SimWait::kSleep, .nsw = ++switches});
  }
  std::ranges::stable_sort(run.events, {}, &SimEvent::ts_ns);
}

TEST(Metamorphic, UnrelatedProcessChangesNoLeaf) {
  for_each_run([](std::uint64_t seed, const SimRun& run, std::uint32_t tid) {
    SimRun busier = run;
    add_unrelated_process(busier, seed);
    const RecordOptions options{.seed = seed, .begin_ns = seed % 2 ? 500'000u : 0u, .merge_wakeups = false};
    EXPECT_EQ(explained(traced(run, options), tid, options.begin_ns, run.end_ns),
              explained(traced(busier, options), tid, options.begin_ns, run.end_ns))
        << tid;
  });
}

// What happened before the window is folded into facts, or not known at all.
TEST(Metamorphic, LaterWindowMakesOldLeavesUnknownAndChangesNoOther) {
  std::uint64_t same = 0, unknown = 0;
  for_each_run([&](std::uint64_t seed, const SimRun& run, std::uint32_t tid) {
    const std::uint64_t cut_ns = 300'000 + seed * 1'777'777 % (kLatestNs - 300'000);
    const bool folded = seed % 2;
    SimRun rest = run;
    if (!folded) std::erase_if(rest.events, [cut_ns](const SimEvent& event) { return event.ts_ns < cut_ns; });
    const RecordOptions options{.seed = seed, .begin_ns = cut_ns, .merge_wakeups = false};
    const Trace whole = traced(run, {.seed = seed, .merge_wakeups = false}), cut = traced(rest, options);
    const Explanation before = explain(whole, tid, cut_ns, run.end_ns);
    const Explanation after = explain(cut, tid, cut_ns, run.end_ns);
    if (before.leaves.empty() || after.leaves.empty()) return;
    for (std::uint64_t t_ns = cut_ns; t_ns < run.end_ns; t_ns += 2'003) {
      const Leaf &old_leaf = leaf_of(before, t_ns), &leaf = leaf_of(after, t_ns);
      Said a = said(whole, old_leaf), b = said(cut, leaf);
      a.begin_ns = b.begin_ns = a.end_ns = b.end_ns = 0;
      if (leaf.quality == Quality::kUnknown) {
        ++unknown;
        EXPECT_TRUE(!folded || old_leaf.quality == Quality::kUnknown) << tid << " at " << t_ns;
      } else {
        ++same;
        EXPECT_EQ(a, b) << tid << " at " << t_ns << " folded " << folded << ": " << category_name(a.category) << " of "
                        << a.who << ", cut " << category_name(b.category) << " of " << b.who;
      }
    }
  });
  EXPECT_GT(same, unknown);
}

// One of the ways in which a stream of events can be wrong.
void damage(SimRun& run, std::mt19937_64& random) {
  auto& events = run.events;
  const auto anywhere = [&] { return random() % events.size(); };
  const auto at = [&](std::size_t i) { return events.begin() + static_cast<std::ptrdiff_t>(i); };
  switch (random() % 6) {
    case 0:  // two events change places
      return std::swap(events[anywhere()], events[anywhere()]);
    case 1: {  // twice
      const SimEvent event = events[anywhere()];
      events.insert(at(anywhere()), event);
      return;
    }
    case 2: {  // a stretch is missing
      const std::size_t from = anywhere();
      events.erase(at(from), at(std::min(events.size() - 1, from + random() % 20)));
      return;
    }
    case 3:  // another time
      events[anywhere()].ts_ns = random() % (run.end_ns * 2);
      return;
    case 4: {  // another thread or CPU
      SimEvent& event = events[anywhere()];
      event.tid = static_cast<std::uint32_t>(random() % 16);
      event.current = static_cast<std::uint32_t>(random() % 16);
      event.cpu = static_cast<std::uint16_t>(random() % run.cpus);
      event.target = static_cast<std::uint16_t>(random() % 8);
      return;
    }
    default:  // another kind
      events[anywhere()].kind = static_cast<SimKind>(random() % 4);
  }
}

TEST(ReplayFuzz, DamagedStreamsKeepTheInvariants) {
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    SimRun run = simulate(seed);
    std::mt19937_64 random(seed);
    for (std::uint64_t i = random() % 200; i > 0 && run.events.size() > 100; --i) damage(run, random);
    std::ranges::stable_sort(run.events, {}, &SimEvent::ts_ns);  // a reader keeps times in order, whatever it reads
    const Trace trace = traced(run, {.seed = seed});
    expect_partition(trace.timeline());
    expect_cpus_agree(trace.timeline());
    for (const auto& report : analyze::check_timeline(trace, {.explanations = 50})) {
      if (report.name == "waker-was-running") continue;  // nobody reported what is missing here
      for (const auto& evidence : report.evidence)
        EXPECT_TRUE(evidence.what.ends_with("unknown although no event is missing"))
            << report.name << ": " << evidence.what;
    }
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace kflight::test
