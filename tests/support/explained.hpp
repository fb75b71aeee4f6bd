// SPDX-License-Identifier: Apache-2.0
//
// explained.hpp - an explanation of a hand-written trace, for tests of its rules: its sums, its words, and that its
// leaves tile what was asked for.
#pragma once

#include <gtest/gtest.h>

#include <utility>

#include "analyze/explain_report.hpp"
#include "support/trace_builder.hpp"

namespace kflight::test {

struct Explained {
  model::Trace trace;
  analyze::Explanation explanation;

  std::uint64_t sum(analyze::Category category, std::uint32_t tid = 0) const {
    std::uint64_t ns = 0;
    for (const analyze::Leaf& leaf : explanation.leaves) {
      const bool of_thread = leaf.who.kind == analyze::Who::Kind::kThread && leaf.who.id < model::kIdleThread &&
                             trace.timeline().thread(leaf.who.id).tid == tid;
      if (leaf.category == category && (tid == 0 || of_thread)) ns += leaf.length_ns();
    }
    return ns;
  }
  std::uint64_t sum(analyze::Quality quality) const {
    std::uint64_t ns = 0;
    for (const analyze::Leaf& leaf : explanation.leaves)
      if (leaf.quality == quality) ns += leaf.length_ns();
    return ns;
  }
  // As a very wide terminal shows it.
  std::string text() const {
    const analyze::Blame blame = analyze::sum_up(trace, explanation);
    analyze::Operation operation;
    operation.thread = explanation.thread;
    operation.begin_ns = explanation.begin_ns;
    operation.end_ns = explanation.end_ns;
    return analyze::render(analyze::explain_report({trace, operation, explanation, blame}), {.columns = 1000});
  }
};

inline DumpMeta all_calls() {
  DumpMeta meta;
  meta.config.syscalls = "all";
  meta.config.everyone = true;
  return meta;
}

inline Explained explain(const TraceBuilder& builder, std::uint32_t tid, std::uint64_t from_ns, std::uint64_t to_ns,
                         std::uint64_t window_end_ns, const DumpMeta& meta = {}, model::Meanings meanings = {}) {
  model::Trace trace(builder.timeline(1000, window_end_ns), meta, std::move(meanings));
  analyze::Explanation explanation =
      analyze::explain(trace, trace.timeline().find_thread(tid, from_ns), from_ns, to_ns);
  std::uint64_t at = from_ns;
  for (const analyze::Leaf& leaf : explanation.leaves) {
    EXPECT_EQ(leaf.begin_ns, at);
    at = leaf.end_ns;
  }
  EXPECT_EQ(at, to_ns);
  return {std::move(trace), std::move(explanation)};
}

}  // namespace kflight::test
