// SPDX-License-Identifier: Apache-2.0
#include "dump/kernel_names.hpp"

#include <fmt/format.h>

#include <iterator>

namespace kflight::dump {

std::string signal_name(std::uint8_t number) {
  // As on x86 and arm64; a dump may be read on another system than this one.
  static constexpr std::string_view kNames[] = {
      "",          "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
      "SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
      "SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
      "SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS"};
  if (number > 0 && number < std::size(kNames)) return std::string(kNames[number]);
  return fmt::format("signal {}", number);
}

std::string_view block_op_name(std::uint8_t operation) {
  switch (operation) {
    case 0:
      return "read";
    case 1:
      return "write";
    case 2:
      return "flush";
    case 3:
      return "discard";
    case 5:
      return "secure erase";
    case 7:
      return "zone append";
    case 9:
      return "write zeroes";
    default:
      return "request";
  }
}

}  // namespace kflight::dump
