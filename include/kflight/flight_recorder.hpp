// SPDX-License-Identifier: Apache-2.0
//
// flight_recorder.hpp - record the kernel's scheduling and syscalls into a rolling window in memory, and write the window
// out while recording goes on. The shape is that of Go's runtime/trace.FlightRecorder, from outside the program.
//
//   kflight::FlightRecorder recorder{{.min_age = 10s, .target = {.pids = {1234}}}};
//   if (auto started = recorder.start(); !started) fail(started.error().what);
//   ...
//   recorder.write_to(sink);
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kflight/byte_sink.hpp"
#include "kflight/dump.hpp"
#include "kflight/result.hpp"

namespace kflight {

// Whose syscalls are recorded and watched. Scheduling events are system-wide unless ProbeSet::scope says otherwise.
struct Target {
  std::vector<std::uint32_t> pids;      // processes (thread group ids; a thread's id means its process)
  std::vector<std::string> comm_globs;  // every process whose name matches, now and later; * ? [a-z]
  bool everyone = false;
  bool follow = true;                   // children forked later belong to it too
};

enum class Syscalls {
  kAuto,     // slow when a trigger needs durations, else blocked
  kBlocked,  // only from registers at switch-outs: costs nothing to calls that do not block
  kSlow,     // the target's calls that last longer than slow_floor or were switched out
  kAll,      // every call of the target
};

enum class Scope { kSystem, kTarget };

// Where the target's threads are, in their programs and in the kernel. Only the target pays for it.
enum class Stacks {
  kAuto,     // blocked; none with Target::everyone
  kNone,
  kBlocked,  // where they wait, see ProbeSet::stack_wait
  kAll,      // and whenever somebody wakes one of them: the waker's
};

struct ProbeSet {
  Syscalls syscalls = Syscalls::kAuto;
  Scope scope = Scope::kSystem;
  std::chrono::nanoseconds slow_floor = std::chrono::microseconds(100);
  bool causes = true;  // every waking by an interrupt says why: timer, disk, network, which work
  Stacks stacks = Stacks::kAuto;
  // Stacks only of waits that last at least so long: they are taken at the wait's end. A short wait in a timed call
  // (syscalls slow or all) then costs nothing, any other one the user's half of the stack, for which its end is too late.
  // 0: of every wait. Unset: a tenth of the shortest trigger, at most 5 ms.
  std::optional<std::chrono::nanoseconds> stack_wait;
  std::uint32_t sample_hz = 0;  // stacks of the target's running threads, so often per second and CPU; 0: none
  static ProbeSet defaults() { return {}; }
};

// One trigger, from text such as "syscall:fsync>20ms". See `kflight record --help` for the grammar.
struct TriggerSpec {
  std::string text;
};

struct FlightRecorderConfig {
  std::chrono::nanoseconds min_age = std::chrono::seconds(10);  // keep at least this much ...
  std::uint64_t max_bytes = 64ull << 20;                        // ... unless this is reached first
  Target target;
  ProbeSet probes = ProbeSet::defaults();
  std::vector<TriggerSpec> triggers;
  std::chrono::nanoseconds post{};      // what the caller's dumps wait after a trigger, for their metadata only
  std::chrono::nanoseconds cooldown{};  // likewise: the least time between its dumps
  std::uint64_t ring_bytes = 8ull << 20;                        // kernel buffer per 16 CPUs
  std::string command_text;                                     // for the dump's metadata only
  // Features of the kernel to do without although it has them, by the ids of `kflight doctor --json`: what would a
  // recording on a kernel without them be? An unknown one fails start() with kUsage.
  std::vector<std::string> without;
  // Where the window lies while it is recorded, so that `kflight recover` makes a dump of it when this process is
  // killed: a path on a tmpfs. Where that cannot be, a warning says why and recording goes on without. Empty: nowhere.
  std::string window_file;

  // Called on the recorder's own thread within about a millisecond of a trigger firing, once for all that a call meets at
  // that moment (Cause::also). Must not block for long, and must not call write_to: that is another thread's work,
  // after the time it wants to see of what follows.
  std::function<void(const Cause&)> on_trigger;
  // A call that on_trigger reported as in flight has returned (kf_ctl::type is KF_CTL_RESOLVED). exit_ns 0: it is not in
  // flight any more, but how and when it ended was missed. Same thread, same rule.
  std::function<void(const kf_ctl&)> on_resolved;
  // A target process has exited; `left` remain. tgid 0: ends were missed, and none is left. Same thread, same rule.
  std::function<void(std::uint32_t tgid, std::uint32_t exit_status, std::uint64_t left)> on_target_exit;
  // One of the recorder's own threads has just been started, everything is attached, and no call that needs more than the
  // steady state is made in it any more: the place to give up privileges in that thread.
  std::function<void()> on_thread_start;
  // About once a second, after the kernel's rings have been emptied: for a watchdog. Same thread, same rule.
  std::function<void()> on_heartbeat;
};

struct RecorderStats {
  WindowInfo window;
  LossInfo losses;
  OwnCost cost;
  std::uint64_t events_seen = 0;      // since start, lost ones included
  std::uint64_t hits_seen = 0;
  std::uint64_t events_evicted = 0;
  std::uint64_t chunks_seen = 0;
  std::uint64_t triggers_fired = 0;   // what on_trigger was called for, and merged_firings
  std::uint64_t dumps_written = 0;
  std::uint64_t targets_alive = 0;    // processes; 0 with Target::everyone
  std::string window_file;            // where the window is found if this process dies; empty: it is lost then
  double events_per_second = 0;       // over the last second or so
};

// Thread-safe: every member function may be called from any thread, except the constructor and destructor.
class FlightRecorder {
 public:
  explicit FlightRecorder(FlightRecorderConfig config);  // cannot fail; nothing is loaded yet
  ~FlightRecorder();                                     // stop()
  FlightRecorder(const FlightRecorder&) = delete;
  FlightRecorder& operator=(const FlightRecorder&) = delete;

  // Loads and attaches the BPF programs, takes the first task snapshot, starts the consumer thread. Needs root (or
  // CAP_BPF + CAP_PERFMON and what reading other tasks needs); the error names what is missing. After a failure the
  // recorder can be started again.
  Result<> start();
  void stop() noexcept;                                  // idempotent; waits for a running write_to
  bool enabled() const noexcept;

  // Flushes every CPU, then writes the window as a .kfr file's bytes; recording goes on. Returns the bytes written. A
  // second concurrent call fails with kBusy. `cause` goes into the dump.
  Result<std::uint64_t> write_to(ByteSink& sink, const Cause& cause = {});

  RecorderStats stats() const;
  // Firings that on_trigger was not called for: within a millisecond of one that it was, the kernel only counts. Since the
  // first start(); cheap, so that one may look before each dump how many more it stands for (Cause::merged).
  std::uint64_t merged_firings() const;
  const FlightRecorderConfig& config() const noexcept;
  std::vector<std::string> missing_features() const;     // what this kernel lacks, and what that means

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace kflight
