// SPDX-License-Identifier: Apache-2.0
//
// process_maps.hpp - where code lies in the processes whose stacks were taken, and which build of which file it is. Looked
// up while a process lives: when it becomes a target, at the first stack of its address space (which wakes the recorder
// for it), and when a stack is outside of all that is known; only so often in a second, because a target may start
// processes faster than anybody should look at them. Kept until the window has passed the end of its process. Under the
// owner's lock.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "dump/record_blob.hpp"
#include "kflight/dump_format.h"

namespace kflight::record {

class ProcessMaps {
 public:
  // Reads /proc/PID/maps, and the build ids of files not met before. Nothing happens when the process is gone.
  void look(std::uint32_t tgid, std::uint64_t now_ns);
  // A user stack has come in.
  void saw(const kf_stack& stack, std::span<const kf_u64> frames, std::uint64_t now_ns);
  // The child runs its parent's code until it calls exec.
  void inherit(std::uint32_t child, std::uint32_t parent, std::uint64_t now_ns);
  // Notes which processes are gone, and drops those that were before the window.
  void forget_dead(std::uint64_t window_begin_ns, std::uint64_t now_ns);

  std::vector<kf_mapping> mappings(std::span<const std::uint32_t> tgids) const;  // of these processes, sorted
  dump::RecordBlob files() const;

 private:
  struct FileKey {
    std::uint64_t device = 0, inode = 0;
    std::string path;
    auto operator<=>(const FileKey&) const = default;  // NOLINT(modernize-use-nullptr): the check errs
  };
  struct Process {
    std::vector<kf_mapping> mappings;
    std::uint64_t looked_ns = 0;
    std::uint64_t gone_ns = 0;  // 0: not known to be
  };
  struct Line;

  static bool parse(const std::string& text, Line& line);
  std::uint32_t file_of(std::uint32_t tgid, const Line& line);
  bool holds(const Process& process, std::uint64_t address) const;
  bool may_look(std::uint64_t now_ns);

  std::map<std::uint32_t, Process> processes_;
  std::map<FileKey, std::uint32_t> numbers_;
  std::vector<kf_file> files_;   // by number
  std::uint64_t second_ns_ = 0;  // since when looks are counted
  std::uint32_t looks_ = 0;
};

// The code the kernel maps into this process, an ELF file; empty when there is none.
std::span<const std::byte> own_vdso();

}  // namespace kflight::record
