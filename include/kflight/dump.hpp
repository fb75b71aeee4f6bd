// SPDX-License-Identifier: Apache-2.0
//
// dump.hpp - reading a .kfr file. The file is untrusted: damage is noted and reading goes on behind it; only a file that
// is no dump at all, or one of a newer major version, fails to open. A Dump is immutable after open: any number of
// threads may read it at once, each with its own event range. No root, no libbpf, any machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kflight/dump_format.h"
#include "kflight/event.hpp"
#include "kflight/result.hpp"

namespace kflight {

// What fired, and the call that did it. Times are CLOCK_BOOTTIME ns.
struct Cause {
  std::string trigger;           // the trigger's text as given, "manual", "signal", "api" or "recovered"
  std::vector<std::string> also; // other triggers that the call meets, behind it in the list; not in the dump
  std::string kind;              // "syscall", "inflight", "manual", "signal", "api", "exit", "recovered"
  std::uint64_t fired_ns = 0;    // when the kernel saw it
  std::uint64_t received_ns = 0; // when the recorder acted on it
  std::uint64_t merged = 0;      // further firings this dump stands for
  bool has_call = false;
  bool call_in_flight = false;   // the call had not returned when the trigger fired
  std::uint32_t tid = 0;
  std::uint32_t tgid = 0;
  Comm comm;
  std::uint32_t nr = 0;
  std::uint32_t abi = KF_ABI_NATIVE;
  std::array<std::uint64_t, 6> args{};
  std::uint64_t enter_ns = 0;
  std::uint64_t exit_ns = 0;     // 0 while in flight
  std::int64_t ret = 0;
  std::string fd_path;           // what the call's file descriptor pointed to when it fired; empty when not known
  std::string note;              // who asked, why: free text of a manual dump
};

struct ClockReading {  // all at one instant, ns
  std::uint64_t boottime = 0;
  std::uint64_t monotonic = 0;
  std::uint64_t realtime = 0;
};

struct HostInfo {
  std::string hostname, kernel_release, kernel_version, machine, boot_id;
  std::uint32_t cpus_possible = 0;
  std::uint32_t cpus_online = 0;
  std::uint32_t clock_tick_hz = 0;
};

// The recorder's configuration as it ran, as text a person would give it again.
struct RecordedConfig {
  std::string kflight_version;
  std::vector<std::uint32_t> target_pids;  // as asked for
  std::vector<std::string> comm_globs;
  std::string command;            // `-- COMMAND`: its name, its arguments only with --keep-arguments
  bool everyone = false;
  bool follow = true;
  std::string syscalls;           // off (= blocked), slow, all
  std::string scope;              // system, target
  std::string stacks;             // none, blocked, all
  std::uint32_t sample_hz = 0;    // on-CPU samples of the target per second and CPU
  std::vector<std::string> triggers;
  std::uint64_t min_age_ns = 0, max_bytes = 0, post_ns = 0, cooldown_ns = 0, slow_floor_ns = 0;
  std::uint64_t stack_wait_ns = 0;  // waits have stacks when they last at least so long
  std::vector<std::string> missing;  // features this kernel lacks, each with what that means
};

// How far the window really reaches.
struct WindowInfo {
  std::uint64_t from_ns = 0;      // complete for every CPU from here on ...
  std::uint64_t to_ns = 0;        // ... to here
  std::uint64_t bytes = 0, chunks = 0, events = 0, hits = 0;
  std::string limited_by;         // "max-bytes", "min-age", "start" (recording began then)
  std::uint64_t pinned_extra_bytes = 0;  // held beyond max_bytes by running dumps
};

struct LossInfo {
  std::uint64_t ring_events = 0;     // events of chunks the ring had no room for, ever since start
  std::uint64_t nested_events = 0;
  std::uint64_t recursion = 0;
  std::uint64_t control = 0;
  std::uint64_t inflight = 0;
  std::uint64_t window = 0;
  std::uint64_t stacks = 0;          // stacks without room; the events that name them are there
  std::uint64_t capped = 0;          // block and signal events left out because there were too many
};

struct ProgramCost {
  std::string name;
  std::uint64_t run_count = 0, run_ns = 0;  // from bpf_prog_info; run_ns needs kernel.bpf_stats_enabled, else 0
};

struct OwnCost {
  std::uint64_t recorder_cpu_ns = 0;   // user + system time of the recorder since start
  std::uint64_t recording_ns = 0;      // over this much time
  std::uint64_t rss_bytes = 0;
  std::uint64_t polls = 0;
  std::vector<ProgramCost> programs;
};

struct ProcessInfo {  // of target processes: what only /proc knows
  std::uint32_t tgid = 0;
  std::string exe;
};

struct DumpMeta {
  HostInfo host;
  ClockReading clocks;       // read once when the dump was written; converts every time in the file
  RecordedConfig config;
  Cause cause;
  WindowInfo window;
  LossInfo losses;
  OwnCost cost;
  std::vector<ProcessInfo> targets;
  std::uint64_t dump_number = 0;  // of this recorder run, from 1
};

// A part of the file that does not hold what it promises.
struct Damage {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::string what;
};

// A stack as it was taken: addresses, innermost first; those of callers are return addresses. `tops` are what may be
// return addresses among the words at its stack pointer (kf_pack_top).
struct Stack {
  kf_stack head{};
  std::span<const kf_u64> frames;
  std::span<const kf_u64> tops;
};
struct MappedFile {
  kf_file head{};
  std::string_view path;  // as the process saw it: untrusted
};
struct KernelSymbol {
  std::uint64_t begin = 0, end = 0;
  std::string_view name;
  std::string_view module;  // empty: the kernel itself
};
// The one that holds this address; null: none of them does.
const KernelSymbol* find_symbol(std::span<const KernelSymbol> by_begin, std::uint64_t address) noexcept;

// What a file descriptor was when the recorder looked: before and after it may have been something else.
struct FdLink {
  std::uint32_t tgid = 0;
  std::uint32_t fd = 0;
  std::uint64_t seen_ns = 0;
  std::string_view target;  // "pipe:[4711]", "anon_inode:[eventfd]", a path: untrusted
};

class EventRange;
namespace dump {
struct ChunkRef;  // dump/merge.hpp
}

class Dump {
 public:
  // Maps the file. Fails with kNotFound, kPermission, kIo; kUsage: a directory, pipe or device; kDamaged: no kflight
  // dump; kUnsupported: of a newer major version. Takes at most 64 MiB and 512 times the file's size of memory, whatever
  // the file claims.
  static Result<Dump> open(const std::string& path);
  // Copies nothing: `bytes` must outlive the Dump and everything read from it.
  static Result<Dump> from_bytes(std::span<const std::byte> bytes);

