// SPDX-License-Identifier: Apache-2.0
#include "model/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/escape.hpp"
#include "model/timeline_builder.hpp"

namespace kflight::model {

namespace {

// One pass fills both.
Timeline timeline_of(const Dump& dump, StackLog& stacks) {
  TimelineBuilder builder({dump.window_begin_ns(), dump.window_end_ns(), dump.base_tasks(), dump.base_lanes(),
                           dump.tasks(), dump.losses(),
                           static_cast<std::int64_t>(dump.meta().clocks.boottime - dump.meta().clocks.monotonic)});
  for (const kf_base_stack& stack : dump.base_stacks()) stacks.add(stack);
  for (const Event& event : dump.events()) {
    builder.add(event);
    if (const auto* stack = std::get_if<StackEvent>(&event)) stacks.add(*stack);
  }
  stacks.finish();
  return std::move(builder).finish();
}

}  // namespace

Trace::Trace(Dump dump) : dump_(std::move(dump)), timeline_(timeline_of(*dump_, stacks_)) { find_targets(); }

Trace::Trace(Timeline timeline, DumpMeta meta, Meanings meanings)
    : meta_(std::move(meta)), meanings_(std::move(meanings)), timeline_(std::move(timeline)) {
  find_targets();
}

Result<Trace> Trace::open(const std::string& path) {
  KF_TRY_ASSIGN(Dump dump, Dump::open(path));
  return Trace(std::move(dump));
}

// Threads that have ended before the dump are not in its snapshot; their process tells.
void Trace::find_targets() {
  all_calls_ = meta().config.syscalls == "all";
  hides_strangers_ = meta().config.scope == "target";
  for (const ProcessInfo& process : meta().targets) target_tgids_.push_back(process.tgid);
  for (const Thread& thread : timeline_.threads())
    if (thread.is_target && thread.tgid != 0) target_tgids_.push_back(thread.tgid);
  std::sort(target_tgids_.begin(), target_tgids_.end());
}

bool Trace::is_target(const Thread& thread) const {
  return meta().config.everyone || std::binary_search(target_tgids_.begin(), target_tgids_.end(), thread.tgid);
}

bool Trace::has_all_calls(const Thread& thread) const { return all_calls_ && !thread.is_kthread && is_target(thread); }

std::string_view Trace::function_name(std::uint64_t address) const {
  const KernelSymbol* symbol = find_symbol(dump_ ? dump_->kernel_symbols() : meanings_.functions, address);
  return symbol && symbol->begin == address ? symbol->name : std::string_view();
}

const FdLink* Trace::fd_link(std::uint32_t tgid, std::uint32_t fd) const {
  const std::span<const FdLink> links = dump_ ? dump_->fd_links() : meanings_.fd_links;
  const auto number = [](const FdLink& link) { return std::pair(link.tgid, link.fd); };
  const auto found = std::ranges::lower_bound(links, std::pair(tgid, fd), {}, number);
  return found != links.end() && number(*found) == std::pair(tgid, fd) ? &*found : nullptr;
}

std::string thread_name(const Timeline& timeline, ThreadId id, std::uint64_t at_ns) {
  if (id == kIdleThread) return "idle";
  if (id == kNoThread) return "unknown";
  const Thread& thread = timeline.thread(id);
  const std::string_view name = thread.name_at(at_ns);
  return name.empty() ? fmt::format("tid {}", thread.tid) : escape_for_terminal(name);
}

std::string thread_label(const Timeline& timeline, ThreadId id, std::uint64_t at_ns) {
  std::string name = thread_name(timeline, id, at_ns);
  if (id >= kIdleThread || timeline.thread(id).name_at(at_ns).empty()) return name;
  return fmt::format("{} ({})", name, timeline.thread(id).tid);
}

}  // namespace kflight::model
