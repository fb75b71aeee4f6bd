// SPDX-License-Identifier: Apache-2.0
//
// schema.hpp - every field of every typed event, named once: what it is called, what it means, where it is. Types and
// places come from the structs of event.hpp; an event without an entry, or a field left out, does not compile. JSON and
// text output, the dump's own description and docs/events.md follow from this table. Not for hot paths: those use
// visit() and the structs. About 400 lines: every field has one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <variant>

#include "kflight/event.hpp"

namespace kflight::dump {

// How a value is to be read and printed.
enum class Meaning : std::uint8_t {
  kTime,  // CLOCK_BOOTTIME ns; 0 where the doc says "not known"
  kTid,   // thread id, 0 the idle task
  kTgid,  // process id
  kCpu,
  kFlag,     // false in most events: text output may leave it out then
  kState,    // KF_ST_*
  kPrio,     // kernel priority
  kPolicy,   // SCHED_*
  kContext,  // KF_CTX_*
  kSyscall,  // number in the table that the event's abi names
  kAbi,      // KF_ABI_*
  kCall,     // a kf_sys: number, abi, arguments
  kResult,   // of a call: negative errno or value
  kCause,    // KF_CAUSE_*
  kLoss,     // why events are missing
  kRole,     // KF_STACK_*: why a stack was taken
  kStack,    // id of a stack, 0 none
  kStatus,   // as from wait(2)
  kPhase,    // KF_BLOCK_*
  kBlockOp,  // REQ_OP_*
  kDevice,   // major << 20 | minor
  kSignal,   // signal number
  kText,
  kCount,
  kNumber,  // anything else
};

struct FieldInfo {
  std::string_view name;
  Meaning meaning;
  std::string_view doc;
};

struct EventDoc {
  std::string_view kind;   // the event's name in all text formats
  std::uint8_t word_kind;  // KF_EV_* of its first word; 0: found by the reader, not recorded
  std::uint8_t generic_kind;
  std::string_view doc;
};

template <class Owner, class T>
struct Field {
  using Type = T;
  T Owner::*member;
  FieldInfo info;
};
template <class Owner, class T>
constexpr Field<Owner, T> field(T Owner::*member, std::string_view name, Meaning meaning, std::string_view doc) {
  return {member, {name, meaning, doc}};
}

// ------------------------------------------------------------------------------------------------------ the table

using M = Meaning;

template <class E>
struct Schema;  // one per kind of event: doc, fields

template <>
struct Schema<EventHead> {
  static constexpr auto fields = std::tuple(
      field(&EventHead::ts_ns, "ts_ns", M::kTime, "when it happened"),
      field(&EventHead::tid, "tid", M::kTid,
            "task running on the CPU: the one that acted in task context, merely the interrupted one otherwise"),
      field(&EventHead::cpu, "cpu", M::kCpu, "where it happened"),
      field(&EventHead::nested, "nested", M::kFlag, "seen in an interrupt that had interrupted the recorder itself"));
};

template <>
struct Schema<SwitchEvent> {
  using E = SwitchEvent;
  static constexpr EventDoc doc{"switch", KF_EV_SWITCH, 0, "The CPU goes from tid to next_tid."};
  static constexpr auto fields = std::tuple(
      field(&E::next_tid, "next_tid", M::kTid, "task that runs from now on"),
      field(&E::prev_state, "prev_state", M::kState, "state in which tid leaves the CPU"),
      field(&E::preempt, "preempt", M::kFlag, "tid was preempted inside the kernel: runnable whatever prev_state says"),
      field(&E::in_iowait, "in_iowait", M::kFlag, "tid waits for I/O"),
      field(&E::throttled, "throttled", M::kFlag, "the CPU quota of tid's cgroup is used up"),
      field(&E::nsw, "nsw", M::kNumber, "low 8 bits of tid's count of switches: grows by one each time"),
      field(&E::has_sys, "has_sys", M::kFlag, "tid is inside the system call sys"),
      field(&E::prev_prio, "prev_prio", M::kPrio, "priority of tid"),
      field(&E::next_prio, "next_prio", M::kPrio, "priority of next_tid"),
      field(&E::prev_policy, "prev_policy", M::kPolicy, "scheduling policy of tid"),
      field(&E::next_policy, "next_policy", M::kPolicy, "scheduling policy of next_tid"),
      field(&E::sys, "sys", M::kCall, "the call tid is in, with has_sys"),
      field(&E::enter_ns, "enter_ns", M::kTime, "when that call was entered; 0: not known"));
};

template <>
struct Schema<WakingEvent> {
  using E = WakingEvent;
  static constexpr EventDoc doc{"waking", KF_EV_WAKING, 0,
                                "Somebody makes wakee runnable; tid is the waker if ctx is task."};
  static constexpr auto fields = std::tuple(
      field(&E::wakee, "wakee", M::kTid, "thread that is woken"),
      field(&E::ctx, "ctx", M::kContext, "what the CPU was doing: task, softirq, hardirq, nmi"),
      field(&E::wakee_prio, "wakee_prio", M::kPrio, "priority of wakee"),
      field(&E::has_wakeup, "has_wakeup", M::kFlag, "the enqueue is known too: wakeup_ns, on target_cpu"),
      field(&E::target_cpu, "target_cpu", M::kCpu, "queue wakee was put on; without has_wakeup the CPU it last ran on"),
      field(&E::wakeup_ns, "wakeup_ns", M::kTime, "when wakee was put on the queue; 0: not known"),
      field(&E::waker_nr, "waker_nr", M::kSyscall, "call tid is in; 4095 none, 4094 a number that does not fit"),
      field(&E::cause, "cause", M::kCause, "what the waking CPU was handling; 0: nothing noted"),
      field(&E::cause_words, "cause_words", M::kCount, "how many of cause_args mean something"),
      field(&E::cause_detail, "cause_detail", M::kNumber, "depends on cause"),
      field(&E::cause_args, "cause_args", M::kNumber, "depends on cause"));
};

template <>
struct Schema<WakeupEvent> {
  using E = WakeupEvent;
  static constexpr EventDoc doc{"wakeup", KF_EV_WAKEUP, 0, "wakee is put on the queue of target_cpu."};
  static constexpr auto fields =
      std::tuple(field(&E::wakee, "wakee", M::kTid, "thread that now waits for a CPU"),
                 field(&E::target_cpu, "target_cpu", M::kCpu, "the CPU it waits for"),
                 field(&E::is_new, "is_new", M::kFlag, "its first wakeup, by its parent tid"),
                 field(&E::throttled, "throttled", M::kFlag, "the CPU quota of its cgroup is used up"));
};

template <>
struct Schema<MigrateEvent> {
  using E = MigrateEvent;
  static constexpr EventDoc doc{"migrate", KF_EV_GENERIC, KF_GEN_MIGRATE, "A queued or running thread changes CPU."};
  static constexpr auto fields = std::tuple(field(&E::migrated_tid, "migrated_tid", M::kTid, "thread that moves"),
                                            field(&E::orig_cpu, "orig_cpu", M::kCpu, "from here"),
                                            field(&E::dest_cpu, "dest_cpu", M::kCpu, "to there"));
};

template <>
struct Schema<ForkEvent> {
  using E = ForkEvent;
  static constexpr EventDoc doc{"fork", KF_EV_GENERIC, KF_GEN_FORK, "A thread or process is created."};
  static constexpr auto fields = std::tuple(
      field(&E::parent_tid, "parent_tid", M::kTid, "thread that created it"),
      field(&E::child_tid, "child_tid", M::kTid, "the new thread"),
      field(&E::child_tgid, "child_tgid", M::kTgid, "its process"),
      field(&E::is_thread, "is_thread", M::kFlag, "a thread of its parent's process"),
      field(&E::child_start_ns, "child_start_ns", M::kTime, "start time: with the tid the thread's identity"),
      field(&E::cgroup_id, "cgroup_id", M::kNumber, "its cgroup"), field(&E::comm, "comm", M::kText, "its name"));
};

template <>
struct Schema<ExecEvent> {
  using E = ExecEvent;
  static constexpr EventDoc doc{"exec", KF_EV_GENERIC, KF_GEN_EXEC, "A process runs another program."};
  static constexpr auto fields =
      std::tuple(field(&E::new_tid, "new_tid", M::kTid, "tid after the exec: its process's id"),
                 field(&E::old_tid, "old_tid", M::kTid, "tid before it; differs when not the first thread called exec"),
                 field(&E::comm, "comm", M::kText, "new name"),
                 field(&E::filename, "filename", M::kText, "program as it was asked for, at most 127 bytes"));
};

template <>
struct Schema<ExitEvent> {
  using E = ExitEvent;
  static constexpr EventDoc doc{"exit", KF_EV_GENERIC, KF_GEN_EXIT,
                                "A thread begins to exit; the switch with state dead is its end."};
  static constexpr auto fields =
      std::tuple(field(&E::exiting_tid, "exiting_tid", M::kTid, "thread that exits"),
                 field(&E::group_dead, "group_dead", M::kFlag, "the last one of its process"),
                 field(&E::exit_code, "exit_code", M::kStatus, "status as wait(2) gives it"));
};

template <>
struct Schema<RenameEvent> {
  using E = RenameEvent;
  static constexpr EventDoc doc{"rename", KF_EV_GENERIC, KF_GEN_RENAME, "A thread gets another name."};
  static constexpr auto fields = std::tuple(field(&E::renamed_tid, "renamed_tid", M::kTid, "thread that is renamed"),
                                            field(&E::comm, "comm", M::kText, "new name"));
};

template <>
struct Schema<SyscallEvent> {
  using E = SyscallEvent;
  static constexpr EventDoc doc{"syscall", KF_EV_SYSCALL, 0, "A system call of tid has returned, at ts_ns."};
  static constexpr auto fields = std::tuple(
      field(&E::nr, "nr", M::kSyscall, "which call"), field(&E::abi, "abi", M::kAbi, "which table nr belongs to"),
      field(&E::was_switched_out, "was_switched_out", M::kFlag, "tid left the CPU during the call"),
      field(&E::has_args, "has_args", M::kFlag, "sys holds the call's arguments"),
      field(&E::sys, "sys", M::kCall, "the call again, with its arguments"),
      field(&E::enter_ns, "enter_ns", M::kTime, "when it began; 0: not known"),
      field(&E::ret, "ret", M::kResult, "what it returned"));
};

template <>
struct Schema<SyscallOpenEvent> {
  using E = SyscallOpenEvent;
  static constexpr EventDoc doc{"syscall_open", KF_EV_GENERIC, KF_GEN_SYSCALL_OPEN,
                                "While a dump collected this CPU's events, tid was inside this call."};
  static constexpr auto fields = std::tuple(field(&E::sys, "sys", M::kCall, "the call"),
                                            field(&E::enter_ns, "enter_ns", M::kTime, "when it began; 0: not known"));
};

template <>
struct Schema<BlockEvent> {
  using E = BlockEvent;
  static constexpr EventDoc doc{"block", KF_EV_GENERIC, KF_GEN_BLOCK,
                                "A step of a request to a block device; tid takes it if ctx is task."};
  static constexpr auto fields = std::tuple(
      field(&E::phase, "phase", M::kPhase, "0 insert into the scheduler's queue, 1 issue to the driver, 2 complete"),
      field(&E::op, "op", M::kBlockOp, "what is asked of the device: 0 read, 1 write, 2 flush, 3 discard, ..."),
      field(&E::ctx, "ctx", M::kContext, "what the CPU was doing: task, softirq, hardirq, nmi"),
      field(&E::failed, "failed", M::kFlag, "it completes with an error"),
      field(&E::request, "request", M::kNumber, "the same for all steps of one request, reused after its completion"),
      field(&E::dev, "dev", M::kDevice, "major << 20 | minor"),
      field(&E::bytes, "bytes", M::kCount, "how much; at a completion what is done by it"),
      field(&E::sector, "sector", M::kNumber, "where on the device, in units of 512 bytes"));
};

template <>
struct Schema<WorkEvent> {
  using E = WorkEvent;
  static constexpr EventDoc doc{"work", KF_EV_GENERIC, KF_GEN_WORK,
                                "The kworker tid executes a work item whose next event wakes somebody or hands a "
                                "request to a device; once per execution."};
  static constexpr auto fields = std::tuple(
      field(&E::function, "function", M::kNumber, "address of its function; KERNEL_SYMBOLS has its name"),
      field(&E::started_ns, "started_ns", M::kTime, "when the execution began"),
      field(&E::queued_ns, "queued_ns", M::kTime,
            "when it was queued; 0: not known, and no field below means anything"),
      field(&E::queuer_tid, "queuer_tid", M::kTid, "task that queued it if ctx is task, merely interrupted otherwise"),
      field(&E::ctx, "ctx", M::kContext, "what the queuing CPU was doing: task, softirq, hardirq, nmi"),
      field(&E::queue_cpu, "queue_cpu", M::kCpu, "the CPU that queued it"),
      field(&E::queuer_nr, "queuer_nr", M::kSyscall,
            "call queuer_tid was in; 4095 none, 4094 a number that does not fit"),
      field(&E::cause, "cause", M::kCause, "what the queuing CPU was handling; 0: nothing noted"),
      field(&E::cause_detail, "cause_detail", M::kNumber, "depends on cause"),
      field(&E::cause_args, "cause_args", M::kNumber, "depends on cause"));
};

template <>
struct Schema<SignalEvent> {
  using E = SignalEvent;
  static constexpr EventDoc doc{"signal", KF_EV_GENERIC, KF_GEN_SIGNAL,
                                "tid has sent a signal if ctx is task; whom it woke was woken just before."};
  static constexpr auto fields =
      std::tuple(field(&E::target_tid, "target_tid", M::kTid, "thread it is sent to"),
                 field(&E::target_tgid, "target_tgid", M::kTgid, "that thread's process"),
                 field(&E::signal, "signal", M::kSignal, "its number"),
                 field(&E::result, "result", M::kNumber, "0 delivered, 1 ignored, 2 pending already, 3 and 4 lost"),
                 field(&E::ctx, "ctx", M::kContext, "what the CPU was doing: task, softirq, hardirq, nmi"),
                 field(&E::to_process, "to_process", M::kFlag, "any thread of the process may take it"));
};

template <>
struct Schema<LockWaitEvent> {
  using E = LockWaitEvent;
  static constexpr EventDoc doc{"lock_wait", KF_EV_GENERIC, KF_GEN_LOCK_WAIT,
                                "tid is about to block on a lock inside the kernel; its switch follows."};
  static constexpr auto fields =
      std::tuple(field(&E::owner_tid, "owner_tid", M::kTid, "thread that holds the lock; 0: not known"),
                 field(&E::lock_kind, "lock_kind", M::kNumber, "1 mutex, 2 rt_mutex (PI futex, locks of PREEMPT_RT), 3 rwsem, 4 mmap_lock of its process (a rwsem)"),
                 field(&E::lock, "lock", M::kNumber, "address of the lock"));
};

template <>
struct Schema<ThrottleEvent> {
  using E = ThrottleEvent;
  static constexpr EventDoc doc{"throttle", KF_EV_GENERIC, KF_GEN_THROTTLE,
                                "tid is about to leave the CPU: the CPU quota of its group is used up; its switch "
                                "follows."};
  static constexpr auto fields =
      std::tuple(field(&E::group, "group", M::kNumber, "which group: the same in its refill"),
                 field(&E::cgroup_id, "cgroup_id", M::kNumber, "the group's cgroup"));
};

template <>
struct Schema<RefillEvent> {
  using E = RefillEvent;
  static constexpr EventDoc doc{"refill", KF_EV_GENERIC, KF_GEN_REFILL, "A group has CPU quota again."};
  static constexpr auto fields =
      std::tuple(field(&E::group, "group", M::kNumber, "which group: the same in throttle events"),
                 field(&E::some_wait, "some_wait", M::kFlag, "some of its CPUs have to wait on"));
};

template <>
struct Schema<InterruptsEvent> {
  using E = InterruptsEvent;
  static constexpr EventDoc doc{"interrupts", KF_EV_GENERIC, KF_GEN_INTERRUPTS,
                                "Interrupts took time from tid while it had the CPU, in one turn; told of once they come "
                                "to 20 us."};
  static constexpr auto fields =
      std::tuple(field(&E::since_ns, "since_ns", M::kTime, "when the first of them began"),
                 field(&E::spent_ns, "spent_ns", M::kNumber, "ns that they took together"),
                 field(&E::count, "count", M::kCount, "how many"),
                 field(&E::cause, "cause", M::kCause, "what the longest of them was"),
                 field(&E::cause_detail, "cause_detail", M::kNumber, "its number or vector"));
};

template <>
struct Schema<StackEvent> {
  using E = StackEvent;
  static constexpr EventDoc doc{"stack", KF_EV_GENERIC, KF_GEN_STACK,
                                "Where stack_tid was in its program and in the kernel."};
  static constexpr auto fields = std::tuple(
      field(&E::stack_tid, "stack_tid", M::kTid, "whose stacks"),
      field(
          &E::role, "role", M::kRole,
          "0 it left the CPU to wait, with the switch at ts_ns; 1 it woke somebody, with the waking at ts_ns; 2 it was "
          "running; 3 it waited for long: with a kernel stack (or kernel_lost) in the wait that ends at ts_ns, without one "
          "in all waits of the call that ends at ts_ns"),
      field(&E::kernel_lost, "kernel_lost", M::kFlag, "there was no room for its kernel stack"),
      field(&E::user_lost, "user_lost", M::kFlag, "there was no room for its user stack"),
      field(&E::kernel_stack, "kernel_stack", M::kStack, "id of its kernel stack; 0: none"),
      field(&E::user_stack, "user_stack", M::kStack, "id of its user stack; 0: none"),
      field(&E::since_ns, "since_ns", M::kTime, "of role 3: when that wait, or that call, began; else 0"));
};

template <>
struct Schema<LossEvent> {
  using E = LossEvent;
  static constexpr EventDoc doc{"loss", 0, 0, "Events of this CPU are missing between from_ns and ts_ns."};
  static constexpr auto fields =
      std::tuple(field(&E::from_ns, "from_ns", M::kTime, "where the hole begins"),
                 field(&E::count, "count", M::kCount, "how many events; 0: not known"),
                 field(&E::reason, "reason", M::kLoss, "0 ring full, 1 nested event lost, 2 the file is damaged"));
};

template <>
struct Schema<UnknownEvent> {
  using E = UnknownEvent;
  static constexpr EventDoc doc{"unknown", 0, 0, "An event this version cannot read: a newer kind, or a broken one."};
  static constexpr auto fields = std::tuple(field(&E::generic_kind, "generic_kind", M::kNumber, "its kind"),
                                            field(&E::words, "words", M::kCount, "its length in 8-byte words"));
};

// ------------------------------------------------------------------------------------------------------ using it

// Calls fn(FieldInfo, value) for every field of the event, those of its head first.
template <class E, class F>
constexpr void for_each_field(const E& event, F&& fn) {
  const auto each = [&](const auto&... f) { (fn(f.info, event.*f.member), ...); };
  std::apply(each, Schema<EventHead>::fields);
  std::apply(each, Schema<E>::fields);
}
template <class F>
void for_each_field(const Event& event, F&& fn) {
  std::visit([&](const auto& e) { for_each_field(e, fn); }, event);
}

inline const EventDoc& doc_of(const Event& event) {
  return std::visit([](const auto& e) -> const EventDoc& { return Schema<std::decay_t<decltype(e)>>::doc; }, event);
}

// The SCHEMA section of a dump, and docs/events.md.
std::string schema_json();
std::string schema_markdown();

// ------------------------------------------------------------------------------------------------------ coverage

namespace schema_check {

struct Anything {
  template <class T>
  operator T() const;  // never defined: only asked whether it would convert
};

template <class E, std::size_t... I>
constexpr bool takes(std::index_sequence<I...>) {
  return requires { E{EventHead{}, (static_cast<void>(I), Anything{})...}; };
}
// How many members E adds to its head: as many as its braces accept.
template <class E, std::size_t N = 0>
constexpr std::size_t member_count() {
  if constexpr (takes<E>(std::make_index_sequence<N + 1>{}))
    return member_count<E, N + 1>();
  else
    return N;
}

template <class E>
constexpr bool every_field_named = std::tuple_size_v<decltype(Schema<E>::fields)> == member_count<E>();

template <class>
struct Check;
template <class... Es>
struct Check<std::variant<Es...>> {
  static_assert((every_field_named<Es> && ...), "a field of an event is missing in its Schema");
};
template struct Check<Event>;

}  // namespace schema_check

}  // namespace kflight::dump
