// SPDX-License-Identifier: Apache-2.0
//
// Properties of explanations over simulated runs: exact sum, partition, additivity, agreement with an independent
// answer instant by instant, no cycles where nothing is lost, and under losses nothing that is wrong and called exact.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <tuple>

#include "analyze/explain.hpp"
#include "support/simulator.hpp"

namespace kflight::test {
namespace {

using analyze::Category;
using analyze::Explanation;
using analyze::Leaf;
using analyze::Quality;
using analyze::Who;
using model::State;
using model::ThreadId;
using model::Timeline;
using model::Trace;

struct Blame {
  Category category;
  Who who;
  friend bool operator==(const Blame&, const Blame&) = default;
};

// The same question answered for one instant, with none of explain()'s code but its vocabulary.
Blame blame_at(const Timeline& timeline, ThreadId id, std::uint64_t t) {
  std::set<ThreadId> seen{id};
  for (;;) {
    const model::Piece piece = timeline.piece_at(id, t);
    const Who self{Who::Kind::kThread, id};
    if (piece.state == State::kRunning) return {Category::kCpu, self};
    if (piece.state == State::kRunnable) {
      const auto& interval = timeline.thread(id).intervals[piece.index];
      std::uint16_t cpu = interval.cpu;
      const bool placed = interval.wake != model::kNone && !(interval.flags & model::kIntervalUnplaced);
      if (placed && t < timeline.wake(interval.wake).enqueued_ns) return {Category::kEnqueue, {Who::Kind::kKernel, 0}};
      for (auto move = interval.first_move(); move != model::kNone; move = timeline.move(move).next)
        if (timeline.move(move).ts_ns <= t) cpu = timeline.move(move).cpu;
      ThreadId occupant = model::kNoThread;
      if (cpu < timeline.cpus())
        for (const auto& entry : timeline.occupancy(cpu))
          if (entry.begin_ns <= t) occupant = entry.thread;
      if (occupant == model::kNoThread) return {Category::kUnknown, {Who::Kind::kCpu, cpu}};
      if (occupant == model::kIdleThread) return {Category::kWakeLatency, {Who::Kind::kCpu, cpu}};
      return {Category::kContention, {Who::Kind::kThread, occupant}};
    }
    if (piece.state != State::kBlocked) return {Category::kUnknown, self};
    const auto& blocked = timeline.thread(id).intervals[piece.index];
    if (blocked.wake == model::kNone) {
      const bool open = piece.index + 1 == timeline.thread(id).intervals.size();
      return {open ? Category::kStillBlocked : Category::kUnknown, self};
    }
    const model::Wake& wake = timeline.wake(blocked.wake);
    if (wake.flags & model::kWakeLost) return {Category::kUnknown, self};
    if (wake.cause == model::CauseKind::kTimer) return {Category::kTimer, self};
    if (wake.cause == model::CauseKind::kBlock) {
      const auto& request = timeline.block_requests()[wake.cause_ref];
      const Who disk{Who::Kind::kDisk, request.dev};
      return {t < request.queued_ns      ? Category::kDiskBeforeSubmit
              : t < request.issued_ns    ? Category::kDiskQueue
              : t < request.completed_ns ? Category::kDiskService
                                         : Category::kDiskCompletion,
              disk};
    }
    if (wake.waker == model::kIdleThread) return {Category::kKernelUnattributed, {Who::Kind::kKernel, 0}};
    if (wake.waker == model::kNoThread || !seen.insert(wake.waker).second) return {Category::kUnknown, self};
    id = wake.waker;
  }
}

using Totals = std::map<std::tuple<Category, Who::Kind, std::uint32_t>, std::uint64_t>;

void add_to(Totals& totals, const Explanation& e) {
  for (const Leaf& leaf : e.leaves) totals[{leaf.category, leaf.who.kind, leaf.who.id}] += leaf.length_ns();
}

void expect_tiles(const Explanation& e) {
  std::uint64_t at = e.begin_ns, sum = 0;
  for (const Leaf& leaf : e.leaves) {
    ASSERT_EQ(leaf.begin_ns, at);
    ASSERT_LT(leaf.begin_ns, leaf.end_ns);
    at = leaf.end_ns;
    sum += leaf.length_ns();
  }
  ASSERT_EQ(at, e.end_ns);
  ASSERT_EQ(sum, e.length_ns());
}

const Leaf& leaf_at(const Explanation& e, std::uint64_t t) {
  auto after = std::upper_bound(e.leaves.begin(), e.leaves.end(), t,
                                [](std::uint64_t at, const Leaf& leaf) { return at < leaf.begin_ns; });
  return *--after;
}

// In the state its thread is in when the window ends: a sleep that an early waking may have ended is not decided upon.
bool is_last(const Timeline& timeline, const Leaf& leaf) {
  return timeline.piece_at(leaf.thread, leaf.begin_ns).index + 1 == timeline.thread(leaf.thread).intervals.size();
}

struct Interval {
  ThreadId thread;
  std::uint64_t a, b, c;  // c somewhere between
};

template <class F>
void for_random_intervals(const Timeline& timeline, std::uint64_t seed, int per_thread, F&& check) {
  std::mt19937_64 random(seed * 77 + 1);
  const std::uint64_t length = timeline.end_ns() - timeline.begin_ns();
  for (ThreadId id = 0; id < timeline.threads().size(); ++id) {
    for (int i = 0; i < per_thread; ++i) {
      std::uint64_t a = timeline.begin_ns() + random() % length, b = timeline.begin_ns() + random() % (length + 1);
      if (a > b) std::swap(a, b);
      check(Interval{id, a, b, a + (b > a ? random() % (b - a) : 0)}, random);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

Trace recorded(std::uint64_t seed, const RecordOptions& options) {
  Simulator run(seed, 3000);
  run.run();
  return Trace(record(run, options).timeline);
}

RecordOptions options_for(std::uint64_t seed) {
  switch (seed % 4) {
    case 0:
      return {.seed = seed};
    case 1:
      return {.seed = seed, .begin_ns = 700'000};
    case 2:
      return {.seed = seed, .begin_ns = 500'000, .lost_stretches = 0.005};
    default:
      return {.seed = seed, .lost_silently = 0.02};
  }
}

TEST(ExplainSimulated, SumPartitionAdditivityAndAgreementPointByPoint) {
  std::size_t intervals = 0, instants = 0;
  std::uint32_t deepest = 0;
  for (std::uint64_t seed = 0; seed < 160; ++seed) {
    SCOPED_TRACE(seed);
    const Trace trace = recorded(seed, options_for(seed));
    for_random_intervals(trace.timeline(), seed, 6, [&](const Interval& i, std::mt19937_64& random) {
      const Explanation whole = analyze::explain(trace, i.thread, i.a, i.b);
      expect_tiles(whole);
      Totals parts, totals;
      add_to(parts, analyze::explain(trace, i.thread, i.a, i.c));
      add_to(parts, analyze::explain(trace, i.thread, i.c, i.b));
      add_to(totals, whole);
      ASSERT_EQ(parts, totals);
      for (int n = 0; n < 10 && i.a < i.b; ++n) {
        const std::uint64_t t = i.a + random() % (i.b - i.a);
        const Leaf& leaf = leaf_at(whole, t);
        const Blame blame = blame_at(trace.timeline(), i.thread, t);
        ASSERT_TRUE((blame == Blame{leaf.category, leaf.who}))
            << t << ": " << category_name(leaf.category) << " " << leaf.who.id << ", pointwise "
            << category_name(blame.category) << " " << blame.who.id;
        ++instants;
      }
      if (seed % 4 < 2) {
        ASSERT_EQ(whole.cycles, 0u);
      }
      if (seed % 4 == 1) {
        for (const Leaf& leaf : whole.leaves)
          ASSERT_TRUE(leaf.quality == Quality::kExact || is_last(trace.timeline(), leaf)) << leaf.begin_ns;
      }
      deepest = std::max(deepest, whole.deepest);
      ++intervals;
    });
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(intervals, 5'000u);
  EXPECT_GT(instants, 50'000u);
  EXPECT_GE(deepest, 3u);
}

// Against the explanation of the same run with nothing lost.
TEST(ExplainSimulated, LossesMakeAnswersDoubtfulNotWrong) {
  std::uint64_t wrong_exact = 0, wrong_inferred = 0, right = 0, unknown = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    Simulator run(seed, 3000);
    run.run();
    const std::uint64_t begin_ns = 500'000;
    const Trace truth(record(run, {.seed = seed, .begin_ns = begin_ns}).timeline);
    const Trace lossy(record(run, {.seed = seed, .begin_ns = begin_ns, .lost_stretches = 0.003}).timeline);
    for (const auto& [tid, states] : run.truth()) {
      const ThreadId id = truth.timeline().find_thread(tid, begin_ns);
      const ThreadId lossy_id = lossy.timeline().find_thread(tid, begin_ns);
      if (lossy_id == model::kNoThread) continue;
      const Explanation right_one = analyze::explain(truth, id, begin_ns, run.end_ns());
      const Explanation other = analyze::explain(lossy, lossy_id, begin_ns, run.end_ns());
      expect_tiles(other);
      for (std::uint64_t t = begin_ns; t < run.end_ns(); t += 5'003) {
        const Leaf &a = leaf_at(right_one, t), &b = leaf_at(other, t);
        const auto name = [](const Trace& trace, const Who& who) {
          return who.kind == Who::Kind::kThread ? trace.timeline().thread(who.id).tid : who.id;
        };
        const bool same = a.category == b.category && name(truth, a.who) == name(lossy, b.who);
        if (b.quality == Quality::kUnknown) {
          ++unknown;
        } else if (same) {
          ++right;
        } else {
          (b.quality == Quality::kExact ? wrong_exact : wrong_inferred)++;
          EXPECT_NE(b.quality, Quality::kExact)
              << "tid " << tid << " at " << t << ": " << category_name(b.category) << " of " << name(lossy, b.who)
              << ", in truth " << category_name(a.category) << " of " << name(truth, a.who);
        }
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_EQ(wrong_exact, 0u);
  EXPECT_LT(wrong_inferred, right / 10);
  EXPECT_LT(unknown, right);
}

}  // namespace
}  // namespace kflight::test
