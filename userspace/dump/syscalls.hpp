// SPDX-License-Identifier: Apache-2.0
//
// syscalls.hpp - what system calls are called, which of their arguments matter, and how to show one. Numbers are those
// of the architecture this was built for; a dump is read with the numbers of the machine that made it only when both
// are the same. Pure functions over constant tables: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kflight/wire.h"

namespace kflight::dump {

std::optional<std::uint32_t> syscall_nr(std::string_view name);
// "fsync"; "syscall_999" for one without a name; "x32:fsync", "compat:syscall_118" for other ABIs (the 32-bit table is
// not known by name).
std::string syscall_name(std::uint32_t nr, std::uint32_t abi = KF_ABI_NATIVE);
std::string_view nearest_syscall(std::string_view name);  // empty: nothing is close

// KF_ARGS_*: what is worth keeping of a native call that blocks. KF_ARGS_0 for a number without a name.
std::uint8_t args_class(std::uint32_t nr);
// Waiting is what the call is for (epoll_wait, accept, nanosleep, ...), whatever its arguments.
bool expected_to_block(std::uint32_t nr);
// Which of its arguments, from 0, is the first that is a file descriptor.
std::optional<std::size_t> fd_argument(std::uint32_t nr);
// A futex wait with a timeout: a timer or an idle worker, not a lock. `args` are the call's arguments from the first
// on; false when the one that decides is not among them.
bool timed_futex_wait(std::uint32_t nr, std::span<const std::uint64_t> args);

// "fsync(fd=7)", "futex(uaddr=0x7f.., FUTEX_WAIT_PRIVATE, val=2, timeout=0x0)". Arguments that `args` does not reach
// are shown as "...".
std::string describe_call(std::uint32_t nr, std::uint32_t abi, std::span<const std::uint64_t> args);
// The same from what an event keeps: only the arguments taken, "0x..89abcdef" where only the low half of one is known.
std::string describe_call(const kf_sys& sys);
// "= 3", "= -1 EAGAIN", "= ? ERESTARTSYS (interrupted)", "= 0x7f.." where the result is an address.
std::string describe_result(std::uint32_t nr, std::int64_t ret);

// For tests and listings: the call's arguments as the table writes them, empty when unknown.
std::string_view syscall_arguments(std::uint32_t nr);

}  // namespace kflight::dump
