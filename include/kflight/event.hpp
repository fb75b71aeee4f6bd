// SPDX-License-Identifier: Apache-2.0
//
// event.hpp - the typed events a dump decodes to. One struct per kind, an Event is the variant of all of them, and
// visit_all() does not compile until every kind is named. Times are CLOCK_BOOTTIME in nanoseconds. Thread ids are those
// of the initial PID namespace; tid 0 is the idle task. Plain values: safe to copy between threads, except the
// string_view of ExecEvent, which points into the dump.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <variant>

#include "kflight/wire.h"

namespace kflight {

// A thread's name as the kernel has it: any bytes but NUL, at most 15 of them. Escape before printing.
struct Comm {
  std::array<char, KF_COMM_BYTES> bytes{};
  std::string_view view() const noexcept { return {bytes.data(), ::strnlen(bytes.data(), bytes.size())}; }
  static Comm from(std::string_view text) noexcept {
    Comm comm;
    std::memcpy(comm.bytes.data(), text.data(), text.size() < KF_COMM_BYTES ? text.size() : KF_COMM_BYTES - 1);
    return comm;
  }
  friend bool operator==(const Comm& a, const Comm& b) noexcept { return a.view() == b.view(); }
};

// What every event has. `tid` is the task running on `cpu` when it happened: the actor in task context, merely the
// interrupted one otherwise.
struct EventHead {
  std::uint64_t ts_ns = 0;
  std::uint32_t tid = 0;
  std::uint16_t cpu = 0;
  bool nested = false;  // came from an interrupt that found the CPU's batch in use
};

// The CPU goes from prev_tid (= tid) to next_tid.
struct SwitchEvent : EventHead {
  std::uint32_t next_tid = 0;
  std::uint8_t prev_state = 0;  // KF_ST_*
  bool preempt = false;         // prev was preempted inside the kernel: it stays runnable whatever prev_state says
  bool in_iowait = false;
  bool throttled = false;       // prev's cgroup is out of CPU quota
  std::uint8_t nsw = 0;         // low 8 bits of prev's nvcsw + nivcsw
  bool has_sys = false;         // prev is inside a syscall, described by sys
  std::uint8_t prev_prio = KF_DEFAULT_PRIO;  // kernel priority: 0..99 real time (lower is better), 100..139 nice -20..19
  std::uint8_t next_prio = KF_DEFAULT_PRIO;
  std::uint8_t prev_policy = 0;  // SCHED_*
  std::uint8_t next_policy = 0;
  kf_sys sys{};
  std::uint64_t enter_ns = 0;   // when the call was entered; 0 when syscall entries are not traced for prev
};

// Somebody makes `wakee` runnable (sched_waking, in the waker's context).
struct WakingEvent : EventHead {
  std::uint32_t wakee = 0;
  std::uint8_t ctx = KF_CTX_TASK;      // KF_CTX_*
  std::uint8_t wakee_prio = KF_DEFAULT_PRIO;
  bool has_wakeup = false;             // the enqueue is known from this event: wakeup_ns, and target_cpu is the queue
  std::uint16_t target_cpu = 0;        // with has_wakeup the CPU it was put on, otherwise the one it last ran on
  std::uint64_t wakeup_ns = 0;
  std::uint16_t waker_nr = KF_WAKER_NO_SYS;  // syscall the current task is in, KF_WAKER_NO_SYS, KF_WAKER_BIG_NR
  std::uint8_t cause = KF_CAUSE_NONE;  // KF_CAUSE_*
  std::uint8_t cause_words = 0;
  std::uint32_t cause_detail = 0;
  std::array<std::uint64_t, 2> cause_args{};
};

// `wakee` is put on the queue of target_cpu (sched_wakeup that could not be merged, or sched_wakeup_new).
struct WakeupEvent : EventHead {
  std::uint32_t wakee = 0;
  std::uint16_t target_cpu = 0;
  bool is_new = false;
  bool throttled = false;
};

struct MigrateEvent : EventHead {
  std::uint32_t migrated_tid = 0;
  std::uint16_t orig_cpu = 0;
  std::uint16_t dest_cpu = 0;
};

struct ForkEvent : EventHead {
  std::uint32_t parent_tid = 0;
  std::uint32_t child_tid = 0;
  std::uint32_t child_tgid = 0;
  bool is_thread = false;
  std::uint64_t child_start_ns = 0;  // start_boottime: with the tid the thread's identity
  std::uint64_t cgroup_id = 0;
  Comm comm;
};

struct ExecEvent : EventHead {
  std::uint32_t new_tid = 0;
  std::uint32_t old_tid = 0;  // differs from new_tid when a thread that was not the leader called exec
  Comm comm;
  std::string_view filename;  // points into the dump; cut at KF_FILENAME_BYTES
};

// Not yet the end of its life: that is the switch-out with KF_ST_DEAD.
struct ExitEvent : EventHead {
  std::uint32_t exiting_tid = 0;
  bool group_dead = false;    // the last thread of its process
  std::uint32_t exit_code = 0;  // wait(2) status
};

struct RenameEvent : EventHead {
  std::uint32_t renamed_tid = 0;
  Comm comm;
};

// A finished call of the current task; ts_ns is its exit.
struct SyscallEvent : EventHead {
  std::uint32_t nr = 0;
  std::uint8_t abi = KF_ABI_NATIVE;
  bool was_switched_out = false;
  bool has_args = false;
  kf_sys sys{};                 // with has_args; nr and abi are repeated there
  std::uint64_t enter_ns = 0;   // 0: the entry was not seen
  std::int64_t ret = 0;
};

// The current task is in this call while a dump flushes the CPU. Its SyscallEvent or SwitchEvent comes later.
struct SyscallOpenEvent : EventHead {
  kf_sys sys{};
  std::uint64_t enter_ns = 0;
};

// A step of a request to a block device; in task context `tid` takes it: at an insert, or an issue without one before it,
// the submitter.
struct BlockEvent : EventHead {
  std::uint8_t phase = KF_BLOCK_INSERT;  // KF_BLOCK_*
  std::uint8_t op = 0;                   // REQ_OP_* of include/linux/blk_types.h
  std::uint8_t ctx = KF_CTX_TASK;
  bool failed = false;
  std::uint64_t request = 0;  // the same for all steps of one request, reused after its completion
  std::uint32_t dev = 0;      // major << 20 | minor
  std::uint32_t bytes = 0;
  std::uint64_t sector = 0;   // of 512 bytes
};

// The kworker `tid` executes a work item that is about to wake somebody or to hand a request to a device.
struct WorkEvent : EventHead {
  std::uint64_t function = 0;   // address; Dump::kernel_symbols() has the names
  std::uint64_t started_ns = 0;
  std::uint64_t queued_ns = 0;  // 0: not known, and nothing below
  std::uint32_t queuer_tid = 0; // current task when it was queued: the queuer, when ctx is a task's
  std::uint8_t ctx = KF_CTX_TASK;
  std::uint16_t queue_cpu = 0;  // where it was queued
  std::uint16_t queuer_nr = KF_WAKER_NO_SYS;
  std::uint8_t cause = KF_CAUSE_NONE;  // of an interrupt that queued it, as in WakingEvent
  std::uint32_t cause_detail = 0;
  std::array<std::uint64_t, 2> cause_args{};
};

// `tid` sends a signal, when ctx is a task's. Whom it woke was woken just before.
struct SignalEvent : EventHead {
  std::uint32_t target_tid = 0;
  std::uint32_t target_tgid = 0;
  std::uint8_t signal = 0;
  std::uint8_t result = 0;  // 0 delivered, 1 ignored, 2 pending already, 3 and 4 lost
  std::uint8_t ctx = KF_CTX_TASK;
  bool to_process = false;  // any of its threads may take it
};

// `tid` is about to block on a lock inside the kernel.
struct LockWaitEvent : EventHead {
  std::uint32_t owner_tid = 0;  // 0: not known
  std::uint8_t lock_kind = 0;   // KF_LOCK_*
  std::uint64_t lock = 0;
};

// `tid` is about to leave the CPU because its group's CPU quota is used up.
struct ThrottleEvent : EventHead {
  std::uint64_t group = 0;      // repeated by the group's RefillEvent
  std::uint64_t cgroup_id = 0;
};

// A group has CPU quota again.
struct RefillEvent : EventHead {
  std::uint64_t group = 0;
  bool some_wait = false;  // not for all its CPUs
};

// Interrupts took time from `tid` in its present turn on the CPU, from since_ns until now: all of it when count is 1.
struct InterruptsEvent : EventHead {
  std::uint64_t since_ns = 0;
  std::uint64_t spent_ns = 0;
  std::uint32_t count = 0;
  std::uint8_t cause = KF_CAUSE_NONE;  // of the longest: KF_CAUSE_IRQ, _SOFTIRQ, or _IPI for the local timer
  std::uint16_t cause_detail = 0;      // its number or vector
};

// Where stack_tid was: when it left the CPU to wait (ts_ns is its switch's), when it woke somebody (ts_ns is the
// waking's), while it ran, or, role KF_STACK_WAITED, while it waited for long since since_ns: in a wait that ends at ts_ns,
// or, see of_call(), in a timed call that ends at ts_ns. The stacks are in Dump::stacks(), under these ids; 0: there is
// none.
struct StackEvent : EventHead {
  std::uint32_t stack_tid = 0;
  std::uint8_t role = KF_STACK_BLOCK;  // KF_STACK_*
  bool kernel_lost = false;            // there was no room for it in the kernel's buffer
  bool user_lost = false;
  std::uint64_t kernel_stack = 0;
  std::uint64_t user_stack = 0;
  std::uint64_t since_ns = 0;          // of role KF_STACK_WAITED: when the wait, or the call, began; else 0

