// SPDX-License-Identifier: Apache-2.0
#include "record/fd_links.hpp"

#include <fmt/format.h>
#include <limits.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/clocks.hpp"
#include "dump/decoder.hpp"
#include "dump/syscalls.hpp"
#include "dump/thread_facts.hpp"

namespace kflight::record {

namespace {

// The wire keeps a call's first arguments only.
bool begins_with_fd(std::uint32_t nr) {
  static const auto kCalls = [] {
    std::array<bool, KF_SYS_TABLE> calls{};
    for (std::uint32_t n = 0; n < calls.size(); ++n) calls[n] = dump::fd_argument(n) == 0u;
    return calls;
  }();
  return nr < kCalls.size() && kCalls[nr];
}

}  // namespace

std::string read_fd_link(std::uint32_t tgid, std::uint32_t fd) {
  char target[PATH_MAX];
  const std::string link = fmt::format("/proc/{}/fd/{}", tgid, fd);
  const ssize_t length = ::readlink(link.c_str(), target, sizeof target);
  return length > 0 ? std::string(target, static_cast<std::size_t>(length)) : std::string();
}

void FdLinks::look(std::uint32_t tgid, std::uint32_t nr, std::uint32_t abi, std::uint64_t first_argument) {
  const auto fd = static_cast<std::uint32_t>(first_argument);
  if (abi != KF_ABI_NATIVE || !begins_with_fd(nr) || fd > INT_MAX || links_.size() >= kMost) return;
  const auto [place, is_new] = links_.try_emplace({tgid, fd});
  if (is_new) place->second = {boottime_ns(), read_fd_link(tgid, fd)};
}

void FdLinks::add(const Cause& cause) {
  if (!cause.has_call || cause.abi != KF_ABI_NATIVE || !begins_with_fd(cause.nr) || cause.fd_path.empty()) return;
  links_[{cause.tgid, static_cast<std::uint32_t>(cause.args[0])}] = {cause.received_ns, cause.fd_path};
}

void FdLinks::add(std::span<const kf_task> tasks) {
  for (const kf_task& task : tasks) {
    if (!(task.flags & KF_TASK_TARGET)) continue;
    processes_[task.tid] = task.tgid;
    if (task.flags & KF_TASK_HAS_SYS) look(task.tgid, task.nr, task.abi, task.args[0]);
  }
}

void FdLinks::add(std::span<const kf_base_task> tasks) {
  for (const kf_base_task& task : tasks) {
    const auto process = processes_.find(task.tid);
    const bool waited = task.out_flags & dump::kOutHasSys && task.sys.args_taken != KF_ARGS_NONE;
    if (process != processes_.end() && waited) look(process->second, task.sys.nr, task.sys.abi, task.sys.args[0]);
  }
}

void FdLinks::add(std::span<const std::byte> chunks) {
  for (kf_chunk head; chunks.size() >= sizeof head;) {
    std::memcpy(&head, chunks.data(), sizeof head);
    const auto* words = reinterpret_cast<const kf_u64*>(chunks.data() + sizeof head);  // chunks are aligned
    dump::ChunkCursor cursor(head, {words, head.n_words});
    for (Event event; cursor.next(event);) {
      if (const auto* fork = std::get_if<ForkEvent>(&event); fork && fork->is_thread) {
        if (const auto parent = processes_.find(fork->parent_tid); parent != processes_.end())
          processes_.try_emplace(fork->child_tid, parent->second);
      }
      const auto* out = std::get_if<SwitchEvent>(&event);
      if (!out || !out->has_sys || out->sys.args_taken == KF_ARGS_NONE) continue;
      if (const auto process = processes_.find(out->tid); process != processes_.end())
        look(process->second, out->sys.nr, out->sys.abi, out->sys.args[0]);
    }
    chunks = chunks.subspan(sizeof head + head.n_words * sizeof(kf_u64));
  }
}

dump::RecordBlob FdLinks::records() const {
  dump::RecordBlob blob;
  for (const auto& [descriptor, link] : links_) {
    if (link.target.empty()) continue;
    kf_fd_link head{};
    head.tgid = descriptor.first;
    head.fd = descriptor.second;
    head.seen_ns = link.seen_ns;
    head.text_bytes = static_cast<kf_u32>(link.target.size());
    blob.add(head, link.target);
  }
  return blob;
}

}  // namespace kflight::record
