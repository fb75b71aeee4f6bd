// SPDX-License-Identifier: Apache-2.0
//
// names.hpp - what the Timeline's states and waits are called, and of which kind a wait is: judged by the system call
// the thread was in and by the state it slept in. Pure functions; system call numbers are this machine's.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/thread_table.hpp"

namespace kflight::model {

std::string_view state_name(State state);
std::string_view why_name(RunnableWhy why);

// Append only: the names are part of the JSON reports.
enum class WaitKind : std::uint8_t {
  kOther,  // no system call, or one without a kind of its own
  kKernelLock,
  kDisk,
  kPageFault,  // data of a mapped file
  kFutex,
  kSleep,
  kPoll,  // poll, select, epoll
  kNetwork,
  kChild,  // for a child process to end
  kSignal,
  kAsyncIo,  // io_uring, aio
  kVfork,
  kFile,             // read and write of what may be a pipe, socket, terminal or file
  kUninterruptible,  // a lock or work inside the kernel
  kKernelThread,     // a kernel thread waits for work
  // Of kFile, where it is known what the descriptor was (descriptors.hpp).
  kPipe,
  kSocket,
  kEventfd,
  kTimerfd,
  kSignalfd,
  kInotify,
  kTerminal,
};

WaitKind wait_kind(const Thread& thread, const Interval& blocked);
std::string_view wait_kind_name(WaitKind kind);

// What a wait is on, as far as the call's first argument says: "futex 0x7f2c..", "read fd 7", "fsync fd 3",
// "nanosleep", "page fault", "disk", a kind's name where there is no call.
std::string wait_object(const Thread& thread, const Interval& blocked);

// "read fd 7", as wait_object() puts it.
std::string describe_call(const Call& call);
// The file descriptor that says what the call waits for.
std::optional<std::uint32_t> descriptor_of(const Call& call);

// Calls that hand data to a socket and may run the receiver's softirq on the way.
bool is_send_call(std::uint16_t nr);
// Its first argument says what it waits for, so that waiting for the same again can be told: futex and epoll.
bool waits_for_one_object(const Call& call);
// The wait of this call ended by its own timeout, says its result.
bool returned_timeout(const Call& call);
// Milliseconds a finite timeout allows, as far as the call holds it as a number; negative: unknown or infinite.
std::int64_t timeout_ms(const Call& call);

}  // namespace kflight::model
