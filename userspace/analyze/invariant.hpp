// SPDX-License-Identifier: Apache-2.0
//
// invariant.hpp - one statement about a dump under test: sees every event of the judged time once, in order, and writes
// its findings into its report. invariants.hpp lists them all.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "analyze/check.hpp"
#include "analyze/dump_survey.hpp"

namespace kflight::analyze {

// EventHead::cpu of a moment that belongs to none.
inline constexpr std::uint16_t kNoCpu = 0xffff;
// While the clock's rate is adjusted, two CPUs, and two readings of one instant, may differ by less than this.
inline constexpr std::uint64_t kClockStepNs = 1000;
// A snapshot reads a thread's counters and then the time, and may be interrupted in between: what it read was true at
// some time in [ts_ns - kReadBeforeNs, ts_ns + kReadAfterNs].
inline constexpr std::uint64_t kReadBeforeNs = 20'000'000, kReadAfterNs = 5'000'000;

// An InvariantReport being written.
class Tally {
 public:
  Tally(InvariantReport& report, const CheckOptions& options) : report_(report), most_(options.evidence) {}

  void checked(std::uint64_t count = 1) { report_.checked += count; }
  void excuse() { ++report_.excused; }
  void remark(std::string what, std::uint64_t count) {
    if (count != 0) report_.remarks.push_back({std::move(what), count});
  }
  void not_applicable(std::string why) { report_.why_not = std::move(why); }
  void violate(Evidence evidence) {
    if (++report_.violations <= most_) report_.evidence.push_back(std::move(evidence));
  }
  // The text is only made when it is kept.
  template <class... Args>
  void violate(const EventHead& at, std::uint32_t tid, fmt::format_string<Args...> format, Args&&... args) {
    if (++report_.violations > most_) return;
    const auto cpu = at.cpu == kNoCpu ? std::nullopt : std::optional(at.cpu);
    report_.evidence.push_back({at.ts_ns, cpu, tid, fmt::format(format, std::forward<Args>(args)...)});
  }

 private:
  InvariantReport& report_;
  std::size_t most_;
};

// The verdict, from what has been written.
void settle(InvariantReport& report);

class Invariant {
 public:
  Invariant(const DumpSurvey& survey, Tally tally) : survey_(survey), tally_(tally) {}
  virtual ~Invariant() = default;

  // Events with ts_ns < survey.end_ns, those before survey.begin_ns included: they help to know the state there.
  virtual void on_switch(const SwitchEvent&) {}
  virtual void on_waking(const WakingEvent&) {}
  virtual void on_wakeup(const WakeupEvent&) {}
  virtual void on_fork(const ForkEvent&) {}
  virtual void on_exit(const ExitEvent&) {}
  virtual void on_syscall(const SyscallEvent&) {}
  virtual void on_syscall_open(const SyscallOpenEvent&) {}
  virtual void on_stack(const StackEvent&) {}
  virtual void on_any(const EventHead&) {}  // all but switches and losses
  virtual void finish() {}

 protected:
  bool judged(std::uint64_t ts_ns) const { return ts_ns >= survey_.begin_ns; }
  // Counts it as excused when an event that could explain it may have been lost.
  bool excused_by_loss(std::uint64_t from_ns, std::uint64_t to_ns) {
    const bool lost = survey_.losses.anywhere(from_ns, to_ns);
    if (lost) tally_.excuse();
    return lost;
  }
  bool excused_by_loss_on(std::uint16_t cpu, std::uint64_t from_ns, std::uint64_t to_ns) {
    const bool lost = survey_.losses.on_cpu(cpu, from_ns, to_ns);
    if (lost) tally_.excuse();
    return lost;
  }

  const DumpSurvey& survey_;
  Tally tally_;
};

}  // namespace kflight::analyze