  Dump(Dump&&) noexcept;
  Dump& operator=(Dump&&) noexcept;
  ~Dump();

  bool complete() const noexcept;               // a valid trailer ends the file
  std::span<const Damage> damage() const noexcept;
  const kf_dump_header& header() const noexcept;
  std::uint64_t file_bytes() const noexcept;
  const DumpMeta& meta() const noexcept;        // defaults where the section is missing or damaged
  const std::string& meta_json() const noexcept;

  // [window_begin, window_end): every CPU's events are complete in it, but for losses. From the base lanes, and from
  // the metadata where that is plausible: only it knows when attaching was done.
  std::uint64_t window_begin_ns() const noexcept;
  std::uint64_t window_end_ns() const noexcept;

  std::span<const kf_task> tasks() const noexcept;             // snapshot at the dump
  std::span<const kf_base_task> base_tasks() const noexcept;   // facts from before the window
  std::span<const kf_base_lane> base_lanes() const noexcept;
  std::span<const kf_open_call> open_calls() const noexcept;
  std::span<const kf_ctl> resolutions() const noexcept;
  // With what a damaged file may lack behind the last chunks that it has: no number shows that.
  std::span<const kf_loss> losses() const noexcept;
  std::span<const Stack> stacks() const noexcept;              // by id, each once
  const Stack* stack(std::uint64_t id) const noexcept;         // null: not in the dump
  std::span<const kf_mapping> mappings() const noexcept;       // by process, then address
  std::span<const MappedFile> files() const noexcept;          // by number
  std::span<const KernelSymbol> kernel_symbols() const noexcept;  // by address; those that stacks and WorkEvents need
  std::span<const std::byte> vdso() const noexcept;            // an ELF file
  std::span<const FdLink> fd_links() const noexcept;           // by process, then descriptor; each once
  std::span<const kf_base_stack> base_stacks() const noexcept; // of threads that blocked before the window
  std::span<const dump::ChunkRef> chunks() const noexcept;     // as they arrived; for checks, most want events()

  // All events in one order: by time, CPUs merged; within one CPU the order they happened. Includes events before
  // window_begin_ns() that their chunks happen to hold.
  EventRange events() const;

  struct Impl;
 private:
  explicit Dump(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Single-pass range over a dump's events; begin() once. Needs memory in proportion to the number of CPUs and chunks, not
// events.
class EventRange {
 public:
  class Iterator {
   public:
    using value_type = Event;
    using difference_type = std::ptrdiff_t;
    const Event& operator*() const noexcept;
    const Event* operator->() const noexcept { return &**this; }
    Iterator& operator++();
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& it, std::default_sentinel_t) noexcept { return it.done(); }

   private:
    friend class EventRange;
    explicit Iterator(EventRange* range) : range_(range) {}
    bool done() const noexcept;
    EventRange* range_;
  };

  EventRange(EventRange&&) noexcept;
  ~EventRange();
  Iterator begin();
  std::default_sentinel_t end() const noexcept { return {}; }

  struct Impl;

 private:
  friend class Dump;
  explicit EventRange(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kflight
