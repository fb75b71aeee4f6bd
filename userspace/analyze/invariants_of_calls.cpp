// SPDX-License-Identifier: Apache-2.0
//
// invariants_of_calls.cpp - a thread is in one system call at a time, and what a finished call says about itself agrees
// with the switches seen meanwhile.
#include "analyze/invariants.hpp"
#include "analyze/tid_table.hpp"
#include "base/units.hpp"

namespace kflight::analyze {

namespace {

class CallTimes final : public Invariant {
 public:
  using Invariant::Invariant;

  void on_fork(const ForkEvent& e) override { threads_[e.child_tid] = {}; }
  void on_switch(const SwitchEvent& e) override { announced(e, e.enter_ns); }
  void on_syscall_open(const SyscallOpenEvent& e) override { announced(e, e.enter_ns); }

  void on_syscall(const SyscallEvent& e) override {
    Thread& thread = threads_[e.tid];
    if (e.enter_ns != 0) {
      expect_turn(e, thread, e.enter_ns);
      expect_announced(e, thread, e.enter_ns);
    }
    thread = {.last_exit_ns = e.ts_ns};
  }

 private:
  struct Thread {
    std::uint64_t last_exit_ns = 0;
    std::uint64_t announced_ns = 0;  // when the call it is in began, as events during it say
  };

  static std::string text(std::uint64_t ns) { return format_duration(static_cast<std::int64_t>(ns)); }
  static bool differ(std::uint64_t a, std::uint64_t b) { return (a > b ? a - b : b - a) > kClockStepNs; }

  // Before the window begins the call's end may be unseen: a recorder that attaches sees entries before it sees exits.
  void announced(const EventHead& e, std::uint64_t enter_ns) {
    if (enter_ns == 0 || !judged(e.ts_ns)) return;
    Thread& thread = threads_[e.tid];
    expect_turn(e, thread, enter_ns);
    expect_announced(e, thread, enter_ns);
    thread.announced_ns = enter_ns;
  }

  // A call that an event told of goes on until its end is told: until then no other can be under way.
  void expect_announced(const EventHead& e, const Thread& thread, std::uint64_t enter_ns) {
    if (thread.announced_ns == 0 || !differ(thread.announced_ns, enter_ns) || survey_.renamed.contains(e.tid) ||
        excused_by_loss(thread.announced_ns, e.ts_ns))
      return;
    tally_.violate(e, e.tid, "this call began {} ago, but an event during it says {}", text(e.ts_ns - enter_ns),
                   text(e.ts_ns - thread.announced_ns));
  }

  void expect_turn(const EventHead& e, const Thread& thread, std::uint64_t enter_ns) {
    tally_.checked();
    if (enter_ns + kClockStepNs < thread.last_exit_ns && !survey_.renamed.contains(e.tid))
      tally_.violate(e, e.tid, "this call began {} before the thread's previous one ended",
                     text(thread.last_exit_ns - enter_ns));
  }

  TidTable<Thread> threads_;
};

class CallsSwitchedOut final : public Invariant {
 public:
  using Invariant::Invariant;

  void on_switch(const SwitchEvent& e) override {
    if (e.tid != 0) last_out_ns_[e.tid] = e.ts_ns;
  }

  void on_syscall(const SyscallEvent& e) override {
    if (e.enter_ns == 0 || !judged(e.enter_ns) || !survey_.judges(e.tid)) return;
    tally_.checked();
    const bool was = last_out_ns_[e.tid] > e.enter_ns;
    if (was == e.was_switched_out || excused_by_loss(e.enter_ns, e.ts_ns)) return;
    tally_.violate(e, e.tid, "{}",
                   was ? "was switched out during the call, which does not say so"
                       : "the call says it was switched out, but there was no switch");
  }

 private:
  TidTable<std::uint64_t> last_out_ns_;
};

}  // namespace

std::unique_ptr<Invariant> call_times(const DumpSurvey& survey, Tally tally) {
  return std::make_unique<CallTimes>(survey, tally);
}

std::unique_ptr<Invariant> calls_switched_out(const DumpSurvey& survey, Tally tally) {
  return std::make_unique<CallsSwitchedOut>(survey, tally);
}

}  // namespace kflight::analyze
