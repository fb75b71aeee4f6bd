// SPDX-License-Identifier: Apache-2.0
#include "record/target_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace kflight::record {
namespace {

constexpr std::uint64_t kPfKthread = 0x00200000;  // include/linux/sched.h

// Field 9 of /proc/PID/stat; the name in field 2 may hold anything, so count from its last parenthesis.
bool is_kernel_thread(std::uint32_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return false;
  std::istringstream fields(text.substr(name_end + 1));
  std::string state;
  std::int64_t skipped = 0;
  std::uint64_t flags = 0;
  fields >> state;
  for (int i = 0; i < 5; ++i) fields >> skipped;  // ppid pgrp session tty tpgid
  fields >> flags;
  return flags & kPfKthread;
}

}  // namespace

Result<std::uint32_t> process_of(std::uint32_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  std::string line;
  std::uint32_t tgid = 0, threads = 0;
  bool zombie = false;  // of a leader whose threads live on, too
  while (std::getline(status, line)) {
    if (line.starts_with("Tgid:")) tgid = static_cast<std::uint32_t>(std::strtoul(line.c_str() + 5, nullptr, 10));
    if (line.starts_with("State:")) zombie = line.find_first_of("ZX") != std::string::npos;
    if (line.starts_with("Threads:")) threads = static_cast<std::uint32_t>(std::strtoul(line.c_str() + 8, nullptr, 10));
  }
  if (tgid && zombie && threads <= 1)
    return Error{Errc::kNotFound, fmt::format("process {} has ended; its parent has not asked for its exit status yet; "
                                              "`ps` shows the running ones", pid)};
  if (!tgid)
    return Error{Errc::kNotFound, fmt::format("there is no process {} (any more); `pidof NAME` or `ps` shows the running "
                                              "ones, and --comm NAME --wait records one that is yet to start", pid)};
  if (is_kernel_thread(tgid))
    return Error{Errc::kUsage, fmt::format("process {} is a kernel thread: it makes no syscalls to watch; kernel threads "
                                           "are part of every recording anyway, use --all to record without a target", pid)};
  return tgid;
}

Result<std::vector<std::uint32_t>> resolve_targets(const Target& target, const kf_name_matcher& names,
                                                   std::span<const kf_task> tasks) {
  std::vector<std::uint32_t> tgids;
  for (const std::uint32_t pid : target.pids) {
    KF_TRY_ASSIGN(const std::uint32_t tgid, process_of(pid));
    tgids.push_back(tgid);
  }
  for (const kf_task& task : tasks) {
    if (task.tid == task.tgid && !(task.flags & KF_TASK_KTHREAD) && kf_name_matches(&names, task.comm) && process_of(task.tgid))
      tgids.push_back(task.tgid);
  }
  std::sort(tgids.begin(), tgids.end());
  tgids.erase(std::unique(tgids.begin(), tgids.end()), tgids.end());
  return tgids;
}

}  // namespace kflight::record
