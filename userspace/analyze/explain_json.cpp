// SPDX-License-Identifier: Apache-2.0
//
// explain_json.cpp - an explained operation as JSON. Names and numbers are a contract, docs/explain-json.md: fields are
// added, never renamed.
#include <nlohmann/json.hpp>

#include "analyze/explain_report.hpp"
#include "analyze/explain_stacks.hpp"
#include "base/escape.hpp"
#include "dump/kernel_names.hpp"
#include "model/descriptors.hpp"

namespace kflight::analyze {

using model::kNone;
using nlohmann::json;

namespace {

json thread_json(const ExplainedOperation& e, model::ThreadId id) {
  const model::Thread& thread = e.timeline().thread(id);
  return {
      {"tid", thread.tid}, {"tgid", thread.tgid}, {"comm", model::thread_name(e.timeline(), id, e.explanation.end_ns)}};
}

json who_json(const ExplainedOperation& e, const Who& who) {
  constexpr const char* kKinds[] = {"thread", "cpu", "disk", "network", "kernel", "cgroup", "irq", "work"};
  json out{{"kind", kKinds[static_cast<std::size_t>(who.kind)]}, {"name", who_text(e, who)}};
  if (who.kind == Who::Kind::kThread || who.kind == Who::Kind::kCgroup) {
    out.update(thread_json(e, who.id));
  } else if (who.kind == Who::Kind::kWork) {
    out["id"] = e.timeline().works()[who.id].function;
  } else {
    const bool took_cpu = who.kind == Who::Kind::kIrq && (who.id & kTookCpu);
    out["id"] = took_cpu ? who.id & 0xffff : who.id;
  }
  return out;
}

json quality_json(const std::array<std::uint64_t, 3>& ns) {
  return {{"exact_ns", ns[0]}, {"inferred_ns", ns[1]}, {"unknown_ns", ns[2]}};
}

json categories_json(const NanosByCategory& by_category) {
  json out = json::object();
  for (std::size_t i = 0; i < kCategories; ++i)
    if (by_category[i] != 0) out[std::string(category_name(static_cast<Category>(i)))] = by_category[i];
  return out;
}

json operation_json(const ExplainedOperation& e) {
  json out{{"thread", thread_json(e, e.operation.thread)},
           {"what", e.operation.what},
           {"t0_ns", e.explanation.begin_ns},
           {"t1_ns", e.explanation.end_ns},
           {"duration_ns", e.explanation.length_ns()},
           {"in_flight", e.operation.in_flight}};
  if (e.operation.ret) out["ret"] = *e.operation.ret;
  return out;
}

json profile_json(const CpuProfile& profile) {
  json functions = json::array();
  for (const auto& [function, samples] : profile.functions)
    functions.push_back({{"function", function}, {"samples", samples}});
  return {{"samples", profile.samples}, {"functions", functions}};
}

json leaf_json(const ExplainedOperation& e, const BlameLine& line) {
  const std::uint64_t length_ns = e.explanation.length_ns();
  json out{{"who", who_json(e, line.who)},
           {"category", category_name(line.category)},
           {"ns", line.ns},
           {"pct", length_ns == 0 ? 0.0 : 100.0 * static_cast<double>(line.ns) / static_cast<double>(length_ns)},
           {"count", line.count},
           {"max_ns", line.longest_ns},
           {"quality", quality_json(line.by_quality)}};
  if (line.category == Category::kCpuSys) out["syscall"] = line.detail & 0xffff;
  if (line.category == Category::kCpu || line.category == Category::kCpuUser)
    if (const CpuProfile profile = cpu_profile(e, line.who); profile.samples != 0)
      out["profile"] = profile_json(profile);
  if (line.by_op) out["operation"] = dump::block_op_name(static_cast<std::uint8_t>(line.detail));
  if (line.category == Category::kDiskQueue && (line.detail & kHeldBack)) out["held_back"] = true;
  if (line.category == Category::kWorkqueue && line.who.kind == Who::Kind::kWork)
    out["kworker"] = model::state_name(static_cast<model::State>(line.detail));
  return out;
}

json frames_json(const model::ResolvedStack& stack) {
  json frames = json::array();
  for (const model::Frame& frame : stack.frames) {
    json one{{"text", model::frame_text(frame)},
             {"module", escape_for_terminal(frame.module)},
             {"offset", frame.module_offset}};
    if (frame.address != 0) one["address"] = frame.address;  // none of its own: inlined
    if (!frame.function.empty()) one["function"] = escape_for_terminal(frame.function);
    if (!frame.file.empty()) one.update({{"file", escape_for_terminal(frame.file)}, {"line", frame.line}});
    frames.push_back(std::move(one));
  }
  return {{"frames", frames}, {"truncated", stack.truncated}};
}

json stacks_json(const WaitStacks& stacks) {
  json out = json::object();
  if (stacks.user) out["user"] = frames_json(*stacks.user);
  if (stacks.kernel) out["kernel"] = frames_json(*stacks.kernel);
  return out;
}

// What the descriptor was that the node's parent waited on.
json descriptor_json(const ExplainedOperation& e, const Hop& hop) {
  if (hop.interval == kNone) return {};
  const model::Thread& thread = e.timeline().thread(hop.thread);
  const auto descriptor = model::find_descriptor(e.trace, thread, thread.intervals[hop.interval]);
  if (!descriptor) return {};
  return {{"fd", descriptor->link->fd},
          {"link", escape_for_terminal(descriptor->link->target)},
          {"certain", descriptor->certain}};
}

// Flat, by index: chains can be 64 deep, and readers need no recursion.
json tree_json(const ExplainedOperation& e) {
  json out = json::array();
  for (const ChainNode& node : e.blame.nodes) {
    json one{{"inclusive_ns", node.inclusive_ns},
             {"exclusive_ns", node.exclusive_ns},
             {"exclusive", categories_json(node.by_category)},
             {"spans", node.spans}};
    one["parent"] = node.parent == kNone ? json(nullptr) : json(node.parent);
    if (node.thread != model::kNoThread) {
      one["thread"] = thread_json(e, node.thread);
    } else {
      one["end"] = who_json(e, node.end);
    }
    if (node.hop != kNone) {
      const Hop& hop = e.explanation.hops[node.hop];
      one["wait"] = wait_text(e, node);
      if (json descriptor = descriptor_json(e, hop); !descriptor.empty()) one["descriptor"] = std::move(descriptor);
      if (json stacks = stacks_json(wait_stacks(e, hop)); !stacks.empty()) one["stacks"] = std::move(stacks);
    }
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

std::string explain_json(const ExplainedOperation& e) {
  json out{{"op", operation_json(e)},
           {"story", explain_story(e)},
           {"self", categories_json(e.blame.self)},
           {"quality", quality_json(e.blame.by_quality)},
           {"notes", explain_notes(e)},
           {"leaves", json::array()},
           {"tree", tree_json(e)}};
  json blocked = json::object();
  for (const auto& [kind, ns] : e.blame.self_blocked) blocked[kind] = ns;
  out["self"]["blocked"] = blocked;
  for (const BlameLine& line : e.blame.lines) out["leaves"].push_back(leaf_json(e, line));
  const model::LossIndex& losses = e.timeline().losses();
  out["loss"] = {{"events", losses.events()},
                 {"blind_ns", losses.blind_ns(e.explanation.begin_ns, e.explanation.end_ns)},
                 {"capped", e.timeline().capped().any_in(e.explanation.begin_ns, e.explanation.end_ns)},
                 {"window_begin_ns", e.timeline().begin_ns()},
                 {"window_end_ns", e.timeline().end_ns()}};
  out["chains"] = {{"deepest", e.explanation.deepest},
                   {"cycles", e.explanation.cycles},
                   {"false_wakeups", e.explanation.false_wakeups}};
  return out.dump(2, ' ', true, json::error_handler_t::replace);
}

}  // namespace kflight::analyze
