// SPDX-License-Identifier: Apache-2.0
//
// invariants_of_explanations.cpp - explanations of random stretches of random threads' time: leaves tile what was
// asked, two halves give the same as the whole, no chain comes back to itself, and "unknown" is only said where an
// event may be missing. The number of leaves is bounded, so that a dense trace does not take long.
#include <algorithm>
#include <random>

#include <fmt/format.h>

#include "analyze/explain.hpp"
#include "analyze/invariants_of_states.hpp"
#include "model/names.hpp"

namespace kflight::analyze {

using model::Piece;
using model::State;
using model::ThreadId;
using model::Timeline;

namespace {

constexpr std::size_t kMostLeaves = 1'500'000;     // of all explanations together
constexpr std::uint64_t kLongestNs = 100'000'000;  // long enough to have chains in them
constexpr unsigned kHalvings = 12;                 // lengths go down to a 4096th of the longest

bool tiles(const Explanation& explanation) {
  std::uint64_t at_ns = explanation.begin_ns;
  for (const Leaf& leaf : explanation.leaves) {
    if (leaf.begin_ns != at_ns || leaf.end_ns <= leaf.begin_ns) return false;
    at_ns = leaf.end_ns;
  }
  return at_ns == explanation.end_ns;
}

bool same_blame(const Leaf& a, const Leaf& b) {
  return a.category == b.category && a.who == b.who && a.thread == b.thread && a.cpu == b.cpu && a.detail == b.detail;
}

// `part` says the same as `whole` at each instant of its own. Both tile.
bool agrees(const Explanation& part, const Explanation& whole) {
  auto at = std::upper_bound(whole.leaves.begin(), whole.leaves.end(), part.begin_ns,
                             [](std::uint64_t t, const Leaf& leaf) { return t < leaf.end_ns; });
  for (const Leaf& leaf : part.leaves) {
    for (std::uint64_t t_ns = leaf.begin_ns; t_ns < leaf.end_ns; t_ns = at->end_ns) {
      while (at->end_ns <= t_ns) ++at;
      if (!same_blame(*at, leaf)) return false;
    }
  }
  return true;
}

// A state that events would tell but do not. Nothing is known of a thread before it is first heard of, nor after its
// end, nor of one that the scope hides. Who had a CPU may be unknown because of what is missing of that thread, elsewhere.
bool may_be_unknown(const model::Trace& trace, const Leaf& leaf) {
  const Timeline& timeline = trace.timeline();
  if (trace.hides(timeline.thread(leaf.thread))) return true;
  const Piece piece = timeline.piece_at(leaf.thread, leaf.begin_ns);
  if (piece.state == State::kExited || in_doubt(timeline, leaf.thread, leaf.begin_ns)) return true;
  if (piece.state != State::kRunnable) return false;
  if (!timeline.losses().all().empty() || leaf.cpu >= timeline.cpus()) return true;
  const auto& row = timeline.occupancy(leaf.cpu);  // not heard of before
  return row.empty() || (row[0].thread == model::kNoThread && (row.size() == 1 || leaf.begin_ns < row[1].begin_ns));
}

class Explanations {
 public:
  Explanations(const model::Trace& trace, Tally& tally) : trace_(trace), timeline_(trace.timeline()), tally_(tally) {}

  void check(ThreadId id, std::uint64_t a_ns, std::uint64_t b_ns, std::uint64_t c_ns) {
    const Explanation whole = explain(trace_, id, a_ns, b_ns);
    leaves_ += whole.leaves.size();
    tally_.checked();
    if (!tiles(whole)) return complain(whole, "the leaves do not tile", a_ns);
    for (const auto& [from_ns, to_ns] : {std::pair{a_ns, c_ns}, {c_ns, b_ns}}) {
      const Explanation part = explain(trace_, id, from_ns, to_ns);
      if (!tiles(part) || !agrees(part, whole))
        complain(whole, "a part is explained otherwise than in the whole", from_ns);
    }
    check_circles(whole);
    for (const Leaf& leaf : whole.leaves) check_unknown(whole, leaf);
  }

  std::size_t leaves() const { return leaves_; }
  void finish() { tally_.remark("us unknown in all, of lost or never seen events", unknown_ns_ / 1000); }

 private:
  void check_circles(const Explanation& whole) {
    if (whole.cycles == 0) return;
    const bool lossless = timeline_.losses().all().empty() && timeline_.counters().misfits == 0 &&
                          timeline_.counters().lost_switches == 0 && !trace_.hides_strangers();
    if (lossless) return complain(whole, "a chain comes back to itself", whole.begin_ns);
    tally_.excuse();
  }
  void check_unknown(const Explanation& whole, const Leaf& leaf) {
    if (leaf.category != Category::kUnknown) return;
    unknown_ns_ += leaf.length_ns();
    if (whole.cycles == 0 && !may_be_unknown(trace_, leaf))
      complain(whole,
               fmt::format("thread {}, {} then, is unknown although no event is missing",
                           timeline_.thread(leaf.thread).tid,
                           model::state_name(timeline_.piece_at(leaf.thread, leaf.begin_ns).state)),
               leaf.begin_ns);
  }
  void complain(const Explanation& e, std::string_view what, std::uint64_t ts_ns) {
    tally_.violate(moment(ts_ns), timeline_.thread(e.thread).tid, "explained from {} to {}: {}", e.begin_ns, e.end_ns,
                   what);
  }

  const model::Trace& trace_;
  const Timeline& timeline_;
  Tally& tally_;
  std::size_t leaves_ = 0;
  std::uint64_t unknown_ns_ = 0;
};

}  // namespace

void explanations_hold(const model::Trace& trace, Tally tally, const CheckOptions& options) {
  const Timeline& timeline = trace.timeline();
  const std::uint64_t length_ns = timeline.end_ns() - timeline.begin_ns();
  if (options.explanations == 0) return tally.not_applicable("left out, as asked for");
  if (timeline.threads().empty() || length_ns == 0) return tally.not_applicable("the window is empty");
  std::mt19937_64 random(length_ns);
  Explanations explanations(trace, tally);
  std::size_t done = 0;
  for (; done < options.explanations && explanations.leaves() < kMostLeaves; ++done) {
    const auto id = static_cast<ThreadId>(random() % timeline.threads().size());
    const std::uint64_t longest_ns =
        std::max<std::uint64_t>(std::min(length_ns, kLongestNs) >> random() % kHalvings, 1);
    const std::uint64_t a_ns = timeline.begin_ns() + random() % length_ns;
    const std::uint64_t b_ns = std::min(timeline.end_ns(), a_ns + 1 + random() % longest_ns);
    explanations.check(id, a_ns, b_ns, a_ns + random() % (b_ns - a_ns));
  }
  explanations.finish();
  tally.remark("stretches not explained, so that checking does not take long", options.explanations - done);
}

}  // namespace kflight::analyze
