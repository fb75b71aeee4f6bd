// SPDX-License-Identifier: Apache-2.0
//
// output.cpp - buffered writes that survive a reader going away, and the one place that maps errors to exit statuses.
#include "cli/output.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/errors.hpp"
#include "base/escape.hpp"
#include "base/log.hpp"
#include "cli/options.hpp"

namespace kflight::cli {

namespace {

constexpr std::size_t kDefaultColumns = 80, kFewestColumns = 60;

// EPIPE instead of the signal, for this write only: a child process would inherit the setting.
class IgnorePipeSignal {
 public:
  IgnorePipeSignal() : before_(::signal(SIGPIPE, SIG_IGN)) {}
  ~IgnorePipeSignal() { ::signal(SIGPIPE, before_); }
  IgnorePipeSignal(const IgnorePipeSignal&) = delete;
  IgnorePipeSignal& operator=(const IgnorePipeSignal&) = delete;

 private:
  sighandler_t before_;
};

}  // namespace

void Output::flush() {
  const IgnorePipeSignal guard;
  std::string_view rest = text_;
  while (!rest.empty() && !closed_) {
    const ssize_t written = ::write(fd_, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      closed_ = true;
      error_number_ = errno;
    }
  }
  text_.clear();
}

int Output::finish() {
  flush();
  if (error_number_ == 0 || error_number_ == EPIPE) return kExitDone;
  return fail(errno_error(error_number_, "writing to standard output"));
}

int print_and_finish(std::string_view text) {
  Output out;
  out.text() += text;
  return out.finish();
}

// Messages quote paths and what stands in files. Only their own line ends are kept.
void say(std::string_view message) {
  std::string line = "kflight: ";
  for (std::size_t begin = 0; begin <= message.size();) {
    const auto end = std::min(message.find('\n', begin), message.size());
    line += escape_for_terminal(message.substr(begin, end - begin)) + '\n';
    begin = end + 1;
  }
  write_to_stderr(line);
}

int fail(const Error& error) {
  say(error.what);
  return error.code == Errc::kUsage ? kExitUsage : kExitFailed;
}

std::size_t columns_of(int fd) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kDefaultColumns;
}

std::size_t terminal_columns() { return std::max(columns_of(STDOUT_FILENO), kFewestColumns); }

}  // namespace kflight::cli