  // The user stack, without a kernel stack, of all waits in a call.
  bool of_call() const noexcept { return role == KF_STACK_WAITED && kernel_stack == 0 && !kernel_lost; }
};

// Events of `cpu` are missing. ts_ns is the end of the hole; it begins at from_ns.
struct LossEvent : EventHead {
  std::uint64_t from_ns = 0;
  std::uint64_t count = 0;      // events lost; 0 when the number is not known (damaged file)
  std::uint8_t reason = 0;      // 0 ring full, 1 nested record lost, 2 damaged part of the file
};

// A kind this reader does not know.
struct UnknownEvent : EventHead {
  std::uint8_t generic_kind = 0;
  std::uint8_t words = 0;
};

using Event = std::variant<SwitchEvent, WakingEvent, WakeupEvent, MigrateEvent, ForkEvent, ExecEvent, ExitEvent,
                           RenameEvent, SyscallEvent, SyscallOpenEvent, BlockEvent, WorkEvent, SignalEvent, LockWaitEvent,
                           ThrottleEvent, RefillEvent, InterruptsEvent, StackEvent, LossEvent, UnknownEvent>;

inline const EventHead& head(const Event& event) {
  return std::visit([](const auto& e) -> const EventHead& { return e; }, event);
}

template <class... Fs>
struct overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
overloaded(Fs...) -> overloaded<Fs...>;

// Calls the one of fs that takes the event's type; kinds that none of them takes are ignored.
template <class... Fs>
void visit(const Event& event, Fs&&... fs) {
  auto visitor = overloaded{std::forward<Fs>(fs)...};
  std::visit(
      [&](const auto& e) {
        if constexpr (std::is_invocable_v<decltype(visitor)&, decltype(e)>) visitor(e);
      },
      event);
}

// The same, but does not compile until every kind is taken.
template <class... Fs>
decltype(auto) visit_all(const Event& event, Fs&&... fs) {
  return std::visit(overloaded{std::forward<Fs>(fs)...}, event);
}

}  // namespace kflight
