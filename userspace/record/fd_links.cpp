// SPDX-License-Identifier: Apache-2.0
#include "record/fd_links.hpp"

#include <fmt/format.h>
#include <limits.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>

#include "base/clocks.hpp"
#include "dump/decoder.hpp"
#include "dump/syscalls.hpp"
#include "dump/thread_facts.hpp"

namespace kflight::record {

namespace {

// Its descriptor, when that is the first argument: the wire does not keep all.
std::optional<std::uint32_t> first_fd(std::uint32_t nr, std::uint32_t abi, std::uint64_t first_argument) {
  static const auto kCalls = [] {
    std::array<bool, KF_SYS_TABLE> calls{};
    for (std::uint32_t n = 0; n < calls.size(); ++n) calls[n] = dump::fd_argument(n) == 0u;
    return calls;
  }();
  const auto fd = static_cast<std::uint32_t>(first_argument);
  const bool is_fd = abi == KF_ABI_NATIVE && nr < kCalls.size() && kCalls[nr] && fd <= INT_MAX;
  return is_fd ? std::optional(fd) : std::nullopt;
}

}  // namespace

std::string read_fd_link(std::uint32_t tgid, std::uint32_t fd) {
  char target[PATH_MAX];
  const std::string link = fmt::format("/proc/{}/fd/{}", tgid, fd);
  const ssize_t length = ::readlink(link.c_str(), target, sizeof target);
  return length > 0 ? std::string(target, static_cast<std::size_t>(length)) : std::string();
}

void FdLinks::look(std::uint32_t tgid, std::uint32_t fd) {
  if (links_.size() >= kMost) return;
  const auto [place, is_new] = links_.try_emplace({tgid, fd});
  if (is_new) place->second = {boottime_ns(), read_fd_link(tgid, fd)};
}

void FdLinks::waited(std::uint32_t tid, const kf_sys& sys) {
  const auto fd = sys.args_taken == KF_ARGS_NONE ? std::nullopt : first_fd(sys.nr, sys.abi, sys.args[0]);
  if (!fd) return;
  if (const auto process = processes_.find(tid); process != processes_.end())
    look(process->second, *fd);
  else if (unknown_.size() < kMostUnknown)
    unknown_.insert({tid, *fd});
}

void FdLinks::add(const Cause& cause) {
  const auto fd = cause.has_call ? first_fd(cause.nr, cause.abi, cause.args[0]) : std::nullopt;
  if (fd && !cause.fd_path.empty()) links_[{cause.tgid, *fd}] = {cause.received_ns, cause.fd_path};
}

void FdLinks::add(std::span<const kf_task> tasks) {
  for (const kf_task& task : tasks) {
    if (!(task.flags & KF_TASK_TARGET)) continue;
    targets_.insert(task.tgid);
    processes_[task.tid] = task.tgid;
    if (!(task.flags & KF_TASK_HAS_SYS)) continue;
    if (const auto fd = first_fd(task.nr, task.abi, task.args[0])) look(task.tgid, *fd);
  }
}

void FdLinks::add(std::span<const kf_base_task> tasks) {
  for (const kf_base_task& task : tasks)
    if (task.out_flags & dump::kOutHasSys) waited(task.tid, task.sys);
}

void FdLinks::add(std::span<const std::byte> chunks) {
  for (kf_chunk head; chunks.size() >= sizeof head;) {
    std::memcpy(&head, chunks.data(), sizeof head);
    const auto* words = reinterpret_cast<const kf_u64*>(chunks.data() + sizeof head);  // chunks are aligned
    dump::ChunkCursor cursor(head, {words, head.n_words});
    for (Event event; cursor.next(event);) {
      if (const auto* out = std::get_if<SwitchEvent>(&event)) {
        if (out->has_sys) waited(out->tid, out->sys);
      } else if (const auto* fork = std::get_if<ForkEvent>(&event)) {
        if (targets_.contains(fork->child_tgid)) processes_.try_emplace(fork->child_tid, fork->child_tgid);
      }
    }
    chunks = chunks.subspan(sizeof head + head.n_words * sizeof(kf_u64));
  }
}

dump::RecordBlob FdLinks::records() {
  for (const auto& [tid, fd] : unknown_)
    if (const auto process = processes_.find(tid); process != processes_.end()) look(process->second, fd);
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
