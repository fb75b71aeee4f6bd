// SPDX-License-Identifier: Apache-2.0
//
// explain_story.cpp - the operation in at most five sentences: what took how long and the largest cause first, then the
// chain from the caller down to it, then what else mattered. Only facts above 5 % are told.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "analyze/explain_report.hpp"
#include "model/names.hpp"

namespace kflight::analyze {

using model::kNone;
using model::ThreadId;

namespace {

constexpr std::uint64_t kInversionNs = 1'000'000;

std::string name(const ExplainedOperation& e, ThreadId id) {
  return model::thread_name(e.timeline(), id, e.explanation.end_ns);
}

bool matters(const ExplainedOperation& e, std::uint64_t ns) { return ns * 20 >= e.explanation.length_ns(); }

std::string opening(const ExplainedOperation& e) {
  const std::uint64_t length_ns = e.explanation.length_ns();
  const std::string whose = name(e, e.operation.thread), duration = duration_text(length_ns);
  std::string text = e.operation.what.empty() ? fmt::format("{} of {}", duration, whose)
                                              : fmt::format("{} of {} {} {}", e.operation.what, whose,
                                                            e.operation.in_flight ? "has lasted" : "took", duration);
  if (e.blame.rows.empty()) return text + ".";
  const BlameRow& top = e.blame.rows.front();
  text +=
      fmt::format("; {} of it ({}): {}", percent_text(top.ns, length_ns), duration_text(top.ns), cause_text(e, top));
  const std::string chain = chain_text(e, top.node);
  return text + (chain.find('>') == std::string::npos ? "." : fmt::format(", along {}.", chain));
}

// The nodes from the asked thread's child down to where the top row happened, as far as they matter.
std::vector<std::uint32_t> main_path(const ExplainedOperation& e) {
  std::vector<std::uint32_t> path;
  for (std::uint32_t i = e.blame.rows.front().node; i != 0 && i != kNone; i = e.blame.nodes[i].parent)
    path.push_back(i);
  std::reverse(path.begin(), path.end());
  const auto small = std::find_if(path.begin(), path.end(),
                                  [&e](std::uint32_t i) { return !matters(e, e.blame.nodes[i].inclusive_ns); });
  path.erase(small, path.end());
  return path;
}

std::string for_whom(const ExplainedOperation& e, const ChainNode& node) {
  if (node.thread != model::kNoThread) return " for " + name(e, node.thread);
  const bool outside = node.end.kind == Who::Kind::kDisk || node.end.kind == Who::Kind::kNetwork;
  return outside ? " for " + who_text(e, node.end) : "";
}

std::string step(const ExplainedOperation& e, const ChainNode& node) {
  const std::string spans = node.spans > 1 ? fmt::format(" in {} waits", node.spans) : "";
  const std::string wait = wait_and_place_text(e, node);
  return fmt::format("{} waited {}{}{}{}", name(e, e.blame.nodes[node.parent].thread), duration_text(node.inclusive_ns),
                     spans, wait.empty() ? "" : " in " + wait, for_whom(e, node));
}

std::string chain_sentences(const ExplainedOperation& e) {
  constexpr std::size_t kMost = 6;
  const std::vector<std::uint32_t> path = main_path(e);
  std::string text;
  for (std::size_t i = 0; i < path.size() && i < kMost; ++i)
    text += (i == 0 ? "" : ", ") + step(e, e.blame.nodes[path[i]]);
  if (path.size() > kMost) text += fmt::format(", and so on for {} more steps", path.size() - kMost);
  return text.empty() ? "" : text + ".";
}

std::string other_causes(const ExplainedOperation& e) {
  constexpr std::size_t kMost = 3;
  std::string text;
  for (std::size_t i = 1; i < e.blame.rows.size() && i <= kMost && matters(e, e.blame.rows[i].ns); ++i) {
    const BlameRow& row = e.blame.rows[i];
    text += fmt::format("{}{} {}", text.empty() ? "Then: " : "; ", duration_text(row.ns), row_text(e, row));
  }
  return text.empty() ? "" : text + ".";
}

// The running interval of whoever held the CPU, for its priority.
int priority_at(const model::Timeline& timeline, ThreadId id, std::uint64_t t_ns) {
  const model::Piece piece = timeline.piece_at(id, t_ns);
  return piece.index == kNone ? KF_DEFAULT_PRIO : timeline.thread(id).intervals[piece.index].prio;
}

}  // namespace

std::string explain_story(const ExplainedOperation& e) {
  std::string text = opening(e);
  if (e.blame.rows.empty()) return text;
  for (const std::string& more : {chain_sentences(e), other_causes(e)})
    if (!more.empty()) text += " " + more;
  const std::uint64_t unknown_ns = e.blame.by_quality[static_cast<std::size_t>(Quality::kUnknown)];
  if (matters(e, unknown_ns))
    text += fmt::format(" Of {} nothing is known.", percent_text(unknown_ns, e.explanation.length_ns()));
  return text;
}

// Somebody on the chain waited for a CPU behind a thread that is more important than it, but less than the asked one.
std::vector<std::string> explain_notes(const ExplainedOperation& e) {
  std::map<std::pair<ThreadId, ThreadId>, std::uint64_t> inverted;
  for (const Leaf& leaf : e.explanation.leaves) {
    if (leaf.category != Category::kContention || leaf.hop == kNone) continue;
    const int held = priority_at(e.timeline(), leaf.thread, leaf.begin_ns);
    const int holder = priority_at(e.timeline(), leaf.who.id, leaf.begin_ns);
    const int root = priority_at(e.timeline(), e.explanation.thread, leaf.begin_ns);
    if (holder < held && root < holder) inverted[{leaf.thread, leaf.who.id}] += leaf.length_ns();
  }
  std::vector<std::string> notes;
  for (const auto& [pair, ns] : inverted) {
    if (ns < kInversionNs) continue;
    notes.push_back(
        fmt::format("priority inversion: {} waits for {}, which {}, less important than the waiter, kept off "
                    "its CPU for {}",
                    name(e, e.explanation.thread), name(e, pair.first), name(e, pair.second), duration_text(ns)));
  }
  return notes;
}

}  // namespace kflight::analyze
