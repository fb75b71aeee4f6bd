// SPDX-License-Identifier: Apache-2.0
//
// fd_links.hpp - what is behind the file descriptors that the target's threads wait on: pipe, socket, terminal, which
// file? Found out when a dump is written, only for those that blocked calls of the window name, and by what
// /proc/PID/fd says alone: to look at the file itself could block, when its server is what everybody waits for. One
// thread, one dump.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "dump/record_blob.hpp"
#include "kflight/dump.hpp"

namespace kflight::record {

// "pipe:[4711]", "/var/log/x"; empty when there is no such descriptor, or the process is gone.
std::string read_fd_link(std::uint32_t tgid, std::uint32_t fd);

class FdLinks {
 public:
  // Looked up when the trigger fired, so nearest to its call.
  void add(const Cause& cause);
  // Calls that threads of the target are in now.
  void add(std::span<const kf_task> tasks);
  // Calls that they were in before the window.
  void add(std::span<const kf_base_task> tasks);
  // Whole chunks of the window; `tasks` first, they tell whose threads these are.
  void add(std::span<const std::byte> chunks);

  // kf_fd_link of all that were found. Last of all.
  dump::RecordBlob records();

 private:
  static constexpr std::size_t kMost = 1024;
  static constexpr std::size_t kMostUnknown = 1 << 16;
  using Numbers = std::pair<std::uint32_t, std::uint32_t>;
  struct Link {
    std::uint64_t seen_ns = 0;
    std::string target;  // empty: nothing there
  };
  void look(std::uint32_t tgid, std::uint32_t fd);
  void waited(std::uint32_t tid, const kf_sys& sys);

  std::map<Numbers, Link> links_;                               // by process and descriptor
  std::unordered_set<std::uint32_t> targets_;                   // processes
  std::unordered_map<std::uint32_t, std::uint32_t> processes_;  // of the target's threads
  // Threads that are in no snapshot, and descriptors: the chunk that has a thread's fork may come after those in which
  // it waits, when another CPU forked it.
  std::set<Numbers> unknown_;
};

}  // namespace kflight::record
