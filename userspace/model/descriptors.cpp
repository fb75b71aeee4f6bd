// SPDX-License-Identifier: Apache-2.0
#include "model/descriptors.hpp"

#include <fmt/format.h>

#include <string_view>

#include "base/escape.hpp"

namespace kflight::model {

namespace {

struct KindOfLink {
  std::string_view begins_with;
  WaitKind kind;
};

// As fs/pipe.c, net/socket.c and those who call anon_inode_getfile() name them.
constexpr KindOfLink kKinds[] = {
    {"pipe:[", WaitKind::kPipe},
    {"socket:[", WaitKind::kSocket},
    {"anon_inode:[eventfd]", WaitKind::kEventfd},
    {"anon_inode:[timerfd]", WaitKind::kTimerfd},
    {"anon_inode:[signalfd]", WaitKind::kSignalfd},
    {"anon_inode:inotify", WaitKind::kInotify},
    {"/dev/pts/", WaitKind::kTerminal},
    {"/dev/tty", WaitKind::kTerminal},
    {"/dev/console", WaitKind::kTerminal},
};

WaitKind kind_of(std::string_view link) {
  for (const KindOfLink& row : kKinds)
    if (link.starts_with(row.begins_with)) return row.kind;
  return WaitKind::kFile;
}

// The thread was in this very call then. A record without an entry may stand for several calls, so there it has to be
// the wait itself that went on.
bool was_in(const Trace& trace, const Thread& thread, const Call& call, const Interval* wait, std::uint64_t t_ns) {
  if (t_ns >= trace.timeline().end_ns() || thread.intervals.empty()) return false;
  if (call.returned()) return call.enter_known() && call.begin_ns <= t_ns && t_ns < call.end_ns;
  const Interval& last = thread.intervals.back();
  if (last.state != State::kBlocked || thread.call_of(last) != &call) return false;
  return call.enter_known() ? call.begin_ns <= t_ns : wait == &last && last.begin_ns <= t_ns;
}

std::optional<Descriptor> find(const Trace& trace, const Thread& thread, const Call& call, const Interval* wait) {
  const auto fd = descriptor_of(call);
  const FdLink* link = fd ? trace.fd_link(thread.tgid, *fd) : nullptr;
  if (!link || link->target == "anon_inode:[eventpoll]") return std::nullopt;  // epoll_wait says that itself
  return Descriptor{link, was_in(trace, thread, call, wait, link->seen_ns)};
}

std::string described(const Call& call, const std::optional<Descriptor>& descriptor) {
  if (!descriptor) return describe_call(call);
  return fmt::format("{} ({}{})", describe_call(call), descriptor_text(*descriptor->link),
                     descriptor->certain ? "" : ", seen afterwards");
}

}  // namespace

std::optional<Descriptor> find_descriptor(const Trace& trace, const Thread& thread, const Call& call) {
  return find(trace, thread, call, nullptr);
}

std::optional<Descriptor> find_descriptor(const Trace& trace, const Thread& thread, const Interval& blocked) {
  const Call* call = thread.call_of(blocked);
  return call ? find(trace, thread, *call, &blocked) : std::nullopt;
}

std::string descriptor_text(const FdLink& link) {
  constexpr std::string_view kAnonymous = "anon_inode:";
  std::string_view text = link.target;
  if (text.starts_with(kAnonymous)) text.remove_prefix(kAnonymous.size());
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  return escape_for_terminal(text);
}

WaitKind wait_kind(const Trace& trace, const Thread& thread, const Interval& blocked) {
  const WaitKind kind = wait_kind(thread, blocked);
  const auto descriptor = kind == WaitKind::kFile ? find_descriptor(trace, thread, blocked) : std::nullopt;
  return descriptor ? kind_of(descriptor->link->target) : kind;
}

std::string wait_object(const Trace& trace, const Thread& thread, const Interval& blocked) {
  const Call* call = thread.call_of(blocked);
  return call ? described(*call, find_descriptor(trace, thread, blocked)) : wait_object(thread, blocked);
}

std::string describe_call(const Trace& trace, const Thread& thread, const Call& call) {
  return described(call, find_descriptor(trace, thread, call));
}

}  // namespace kflight::model
