// SPDX-License-Identifier: Apache-2.0
#include "analyze/explain_stacks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/escape.hpp"

namespace kflight::analyze {

using model::kNone;

namespace {

const model::ResolvedStack* resolve(const ExplainedOperation& e, std::uint64_t id, std::uint64_t at_ns) {
  if (e.symbols == nullptr || id == 0) return nullptr;
  const model::ResolvedStack& stack = e.symbols->resolve(id, at_ns);
  return stack.frames.empty() ? nullptr : &stack;
}

// "Cache::refill (cache.cpp:12)"
std::string short_text(const model::Frame& frame) {
  if (frame.file.empty()) return model::frame_name(frame);
  const auto slash = frame.file.rfind('/');
  return fmt::format("{} ({}:{})", model::frame_name(frame),
                     escape_for_terminal(slash == frame.file.npos ? frame.file : frame.file.substr(slash + 1)),
                     frame.line);
}

// Uninterruptible, and not for a disk: a lock or work inside the kernel.
bool only_kernel_knows(const model::Interval& blocked) {
  const bool uninterruptible = blocked.detail == KF_ST_DISK || blocked.detail == KF_ST_KILLABLE;
  return uninterruptible && !(blocked.flags & model::kIntervalIowait);
}

bool is_on_cpu(Category category) {
  return category == Category::kCpu || category == Category::kCpuUser || category == Category::kCpuSys;
}

std::string function_of(const ExplainedOperation& e, const model::StackMoment& moment) {
  if (const auto* kernel = resolve(e, moment.kernel, moment.ts_ns))
    if (const model::Frame* frame = model::first_telling_frame(*kernel)) return model::frame_name(*frame);
  if (const auto* user = resolve(e, moment.user, moment.ts_ns)) return model::frame_name(user->frames.front());
  return "";
}

}  // namespace

WaitStacks wait_stacks(const ExplainedOperation& e, const Hop& hop) {
  if (hop.interval == kNone || hop.thread >= model::kIdleThread) return {};
  const model::Thread& thread = e.timeline().thread(hop.thread);
  const std::uint64_t begin_ns = thread.intervals[hop.interval].begin_ns;
  const model::StackMoment stacks = e.trace.stacks().wait(thread.tid, begin_ns);
  return {resolve(e, stacks.user, begin_ns), resolve(e, stacks.kernel, begin_ns)};
}

std::string wait_place_text(const ExplainedOperation& e, const Hop& hop) {
  const WaitStacks stacks = wait_stacks(e, hop);
  const model::Frame* user = stacks.user ? model::first_own_frame(*stacks.user) : nullptr;
  const model::Frame* kernel = nullptr;
  if (stacks.kernel && only_kernel_knows(e.timeline().thread(hop.thread).intervals[hop.interval]))
    kernel = model::first_telling_frame(*stacks.kernel);
  std::string text;
  if (user) text += " at " + short_text(*user);
  if (kernel) text += fmt::format("{} kernel: {}", user ? "," : "", model::frame_name(*kernel));
  return text;
}

std::string callers_text(const ExplainedOperation& e, const Hop& hop) {
  constexpr std::size_t kMost = 3;
  const WaitStacks stacks = wait_stacks(e, hop);
  const model::Frame* first = stacks.user ? model::first_own_frame(*stacks.user) : nullptr;
  if (first == nullptr) return "";
  std::string text;
  std::size_t told = 0;
  for (const model::Frame* frame = first + 1; frame <= &stacks.user->frames.back() && told < kMost; ++told, ++frame)
    text += " < " + model::frame_name(*frame);
  return text;
}

CpuProfile cpu_profile(const ExplainedOperation& e, const Who& who) {
  CpuProfile profile;
  std::map<std::string, std::size_t> counts;
  if (e.symbols == nullptr || who.kind != Who::Kind::kThread || who.id >= model::kIdleThread) return profile;
  const std::uint32_t tid = e.timeline().thread(who.id).tid;
  for (const Leaf& leaf : e.explanation.leaves) {
    if (!is_on_cpu(leaf.category) || leaf.who != who) continue;
    for (const model::StackMoment& moment : e.trace.stacks().samples(tid, leaf.begin_ns, leaf.end_ns)) {
      ++profile.samples;
      if (const std::string function = function_of(e, moment); !function.empty()) ++counts[function];
    }
  }
  profile.functions.assign(counts.begin(), counts.end());
  std::ranges::stable_sort(profile.functions, std::greater{}, [](const auto& f) { return f.second; });
  return profile;
}

std::string hottest_text(const ExplainedOperation& e, const Who& who) {
  const CpuProfile profile = cpu_profile(e, who);
  if (profile.functions.empty()) return "";
  const auto& [function, count] = profile.functions.front();
  return fmt::format(", {} % of {} samples in {}", count * 100 / profile.samples, profile.samples, function);
}

}  // namespace kflight::analyze
