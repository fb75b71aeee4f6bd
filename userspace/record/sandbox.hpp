// SPDX-License-Identifier: Apache-2.0
//
// sandbox.hpp - what a recorder gives up when everything is attached: capabilities it needs no more, new privileges by
// exec (no_new_privs), and every system call that the steady state does not make (seccomp). A refused call fails with
// ENOSYS and is logged by the kernel; it ends nothing. Reasons are in docs/design.md.
#pragma once

#include <sys/types.h>

#include "kflight/result.hpp"

namespace kflight::record {

// Of the whole process: no_new_privs and the filter for all its threads at once, now and later. Capabilities are the
// business of each thread (keep_only_capabilities). There is no way back. `command` is the process after `--`, which
// may still be signalled; 0: there is none. kUnsupported when this kernel has no seccomp filters.
Result<> install_syscall_filter(pid_t command);

// Tries all of it out in a child process: privileges are given up, calls that are needed work, others are refused.
Result<> try_sandbox();

}  // namespace kflight::record
