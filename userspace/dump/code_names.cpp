// SPDX-License-Identifier: Apache-2.0
#include "dump/code_names.hpp"

#include <fmt/format.h>
#include <sys/wait.h>

#include "kflight/wire.h"

namespace kflight::dump {

namespace {

template <std::size_t N>
std::string_view word(const std::string_view (&words)[N], std::uint32_t code) {
  return code < N && !words[code].empty() ? words[code] : "?";
}

}  // namespace

std::string_view state_letter(std::uint32_t code) {
  // DK: D but killable; L: waits for a lock (PREEMPT_RT); W: being woken already.
  static constexpr std::string_view kLetters[] = {"R", "S", "D", "DK", "I", "T", "t", "X", "L", "P", "W"};
  return word(kLetters, code);
}

std::string_view context_name(std::uint32_t code) {
  static constexpr std::string_view kNames[] = {"task", "softirq", "hardirq", "nmi"};
  return word(kNames, code);
}

std::string_view loss_reason(std::uint32_t code) {
  static constexpr std::string_view kReasons[] = {"ring full", "nested event", "file damaged"};
  return word(kReasons, code);
}

std::string_view loss_kind(std::uint32_t kind) {
  static constexpr std::string_view kKinds[] = {"",
                                                "not delivered by the kernel",
                                                "no room in the window",
                                                "control records",
                                                "starts of calls",
                                                "threads missed by a snapshot",
                                                "stacks",
                                                "disk requests and signals, more than are kept",
                                                "not handed over yet",
                                                "evicted after thread facts were saved last",
                                                "events, on its way offline",
                                                "events, on its way back"};
  return word(kKinds, kind);
}

std::string_view stack_role(std::uint32_t code) {
  static constexpr std::string_view kRoles[] = {"blocks at", "wakes at", "runs at", "has waited at"};
  return word(kRoles, code);
}

std::string_view block_phase_name(std::uint32_t code) {
  static constexpr std::string_view kNames[] = {"insert", "issue", "complete"};
  return word(kNames, code);
}

std::string interrupt_name(std::uint32_t cause, std::uint32_t detail) {
  static constexpr std::string_view kSoftirqs[] = {"HI",       "TIMER",   "NET_TX", "NET_RX",  "BLOCK",
                                                   "IRQ_POLL", "TASKLET", "SCHED",  "HRTIMER", "RCU"};
  static constexpr std::string_view kVectors[] = {"?", "local timer", "reschedule", "call from another CPU", "irq work"};
  switch (cause) {
    case KF_CAUSE_IRQ:
      return fmt::format("irq {}", detail);
    case KF_CAUSE_SOFTIRQ:
      return fmt::format("softirq {}", word(kSoftirqs, detail));
    case KF_CAUSE_IPI:
      return std::string(word(kVectors, detail));
    default:
      return "";
  }
}

std::string exit_status_text(std::uint32_t wait_status) {
  const int status = static_cast<int>(wait_status);
  if (WIFSIGNALED(status)) return fmt::format("killed by signal {}", WTERMSIG(status));
  return fmt::format("exit {}", WEXITSTATUS(status));
}

}  // namespace kflight::dump
