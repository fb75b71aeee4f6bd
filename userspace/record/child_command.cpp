// SPDX-License-Identifier: Apache-2.0
#include "record/child_command.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "base/errors.hpp"

namespace kflight::record {
namespace {

// Only async-signal-safe calls from here to the exec.
[[noreturn]] void wait_and_exec(int go, int failed, char** arguments, const sigset_t& mask, const CommandSignals& kept) {
  char byte = 0;
  ssize_t got = 0;
  do got = ::read(go, &byte, 1);
  while (got < 0 && errno == EINTR);
  if (got != 1) _exit(127);  // the recorder gave up
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  ::signal(SIGHUP, kept.hangup);
  ::signal(SIGPIPE, kept.pipe);
  ::execvp(arguments[0], arguments);
  const int error = errno;
  [[maybe_unused]] const ssize_t ignored = ::write(failed, &error, sizeof error);
  _exit(error == ENOENT ? 127 : 126);
}

}  // namespace

Result<ChildCommand> ChildCommand::prepare(const std::vector<std::string>& words, const CommandSignals& kept) {
  int go[2], failed[2];
  if (::pipe2(go, O_CLOEXEC)) return errno_error(errno, "creating a pipe");
  UniqueFd go_read(go[0]), go_write(go[1]);
  if (::pipe2(failed, O_CLOEXEC)) return errno_error(errno, "creating a pipe");
  UniqueFd failed_read(failed[0]), failed_write(failed[1]);

  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  sigset_t mask;
  sigemptyset(&mask);  // the recorder blocks signals for itself, not for the program

  const pid_t pid = ::fork();
  if (pid < 0) return errno_error(errno, fmt::format("starting {}", words.front()));
  if (pid == 0) {
    go_write.reset();
    wait_and_exec(go_read.get(), failed_write.get(), arguments.data(), mask, kept);
  }
  return ChildCommand(pid, std::move(go_write), std::move(failed_read), words.front());
}

ChildCommand::~ChildCommand() {
  if (!go_ || pid_ <= 0) return;  // released, or moved from
  go_.reset();                    // the child reads end of file and exits
  ::waitpid(pid_, nullptr, 0);
}

Result<> ChildCommand::release() {
  const char byte = 1;
  if (::write(go_.get(), &byte, 1) != 1) return errno_error(errno, fmt::format("starting {}", name_));
  go_.reset();
  int error = 0;
  ssize_t got = 0;
  do got = ::read(failed_.get(), &error, sizeof error);
  while (got < 0 && errno == EINTR);
  if (got == sizeof error)
    return errno_error(error, fmt::format("running {}", name_),
                       error == ENOENT ? "is it spelled right, and in $PATH?" : "can it be executed?");
  return {};
}

std::optional<int> ChildCommand::reap() {
  int status = 0;
  if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_)
    status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return status_;
}

std::optional<int> ChildCommand::wait(std::chrono::nanoseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!reap() && std::chrono::steady_clock::now() < until) ::poll(nullptr, 0, 5);
  return status_;
}

void ChildCommand::signal(int number) const {
  if (!status_) ::kill(pid_, number);
}

}  // namespace kflight::record
