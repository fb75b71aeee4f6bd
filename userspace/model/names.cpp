// SPDX-License-Identifier: Apache-2.0
#include "model/names.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>

#include "dump/syscalls.hpp"

namespace kflight::model {

namespace {

// What a first argument is, for naming what a wait is on.
enum class First : std::uint8_t { kNothing, kFd, kAddress, kPid };

struct KindRow {
  std::string_view call;
  WaitKind kind;
  First first = First::kNothing;
};

constexpr KindRow kKindRows[] = {
    {"futex", WaitKind::kFutex, First::kAddress},
    {"futex_wait", WaitKind::kFutex, First::kAddress},
    {"futex_waitv", WaitKind::kFutex},
    {"nanosleep", WaitKind::kSleep},
    {"clock_nanosleep", WaitKind::kSleep},
    {"epoll_wait", WaitKind::kPoll, First::kFd},
    {"epoll_pwait", WaitKind::kPoll, First::kFd},
    {"epoll_pwait2", WaitKind::kPoll, First::kFd},
    {"poll", WaitKind::kPoll},
    {"ppoll", WaitKind::kPoll},
    {"select", WaitKind::kPoll},
    {"pselect6", WaitKind::kPoll},
    {"recvfrom", WaitKind::kNetwork, First::kFd},
    {"recvmsg", WaitKind::kNetwork, First::kFd},
    {"recvmmsg", WaitKind::kNetwork, First::kFd},
    {"accept", WaitKind::kNetwork, First::kFd},
    {"accept4", WaitKind::kNetwork, First::kFd},
    {"connect", WaitKind::kNetwork, First::kFd},
    {"sendto", WaitKind::kNetwork, First::kFd},
    {"sendmsg", WaitKind::kNetwork, First::kFd},
    {"sendmmsg", WaitKind::kNetwork, First::kFd},
    {"wait4", WaitKind::kChild, First::kPid},
    {"waitid", WaitKind::kChild},
    {"fsync", WaitKind::kDisk, First::kFd},
    {"fdatasync", WaitKind::kDisk, First::kFd},
    {"sync", WaitKind::kDisk},
    {"syncfs", WaitKind::kDisk, First::kFd},
    {"msync", WaitKind::kDisk},
    {"sync_file_range", WaitKind::kDisk, First::kFd},
    {"pause", WaitKind::kSignal},
    {"rt_sigsuspend", WaitKind::kSignal},
    {"rt_sigtimedwait", WaitKind::kSignal},
    {"io_uring_enter", WaitKind::kAsyncIo, First::kFd},
    {"io_getevents", WaitKind::kAsyncIo},
    {"io_pgetevents", WaitKind::kAsyncIo},
    {"vfork", WaitKind::kVfork},
    {"read", WaitKind::kFile, First::kFd},
    {"write", WaitKind::kFile, First::kFd},
    {"readv", WaitKind::kFile, First::kFd},
    {"writev", WaitKind::kFile, First::kFd},
    {"pread64", WaitKind::kFile, First::kFd},
    {"pwrite64", WaitKind::kFile, First::kFd},
    {"preadv", WaitKind::kFile, First::kFd},
    {"pwritev", WaitKind::kFile, First::kFd},
    {"splice", WaitKind::kFile, First::kFd},
    {"sendfile", WaitKind::kFile, First::kFd},
};

constexpr std::string_view kSendCalls[] = {"sendto",  "sendmsg", "sendmmsg", "write",    "writev",  "sendfile",
                                           "connect", "close",   "shutdown", "pwrite64", "pwritev", "splice"};

struct CallFacts {
  const KindRow* row = nullptr;
  bool sends = false;
};

const CallFacts& facts_of(std::uint16_t nr) {
  static const auto kByNumber = [] {
    std::array<CallFacts, KF_SYS_TABLE> facts{};
    for (const KindRow& row : kKindRows)
      if (const auto number = dump::syscall_nr(row.call); number && *number < facts.size()) facts[*number].row = &row;
    for (std::string_view name : kSendCalls)
      if (const auto number = dump::syscall_nr(name); number && *number < facts.size()) facts[*number].sends = true;
    return facts;
  }();
  static const CallFacts kUnknownCall;
  return nr < kByNumber.size() ? kByNumber[nr] : kUnknownCall;
}

const KindRow* row_of(const Call& call) { return call.abi == KF_ABI_COMPAT ? nullptr : facts_of(call.nr).row; }

bool is_uninterruptible(std::uint8_t state) { return state == KF_ST_DISK || state == KF_ST_KILLABLE; }

// Not an rt_mutex: without PREEMPT_RT that is a futex, with it the state says so.
bool is_kernel_lock(IntervalNote::Kind kind) {
  using Kind = IntervalNote::Kind;
  return kind == Kind::kMutex || kind == Kind::kRwsem || kind == Kind::kMmapLock;
}

}  // namespace

std::string_view state_name(State state) {
  constexpr std::string_view kNames[] = {"unknown",   "not born", "running", "runnable",
                                         "throttled", "blocked",  "stopped", "exited"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string_view why_name(RunnableWhy why) {
  constexpr std::string_view kNames[] = {"woken", "preempted", "yielded", "new", "not woken", "quota refilled"};
  return kNames[static_cast<std::size_t>(why)];
}

WaitKind wait_kind(const Thread& thread, const Interval& blocked) {
  const Call* call = thread.call_of(blocked);
  if (blocked.detail == KF_ST_RTLOCK) return WaitKind::kKernelLock;
  const IntervalNote* note = thread.note_of(blocked);
  if (note && is_kernel_lock(note->kind)) return WaitKind::kKernelLock;
  const bool deep = is_uninterruptible(blocked.detail);
  if (deep && (blocked.flags & kIntervalIowait))
    return call || thread.is_kthread ? WaitKind::kDisk : WaitKind::kPageFault;
  if (const KindRow* row = call ? row_of(*call) : nullptr; row && !(deep && row->kind == WaitKind::kFile))
    return row->kind;
  if (deep) return WaitKind::kUninterruptible;
  return thread.is_kthread ? WaitKind::kKernelThread : WaitKind::kOther;
}

std::string_view wait_kind_name(WaitKind kind) {
  constexpr std::string_view kNames[] = {
      "wait",   "kernel lock", "disk",      "page fault", "futex",   "sleep",           "poll",          "network",
      "child",  "signal",      "async I/O", "vfork",      "file",    "uninterruptible", "kernel thread", "pipe",
      "socket", "eventfd",     "timerfd",   "signalfd",   "inotify", "terminal"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string wait_object(const Thread& thread, const Interval& blocked) {
  const Call* call = thread.call_of(blocked);
  return call ? describe_call(*call) : std::string(wait_kind_name(wait_kind(thread, blocked)));
}

std::string describe_call(const Call& call) {
  std::string name = dump::syscall_name(call.nr, call.abi);
  const KindRow* row = row_of(call);
  if (!row || call.args_taken == KF_ARGS_NONE) return name;
  switch (row->first) {
    case First::kFd:
      return fmt::format("{} fd {}", name, static_cast<std::int32_t>(call.arg0));
    case First::kAddress:
      return fmt::format("{} {:#x}", name, call.arg0);
    case First::kPid:
      return fmt::format("{} pid {}", name, static_cast<std::int32_t>(call.arg0));
    case First::kNothing:
      return name;
  }
  return name;
}

std::optional<std::uint32_t> descriptor_of(const Call& call) {
  const KindRow* row = row_of(call);
  const bool known = row && row->first == First::kFd && call.args_taken != KF_ARGS_NONE;
  return known ? std::optional(static_cast<std::uint32_t>(call.arg0)) : std::nullopt;
}

bool is_send_call(std::uint16_t nr) { return facts_of(nr).sends; }

bool waits_for_one_object(const Call& call) {
  const KindRow* row = row_of(call);
  return row && (row->kind == WaitKind::kFutex || row->kind == WaitKind::kPoll) && row->first != First::kNothing;
}

bool returned_timeout(const Call& call) {
  const KindRow* row = call.returned() ? row_of(call) : nullptr;
  if (!row) return false;
  switch (row->kind) {
    case WaitKind::kFutex:
      return call.ret == -ETIMEDOUT;
    case WaitKind::kPoll:
    case WaitKind::kSleep:
      return call.ret == 0;
    case WaitKind::kSignal:
      return call.ret == -EAGAIN && row->call == "rt_sigtimedwait";
    default:
      return false;
  }
}

std::int64_t timeout_ms(const Call& call) {
  const KindRow* row = row_of(call);
  if (!row) return -1;
  if (row->call == "poll" && call.args_taken >= KF_ARGS_012) return static_cast<std::int32_t>(call.arg2);
  const bool epoll = row->call == "epoll_wait" || row->call == "epoll_pwait";
  if (epoll && call.args_taken >= KF_ARGS_0123) return static_cast<std::int32_t>(call.arg3);
  return -1;
}

}  // namespace kflight::model
