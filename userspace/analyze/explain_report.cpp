// SPDX-License-Identifier: Apache-2.0
#include "analyze/explain_report.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "analyze/explain_stacks.hpp"
#include "model/descriptors.hpp"

namespace kflight::analyze {

using model::kNone;

namespace {

std::uint64_t length_of(const ExplainedOperation& e) { return e.explanation.length_ns(); }

Table table_of(const ExplainedOperation& e, std::size_t most) {
  Table table;
  table.columns = {{"time", true}, {"share", true}, {"spent on", false, true}, {"along", false, true}};
  std::uint64_t rest_ns = 0, rest = 0;
  for (std::size_t i = 0; i < e.blame.rows.size(); ++i) {
    const BlameRow& row = e.blame.rows[i];
    if (i < most) {
      table.rows.push_back(
          {duration_text(row.ns), percent_text(row.ns, length_of(e)), row_text(e, row), chain_text(e, row.node)});
    } else {
      rest_ns += row.ns;
      ++rest;
    }
  }
  if (rest != 0)
    table.rows.push_back({duration_text(rest_ns), percent_text(rest_ns, length_of(e)), fmt::format("{} other", rest)});
  table.total = {duration_text(length_of(e)), percent_text(length_of(e), length_of(e)), "in all"};
  return table;
}

class TreeText {
 public:
  TreeText(const ExplainedOperation& e, std::size_t most) : e_(e), most_(most) {}

  Tree build() {
    tree_.heading = "chain";
    add(0, 0);
    if (left_out_ != 0) tree_.lines.push_back({0, "", fmt::format("... and {} smaller branches", left_out_)});
    return std::move(tree_);
  }

 private:
  // Depth is bounded by that of explanations.
  void add(std::uint32_t index, unsigned depth) {
    const ChainNode& node = e_.blame.nodes[index];
    if (tree_.lines.size() >= most_ || node.inclusive_ns * 200 < length_of(e_)) {
      ++left_out_;
      return;
    }
    tree_.lines.push_back({depth, duration_text(node.inclusive_ns), line(node)});
    for (std::uint32_t child : node.children) add(child, depth + 1);
  }

  std::string line(const ChainNode& node) const {
    std::string text;
    if (node.parent == kNone) {
      text = model::thread_label(e_.timeline(), node.thread, e_.explanation.end_ns);
    } else {
      const std::string spans = node.spans > 1 ? fmt::format(" ({} waits)", node.spans) : "";
      const std::string what = node.thread == model::kNoThread
                                   ? who_text(e_, node.end)
                                   : model::thread_label(e_.timeline(), node.thread, e_.explanation.end_ns);
      const std::string wait = wait_and_place_text(e_, node);
      text = wait.empty() ? what + spans : fmt::format("in {}{}: {}", wait, spans, what);
    }
    return text + parts(node);
  }

  // What the node's own time was.
  std::string parts(const ChainNode& node) const {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < kCategories; ++i)
      if (node.by_category[i] != 0) order.push_back(i);
    std::stable_sort(order.begin(), order.end(),
                     [&node](std::size_t a, std::size_t b) { return node.by_category[a] > node.by_category[b]; });
    std::string text;
    for (std::size_t i : order)
      text += fmt::format("{}{} {}", text.empty() ? " - " : ", ", category_text(static_cast<Category>(i)),
                          duration_text(node.by_category[i]));
    return text;
  }

