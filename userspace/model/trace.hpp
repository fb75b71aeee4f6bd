// SPDX-License-Identifier: Apache-2.0
//
// trace.hpp - a dump together with what its events mean: the input of every analysis and exporter. Immutable after
// load: any number of threads may read it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kflight/dump.hpp"
#include "model/stack_log.hpp"
#include "model/timeline.hpp"

namespace kflight::model {

// What numbers in events mean, of a trace without a dump. Both sorted.
struct Meanings {
  std::vector<KernelSymbol> functions = {};
  std::vector<FdLink> fd_links = {};
};

class Trace {
 public:
  // Builds the Timeline: a pass over all events.
  explicit Trace(Dump dump);
  static Result<Trace> open(const std::string& path);
  // A trace without a dump, for synthetic ones.
  Trace(Timeline timeline, DumpMeta meta = {}, Meanings meanings = {});

  const Timeline& timeline() const noexcept { return timeline_; }
  const StackLog& stacks() const noexcept { return stacks_; }
  const DumpMeta& meta() const noexcept { return dump_ ? dump_->meta() : meta_; }
  const Dump* dump() const noexcept { return dump_ ? &*dump_ : nullptr; }

  // A thread of a process that the recorder was told to watch.
  bool is_target(const Thread& thread) const;
  // --scope target: switches between threads that are none of the target's are not recorded. Between two events that name
  // one nobody knows what it did, nor who had a CPU that one seems to have or that seems idle.
  bool hides_strangers() const { return hides_strangers_; }
  bool hides(const Thread& thread) const { return hides_strangers_ && !is_target(thread); }
  // Every system call of this thread in the window has been recorded, so that what is not in a call is user code.
  bool has_all_calls(const Thread& thread) const;
  // Of the kernel's function that begins there; empty when it is not known.
  std::string_view function_name(std::uint64_t address) const;
  // Of the process's file descriptor; null when it is not known.
  const FdLink* fd_link(std::uint32_t tgid, std::uint32_t fd) const;

 private:
  std::optional<Dump> dump_;
  DumpMeta meta_;
  Meanings meanings_;
  StackLog stacks_;
  Timeline timeline_;
  void find_targets();

  std::vector<std::uint32_t> target_tgids_;  // sorted
  bool all_calls_ = false;
  bool hides_strangers_ = false;
};

// "name (tid)", safe to print; "name (tid, process)" is up to the caller. At that time.
std::string thread_label(const Timeline& timeline, ThreadId id, std::uint64_t at_ns);
// The name alone; "tid N" when it is not known.
std::string thread_name(const Timeline& timeline, ThreadId id, std::uint64_t at_ns);

}  // namespace kflight::model
