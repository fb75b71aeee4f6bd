// SPDX-License-Identifier: Apache-2.0
//
// perfetto_reader.hpp - reads an exported Perfetto trace back and makes thread states of it by the rules of Perfetto's
// trace_processor (importers/ftrace: compact sched tokenizer, FtraceSchedEventTracker, ThreadStateTracker), newer ones
// than the version that tests can run. Written from those rules, not from our writer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace kflight::test {

struct PfEvent {
  enum class Kind { kSwitch, kWaking, kPlainWaking, kBlockedReason, kNewtask, kRename, kFree, kSysEnter, kSysExit };
  Kind kind = Kind::kSwitch;
  std::uint64_t ts_ns = 0;
  std::uint32_t cpu = 0;
  std::uint32_t tid = 0;   // next task, wakee, child, renamed, ended or calling thread
  std::uint32_t pid = 0;   // of FtraceEvents: the task it happened in
  std::int64_t value = 0;  // prev_state, target CPU, io_wait, clone_flags, number of the call
  std::uint32_t prio = 0;
  std::uint32_t flags = 0;  // common_flags of a compact waking
  std::string comm;
  std::vector<std::uint64_t> args;  // of a call that is entered
  std::optional<std::int64_t> ret;  // of one that is left
};

struct PfState {
  static constexpr std::uint64_t kOpen = ~0ULL;
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = kOpen;
  std::string state;      // as the thread_state table has it
  std::uint32_t cpu = 0;  // when Running
  std::optional<std::uint32_t> waker;
  std::optional<std::uint32_t> flags;  // none: counts as woken by a task
  std::optional<bool> io_wait;
};

struct PfThread {
  std::uint32_t tid = 0;
  std::string name;
  std::optional<std::uint32_t> pid;
  std::vector<PfState> states;
  bool ended = false;
};

struct PfTrackEvent {
  std::uint64_t ts_ns = 0;
  std::uint64_t track = 0;
  std::int32_t type = 0;  // 1 begin, 2 end, 3 instant
  std::string name;
  std::map<std::string, std::string> notes;
};

struct PfTrace {
  // A test failure for what is not well-formed.
  explicit PfTrace(std::span<const std::byte> bytes);

  std::vector<std::uint32_t> packet_kinds;        // field number of each packet's content
  std::map<std::uint32_t, std::uint64_t> clocks;  // by clock id
  std::uint32_t primary_clock = 0;
  std::string release, machine;
  std::map<std::uint32_t, std::uint32_t> parents;  // pid -> ppid
  std::map<std::uint32_t, std::string> cmdlines;
  std::map<std::uint32_t, std::pair<std::uint32_t, std::string>> threads;  // tid -> tgid, name
  std::uint64_t tree_ns = 0;
  std::vector<PfEvent> events;                                      // as they stand in the file
  std::map<std::uint32_t, std::uint64_t> previous_bundle_end;       // of each CPU's first bundle
  std::map<std::uint32_t, std::vector<std::uint64_t>> lost_before;  // CPU -> first time in each bundle with lost_events
  std::map<std::uint64_t, std::string> tracks;
  std::vector<PfTrackEvent> track_events;

  // Threads in the order in which they were first met. CPUs of one instant in ascending or descending order: nothing
  // may depend on it. `whole`: no events are missing, so that events which trace_processor passes over are failures.
  std::vector<PfThread> replay(bool highest_cpu_first, bool whole = true) const;

 private:
  void read_packet(std::string_view packet);
  void read_clocks(std::string_view message);
  void read_system(std::string_view message);
  void read_process_tree(std::string_view message);
  void read_bundle(std::string_view message);
  void read_compact(std::string_view message, std::uint32_t cpu);
  void read_event(std::string_view message, std::uint32_t cpu);
  void read_track_event(std::string_view message, std::uint64_t ts_ns);
};

}  // namespace kflight::test