  const ExplainedOperation& e_;
  std::size_t most_;
  std::size_t left_out_ = 0;
  Tree tree_;
};

std::string offset_text(const ExplainedOperation& e, std::uint64_t t_ns) {
  return t_ns >= e.explanation.begin_ns ? "+" + duration_text(t_ns - e.explanation.begin_ns)
                                        : "-" + duration_text(e.explanation.begin_ns - t_ns);
}

std::string waker_text(const ExplainedOperation& e, const model::Wake& wake) {
  if (wake.flags & model::kWakeLost) return "a waking that was lost";
  constexpr std::string_view kContexts[] = {"", "softirq", "hardirq", "NMI"};
  if (wake.ctx != KF_CTX_TASK) {
    const std::string packet = wake.cause == model::CauseKind::kSent
                                   ? "a packet of " + model::thread_label(e.timeline(), wake.cause_ref, wake.ts_ns) + ", "
                                   : "";
    return fmt::format("{}{} on CPU {}", packet, kContexts[wake.ctx & 3], wake.cpu);
  }
  const std::string waker = model::thread_label(e.timeline(), wake.waker, wake.ts_ns);
  return wake.cpu == model::kNoCpu ? waker : fmt::format("{} on CPU {}", waker, wake.cpu);
}

// The longest wait of each step down to the largest cause.
Tree evidence_of(const ExplainedOperation& e) {
  Tree tree;
  tree.heading = "evidence (times from the operation's beginning)";
  std::vector<std::uint32_t> path;
  for (std::uint32_t i = e.blame.rows.empty() ? 0 : e.blame.rows.front().node; i != 0; i = e.blame.nodes[i].parent)
    path.push_back(i);
  for (auto it = path.rbegin(); it != path.rend(); ++it) {
    const Hop& hop = e.explanation.hops[e.blame.nodes[*it].hop];
    if (hop.interval == kNone) continue;
    const model::Thread& thread = e.timeline().thread(hop.thread);
    const model::Interval& blocked = thread.intervals[hop.interval];
    const std::string where = blocked.call() == kNone ? "" : " in " + model::wait_object(e.trace, thread, blocked);
    std::string text = fmt::format("{} blocks{}{}{}", model::thread_label(e.timeline(), hop.thread, blocked.begin_ns),
                                   where, wait_place_text(e, hop), callers_text(e, hop));
    if (const std::uint32_t woken = thread.intervals[hop.judged].wake; woken != kNone) {
      const model::Wake& wake = e.timeline().wake(woken);
      text += fmt::format(", woken at {} by {}", offset_text(e, wake.ts_ns), waker_text(e, wake));
    }
    tree.lines.push_back({0, offset_text(e, blocked.begin_ns), text});
  }
  return tree;
}

std::string losses_text(const ExplainedOperation& e) {
  const std::uint64_t begin_ns = e.explanation.begin_ns, end_ns = e.explanation.end_ns;
  const std::uint64_t blind_ns = e.timeline().losses().blind_ns(begin_ns, end_ns);
  const bool capped = e.timeline().capped().any_in(begin_ns, end_ns);
  if (blind_ns == 0 && !capped) return "; no events are missing in this time";
  std::string text;
  if (blind_ns != 0) text = fmt::format("; events of a CPU are missing in {} of this time", duration_text(blind_ns));
  if (capped) text += "; some block or signal events are missing (capped)";
  return text;
}

std::string quality_text(const ExplainedOperation& e) {
  std::string text;
  for (const Quality quality : {Quality::kExact, Quality::kInferred, Quality::kUnknown}) {
    const std::uint64_t ns = e.blame.by_quality[static_cast<std::size_t>(quality)];
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", quality_name(quality), percent_text(ns, length_of(e)));
  }
  text += losses_text(e);
  if (e.trace.hides_strangers()) text += "; --scope target left out what other processes did";
  if (e.explanation.begin_ns < e.timeline().begin_ns() || e.explanation.end_ns > e.timeline().end_ns())
    text += "; a part lies outside the recorded window";
  if (e.explanation.false_wakeups != 0) text += fmt::format("; {} false wakeups", e.explanation.false_wakeups);
  if (e.explanation.cycles != 0)
    text += fmt::format("; {} chains end in a circle or are too long", e.explanation.cycles);
  return text + ".";
}

}  // namespace

Report explain_report(const ExplainedOperation& e, const ReportOptions& options) {
  Report report;
  report.blocks.emplace_back(Paragraph{"", explain_story(e)});
  report.blocks.emplace_back(table_of(e, options.rows));
  report.blocks.emplace_back(TreeText(e, options.tree_lines).build());
  if (Tree evidence = evidence_of(e); !evidence.lines.empty()) report.blocks.emplace_back(std::move(evidence));
  for (std::string& note : explain_notes(e)) report.blocks.emplace_back(Paragraph{"", std::move(note)});
  report.blocks.emplace_back(Paragraph{"quality", quality_text(e)});
  report.json = explain_json(e);
  return report;
}

}  // namespace kflight::analyze
