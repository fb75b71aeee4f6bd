// SPDX-License-Identifier: Apache-2.0
//
// process_maps.hpp - where code lay in the processes whose stacks were taken, and which build of which file it is, as long
// as the window holds a time when it did: what is no longer mapped goes when the window has passed its end, and a file with
// the last of its mappings. Who looks, and when, is the business of MapsKeeper: nothing here waits for another process.
// Under the owner's lock.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "dump/record_blob.hpp"
#include "kflight/dump_format.h"
#include "record/process_code.hpp"

namespace kflight::record {

class ProcessMaps {
 public:
  using BuildIds = std::map<CodeFile, BuildId>;

  // One range of each file that is neither known nor among `ids`.
  std::vector<const CodeRange*> files_missing(std::span<const CodeRange> ranges, const BuildIds& ids) const;
  // What a look at a process found; nothing when it is empty. A file that is new has its build id in `ids`.
  void put(std::uint32_t tgid, std::span<const CodeRange> ranges, const BuildIds& ids, std::uint64_t now_ns);
  // This user stack has addresses that nothing known explains, and a look may help.
  bool should_look(const kf_stack& stack, std::span<const kf_u64> frames, std::uint64_t now_ns) const;
  // The child runs its parent's code until it calls exec.
  void inherit(std::uint32_t child, std::uint32_t parent, std::uint64_t now_ns);
  // Notes which processes are gone, and drops what was before the window: processes, mappings, files.
  void forget_dead(std::uint64_t window_begin_ns, std::uint64_t now_ns);

  std::vector<kf_mapping> mappings(std::span<const std::uint32_t> tgids) const;  // of these processes, sorted
  dump::RecordBlob files() const;

 private:
  struct Process {
    std::vector<kf_mapping> mappings;
    std::uint64_t looked_ns = 0;
    std::uint64_t gone_ns = 0;  // 0: not known to be
  };

  std::uint32_t file_of(const CodeFile& file, const BuildIds& ids);
  bool holds(const Process& process, std::uint64_t address) const;
  void forget_files();

  std::map<std::uint32_t, Process> processes_;
  std::map<CodeFile, kf_file> files_;
  std::uint32_t next_file_ = 0;  // numbers are not used again
};

}  // namespace kflight::record
