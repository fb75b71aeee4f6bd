// SPDX-License-Identifier: Apache-2.0
//
// child_command.hpp - the program after `--`: forked and held before its exec, so that recording is armed when it runs
// its first instruction. One thread, before others are started.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "kflight/result.hpp"

namespace kflight::record {

// What signals did before the recorder changed that for itself: a program inherits what is ignored.
struct CommandSignals {
  sighandler_t hangup = SIG_DFL;
  sighandler_t pipe = SIG_DFL;
};

class ChildCommand {
 public:
  // Forks. The child waits; if we die it ends without having run anything.
  static Result<ChildCommand> prepare(const std::vector<std::string>& words, const CommandSignals& kept = {});
  ChildCommand(ChildCommand&&) noexcept = default;
  ChildCommand& operator=(ChildCommand&&) = delete;
  ~ChildCommand();  // a child that was never released is ended

  pid_t pid() const noexcept { return pid_; }
  // Lets it run. kNotFound, kPermission... when the exec fails.
  Result<> release();
  // Its exit status as a shell would give it (128 + signal), once it has ended. Reaps it.
  std::optional<int> reap();
  // The same, and waits up to `limit` for one that is known to be ending: its last steps, such as closing files, take their
  // time.
  std::optional<int> wait(std::chrono::nanoseconds limit);
  // Passes a signal on, if it still runs.
  void signal(int number) const;

 private:
  ChildCommand(pid_t pid, UniqueFd go, UniqueFd failed, std::string name)
      : pid_(pid), go_(std::move(go)), failed_(std::move(failed)), name_(std::move(name)) {}

  pid_t pid_;
  UniqueFd go_;       // writing a byte releases the child
  UniqueFd failed_;   // carries the errno of a failed exec; closed by a successful one
  std::string name_;
  std::optional<int> status_;
};

}  // namespace kflight::record
