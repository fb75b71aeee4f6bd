// SPDX-License-Identifier: Apache-2.0
//
// session.hpp - what `kflight record` does from start to end: a FlightRecorder, its triggers' dumps, the control socket,
// signals, the command it may have started. One loop on the caller's thread takes everything that happens from an inbox;
// a dump is written on a thread of its own, so the loop always answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kflight/flight_recorder.hpp"
#include "kflight/result.hpp"
#include "record/recover.hpp"

namespace kflight::record {

struct SessionOptions {
  FlightRecorderConfig recorder;
  std::string name;                  // of the recorder: control socket, file names
  std::string out_dir;
  std::chrono::nanoseconds post{};
  std::chrono::nanoseconds cooldown{};
  std::uint64_t max_dumps = 0;       // triggered dumps after which the session ends; 0: no limit
  std::uint64_t max_dump_bytes = 0;
  std::optional<std::chrono::nanoseconds> duration;
  bool wait = false;                 // go on when no target is left
  std::vector<std::string> command;
  bool keep_arguments = false;       // of the command, in the dumps: they may hold secrets
  bool sandbox = true;               // give up what is not needed once everything is attached
};

struct DumpReport {
  std::string path;
  std::uint64_t bytes = 0;
  std::chrono::nanoseconds took{};
  Cause cause;
};

// Of the window that an earlier recorder of this name left behind when it was killed.
struct RecoveryReport {
  std::string path;  // of the dump made of it
  std::uint64_t bytes = 0;
  Recovered what;
};

// What the session tells. Called on the loop's thread.
class SessionObserver {
 public:
  virtual ~SessionObserver() = default;
  virtual void on_recovered(const RecoveryReport& report) = 0;  // before on_ready
  virtual void on_ready(const FlightRecorder& recorder) = 0;
  virtual void on_trigger(const Cause& cause, std::chrono::nanoseconds dump_in) = 0;
  virtual void on_dump(const DumpReport& report) = 0;
  virtual void on_dump_failed(const Error& error) = 0;
  virtual void on_resolved(const std::string& path, const kf_ctl& call) = 0;
  virtual void on_target_exit(std::uint32_t tgid, std::uint32_t status, std::uint64_t left) = 0;
  virtual void on_second(const FlightRecorder& recorder) = 0;  // about once a second
  virtual void on_end(const std::string& why, const RecorderStats& stats) = 0;
};

// Records until something ends it. Returns the exit status: 0, or the command's. Blocks SIGINT, SIGTERM, SIGUSR1 and
// SIGCHLD for the calling thread and those it starts, ignores SIGHUP; call it from the main thread, once.
Result<int> run_session(SessionOptions options, SessionObserver& observer);

}  // namespace kflight::record
