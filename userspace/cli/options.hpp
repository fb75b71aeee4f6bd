// SPDX-License-Identifier: Apache-2.0
//
// options.hpp - what each command was asked to do: plain values, complete and checked. command_line.cpp fills them in,
// the cmd_*.cpp files act on them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/times.hpp"
#include "kflight/flight_recorder.hpp"

namespace kflight::cli {

// Exit statuses, the same for every command.
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitViolations = 3;

struct RecordOptions {
  std::vector<std::uint32_t> pids;
  std::vector<std::string> comm_globs;
  bool all = false;
  bool follow = true;
  bool wait = false;                 // go on when no target is left, or none is there yet
  std::vector<std::string> command;  // after --; empty: none

  std::vector<std::string> triggers;  // each of them parses
  std::chrono::nanoseconds post = std::chrono::milliseconds(500);
  std::chrono::nanoseconds cooldown = std::chrono::seconds(30);
  std::uint64_t max_dumps = 0;       // 0: no limit
  std::uint64_t max_dump_bytes = 0;  // 0: no limit; beyond it the oldest dumps of this run are removed

  Syscalls syscalls = Syscalls::kAuto;
  Scope scope = Scope::kSystem;
  std::optional<std::chrono::nanoseconds> slow_floor;
  Stacks stacks = Stacks::kAuto;
  std::optional<std::chrono::nanoseconds> stack_wait;
  std::uint32_t sample_hz = 0;  // 0: no samples
  bool causes = true;           // note why interrupts wake somebody
  std::vector<std::string> without;  // features of the kernel to do without

  std::chrono::nanoseconds min_age = std::chrono::seconds(10);
  std::uint64_t max_bytes = 64ull << 20;
  std::uint64_t ring_bytes = 8ull << 20;
  std::optional<std::chrono::nanoseconds> duration;  // stop by itself after this

  std::string out_dir = ".";  // the command line makes it absolute
  std::string name = "default";
  bool keep_arguments = false;  // of the command, in the dumps
  bool sandbox = true;
  bool json = false;
  bool quiet = false;
};

// Commands that talk to a running recorder. Empty name: the only one there is.
struct DumpOptions {
  std::string name;
  std::string out_file;  // absolute; empty: the recorder chooses
  std::string note;
  bool json = false;
};
struct StatusOptions {
  std::string name;
  bool json = false;
};
struct StopOptions {
  std::string name;
};

// Of a recorder that was killed. Empty name: the only one that left something behind.
struct RecoverOptions {
  std::string name;
  std::string out_file;  // absolute; empty: one in the current directory
  bool json = false;
};

// Commands that read a dump.
struct InfoOptions {
  std::string path;
  bool json = false;
};
struct CheckOptions {
  std::string path;
  std::uint32_t evidence = 5;         // lines per violated invariant
  std::uint32_t explanations = 1000;  // random stretches of time to explain
  bool json = false;
};
struct ExplainOptions {
  std::string path;
  bool list = false;                // the operations there are, instead of explaining one
  bool all_slow = false;            // the slowest ones together
  std::optional<std::uint64_t> op;  // number in that list
  std::optional<std::uint32_t> tid;
  std::optional<TimePoint> from, to;  // with tid
  std::optional<std::uint64_t> rows;
  bool json = false;
  bool folded = false;
};
struct EventsOptions {
  std::string path;
  bool jsonl = false;
  bool stacks = false;    // print the frames of stack events
  bool absolute = false;  // wall clock instead of time before the window's end
  std::vector<std::uint32_t> tids;
  std::vector<std::string> kinds;
  std::vector<std::uint32_t> cpus;
  std::optional<TimePoint> from, to;
  std::optional<std::uint64_t> limit;
};

struct ExportOptions {
  std::string path;
  std::string format = "perfetto";  // name of an exporter
  std::string out;                  // file or directory; "-": standard output; empty: beside the dump
  std::optional<std::uint64_t> op;  // explain this one of `explain --list` instead of the trigger's
  bool explain = true;
  bool force = false;  // replace an existing file
};

struct DoctorOptions {
  bool json = false;
};
struct VersionOptions {
  bool json = false;
};

// Each returns the exit status and has printed everything there is to say.
int cmd_record(const RecordOptions& options);
int cmd_dump(const DumpOptions& options);
int cmd_status(const StatusOptions& options);
int cmd_stop(const StopOptions& options);
int cmd_recover(const RecoverOptions& options);
int cmd_info(const InfoOptions& options);
int cmd_explain(const ExplainOptions& options);
int cmd_events(const EventsOptions& options);
int cmd_check(const CheckOptions& options);
int cmd_export(const ExportOptions& options);
int cmd_doctor(const DoctorOptions& options);
int cmd_version(const VersionOptions& options);

}  // namespace kflight::cli
