// SPDX-License-Identifier: Apache-2.0
//
// waiting_stacks.hpp - the stacks of the target's threads that are in a long wait while a dump is written. The kernel side
// tells a thread's stacks when its wait has ended (stack.bpf.h); a dump of a call that hangs would be without the one that
// matters. A thread that sleeps changes nothing in its stack, so its user part is read from outside and counts when the
// thread has not run from before the reading until after it. To read it may block on the process's mmap_lock, perhaps for
// what the dump is about: a PatientThread does it, and a dump goes without what it does not bring in time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kflight/dump_format.h"
#include "kflight/wire.h"
#include "record/patient_thread.hpp"

namespace kflight::record {

struct WaitingStack {
  kf_waiter waiter{};
  // A record as the stack ring brings them; empty: the thread has no user side, or its memory could not be read, or not in time.
  std::vector<std::byte> user;
};

// Follows frame pointers in the process's memory, as the kernel does; a WaitingStack's `user`. May block.
std::vector<std::byte> read_user_stack(const kf_waiter& waiter, std::uint32_t max_frames);

using UserStackReader = std::function<std::vector<std::byte>(const kf_waiter& waiter)>;
std::vector<WaitingStack> read_waiting_stacks(PatientThread& thread, std::span<const kf_waiter> waiters,
                                              const UserStackReader& read);

// Of those that have not run until `tasks`, a snapshot taken after the reading.
std::vector<WaitingStack> still_waiting(std::vector<WaitingStack> stacks, std::span<const kf_task> tasks);

}  // namespace kflight::record
