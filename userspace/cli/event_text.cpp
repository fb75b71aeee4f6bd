// SPDX-License-Identifier: Apache-2.0
//
// event_text.cpp - one sentence per kind of event. A new kind does not compile until it has one.
#include "cli/event_text.hpp"

#include <fmt/format.h>

#include <iterator>

#include "base/escape.hpp"
#include "base/units.hpp"
#include "dump/code_names.hpp"
#include "dump/kernel_names.hpp"
#include "dump/schema.hpp"
#include "dump/syscalls.hpp"

namespace kflight::cli {

namespace {

constexpr std::size_t kTimeColumns = 14, kWallColumns = 29;

template <std::size_t N>
std::string_view word(const std::string_view (&words)[N], std::uint32_t code) {
  return code < N && !words[code].empty() ? words[code] : "?";
}

template <class... Args>
void put(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

std::string span_text(std::uint64_t from_ns, std::uint64_t to_ns) {
  return format_duration(static_cast<std::int64_t>(to_ns - from_ns));
}

// Why an interrupt woke somebody, as far as the CPU had noted it.
template <class E>  // WakingEvent, WorkEvent
std::string cause_text(const E& e, const ThreadNames& names) {
  static constexpr std::string_view kTimers[] = {"timer",          "timeout",      "timerfd",     "POSIX timer",
                                                 "interval timer", "quota period", "delayed work"};
  static constexpr std::string_view kPeers[] = {"network", "network (loopback)", "network (remote)",
                                                "its own packet"};
  switch (e.cause) {
    case KF_CAUSE_HRTIMER:
    case KF_CAUSE_TIMER:
      return std::string(word(kTimers, e.cause_detail & 15));
    case KF_CAUSE_BLOCK:
      if (e.cause_detail == KF_DEV_UNKNOWN) return "disk";
      return fmt::format("disk {}:{}", e.cause_detail >> 9, e.cause_detail & 511);
    case KF_CAUSE_NET_RX:
      if (e.cause_detail == KF_NET_SENDER) {
        std::string text = "a packet of ";
        names.append(text, static_cast<std::uint32_t>(e.cause_args[0] & KF_TID_MASK));
        return text;
      }
      return std::string(word(kPeers, e.cause_detail));
    case KF_CAUSE_WORK:
      return "work item " + names.function(e.cause_args[0]);
    default:
      return dump::interrupt_name(e.cause, e.cause_detail);
  }
}

// The part of a line that depends on the event's kind.
class Details {
 public:
  Details(std::string& out, const DumpClock& clock, const ThreadNames& names)
      : out_(out), clock_(clock), names_(names) {}

  void operator()(const SwitchEvent& e) const {
    out_ += dump::state_letter(e.prev_state);
    if (e.preempt) out_ += '+';
    if (e.has_sys) put(out_, " {}", dump::describe_call(e.sys));
    if (e.enter_ns != 0) put(out_, " for {}", span_text(e.enter_ns, e.ts_ns));
    if (e.in_iowait) out_ += " iowait";
    if (e.throttled) out_ += " throttled";
    if (e.prev_prio != KF_DEFAULT_PRIO && e.tid != 0) put(out_, " prio {}", e.prev_prio);
    out_ += " -> ";
    names_.append(out_, e.next_tid);
    if (e.next_prio != KF_DEFAULT_PRIO && e.next_tid != 0) put(out_, " prio {}", e.next_prio);
  }
  void operator()(const WakingEvent& e) const {
    out_ += "wakes ";
    names_.append(out_, e.wakee);
    put(out_, "{} cpu {}", e.has_wakeup ? " on" : ", last on", e.target_cpu);
    if (e.has_wakeup && e.wakeup_ns != e.ts_ns) put(out_, " after {}", span_text(e.ts_ns, e.wakeup_ns));
    if (e.ctx != KF_CTX_TASK)
      put(out_, ", from {}", dump::context_name(e.ctx));
    else if (e.waker_nr < KF_WAKER_BIG_NR)
      put(out_, ", in {}", dump::syscall_name(e.waker_nr));
    if (const std::string cause = cause_text(e, names_); !cause.empty()) put(out_, ", by {}", cause);
  }
  void operator()(const WakeupEvent& e) const {
    names_.append(out_, e.wakee);
    put(out_, " waits for cpu {}{}{}", e.target_cpu, e.is_new ? ", new" : "", e.throttled ? ", throttled" : "");
  }
  void operator()(const MigrateEvent& e) const {
    names_.append(out_, e.migrated_tid);
    put(out_, " moves from cpu {} to {}", e.orig_cpu, e.dest_cpu);
  }
  void operator()(const ForkEvent& e) const {
    put(out_, "creates {} {}:{}", e.is_thread ? "thread" : "process", escape_for_terminal(e.comm.view()), e.child_tid);
    if (e.parent_tid != e.tid) put(out_, ", child of {}", e.parent_tid);
  }
  void operator()(const ExecEvent& e) const {
    put(out_, "runs {} as {}", escape_for_terminal(e.filename), escape_for_terminal(e.comm.view()));
    if (e.old_tid != e.new_tid) put(out_, ", was thread {}", e.old_tid);
  }
  void operator()(const ExitEvent& e) const {
    if (e.exiting_tid != e.tid) put(out_, "thread {}: ", e.exiting_tid);
    put(out_, "{}{}", dump::exit_status_text(e.exit_code), e.group_dead ? ", the last thread of its process" : "");
  }
  void operator()(const RenameEvent& e) const {
    names_.append(out_, e.renamed_tid);
    put(out_, " is now {}", escape_for_terminal(e.comm.view()));
  }
  void operator()(const SyscallEvent& e) const {
    if (e.has_args)
      out_ += dump::describe_call(e.sys);
    else
      out_ += dump::syscall_name(e.nr, e.abi);
    put(out_, " {}", dump::describe_result(e.nr, e.ret));
    if (e.enter_ns != 0) put(out_, ", took {}", span_text(e.enter_ns, e.ts_ns));
    if (e.was_switched_out) out_ += ", off the cpu meanwhile";
  }
  void operator()(const SyscallOpenEvent& e) const {
    put(out_, "is in {}", dump::describe_call(e.sys));
    if (e.enter_ns != 0) put(out_, " for {}", span_text(e.enter_ns, e.ts_ns));
  }
  void operator()(const BlockEvent& e) const {
    put(out_, "{} {} of {} on disk {}:{} sector {}{}", dump::block_phase_name(e.phase), dump::block_op_name(e.op),
        format_bytes(e.bytes), e.dev >> 20, e.dev & 0xfffff, e.sector, e.failed ? ", failed" : "");
    if (e.ctx != KF_CTX_TASK) put(out_, ", from {}", dump::context_name(e.ctx));
  }
  void operator()(const WorkEvent& e) const {
    put(out_, "executes work item {} since {}", names_.function(e.function), span_text(e.started_ns, e.ts_ns));
    if (e.queued_ns == 0) return;
    put(out_, ", queued {} before by ", span_text(e.queued_ns, e.started_ns));
    if (e.ctx == KF_CTX_TASK)
      names_.append(out_, e.queuer_tid);
    else
      out_ += dump::context_name(e.ctx);
    if (const std::string cause = cause_text(e, names_); e.ctx != KF_CTX_TASK && !cause.empty()) put(out_, ", by {}", cause);
  }
  void operator()(const SignalEvent& e) const {
    static constexpr std::string_view kResults[] = {"", "ignored", "pending already", "lost", "lost"};
    put(out_, "sends {} to {}", dump::signal_name(e.signal), e.to_process ? "the process of " : "");
    names_.append(out_, e.target_tid);
    if (e.result != KF_SIGNAL_DELIVERED) put(out_, ", {}", word(kResults, e.result));
    if (e.ctx != KF_CTX_TASK) put(out_, ", from {}", dump::context_name(e.ctx));
  }
  void operator()(const LockWaitEvent& e) const {
    static constexpr std::string_view kLocks[] = {"lock", "mutex", "rt_mutex", "rwsem", "mmap_lock"};
    put(out_, "waits for {} {:#x}", word(kLocks, e.lock_kind), e.lock);
    if (e.owner_tid == 0) return;
    out_ += " held by ";
    names_.append(out_, e.owner_tid);
  }
  void operator()(const ThrottleEvent& e) const { put(out_, "is out of the CPU quota of cgroup {}", e.cgroup_id); }
  void operator()(const RefillEvent& e) const {
    put(out_, "group {:#x} has CPU quota again{}", e.group, e.some_wait ? ", on some CPUs" : "");
  }
  void operator()(const InterruptsEvent& e) const {
    const std::string name = dump::interrupt_name(e.cause, e.cause_detail);
    if (e.count == 1)
      put(out_, "interrupted by {} for {}", name, span_text(e.since_ns, e.ts_ns));
    else
      put(out_, "interrupted {} times for {} of the last {}, longest by {}", e.count, span_text(0, e.spent_ns),
          span_text(e.since_ns, e.ts_ns), name);
  }
  void operator()(const StackEvent& e) const {
    if (e.stack_tid != e.tid) names_.append(out_, e.stack_tid), out_ += ' ';
    out_ += dump::stack_role(e.role);
    if (e.kernel_stack != 0) put(out_, " kernel {:016x}", e.kernel_stack);
    if (e.user_stack != 0) put(out_, " user {:016x}", e.user_stack);
    if (e.kernel_lost) out_ += ", kernel stack lost";
    if (e.user_lost) out_ += ", user stack lost";
  }
  void operator()(const LossEvent& e) const {
    put(out_, "{} events of this cpu are missing since {} ({})", e.count == 0 ? "some" : format_count(e.count),
        clock_.relative(e.from_ns), dump::loss_reason(e.reason));
  }
  void operator()(const UnknownEvent& e) const {
    put(out_, "kind {}, {} words: a newer kflight may know it", e.generic_kind, e.words);
  }

 private:
  std::string& out_;
  const DumpClock& clock_;
  const ThreadNames& names_;
};

}  // namespace

void EventText::append_header(std::string& out) const {
  put(out, "{:>{}} {:>3} {:>7} {:<15} {:<12} {}\n", "TIME", absolute_ ? kWallColumns : kTimeColumns, "CPU", "TID",
      "COMM", "KIND", "DETAILS");
}

void EventText::append(std::string& out, const Event& event) {
  const EventHead& at = head(event);
  append_time(out, at.ts_ns);
  if (std::holds_alternative<LossEvent>(event))
    put(out, " {:>3} {:>7} {:<15} {:<12} ", at.cpu, "-", "-", "loss");
  else
    put(out, " {:>3} {:>7} {:<15} {:<12} ", at.cpu, at.tid, names_.of(at.tid), dump::doc_of(event).kind);
  std::visit(Details(out, clock_, names_), event);
  out += at.nested ? " (nested)\n" : "\n";
}

void EventText::append_time(std::string& out, std::uint64_t ts_ns) {
  if (absolute_) return clock_.append_wall(out, ts_ns);
  const std::size_t begin = out.size();
  DumpClock::append_relative(out, static_cast<std::int64_t>(ts_ns - clock_.end_ns()));
  if (out.size() - begin < kTimeColumns) out.insert(begin, kTimeColumns - (out.size() - begin), ' ');
}

}  // namespace kflight::cli
