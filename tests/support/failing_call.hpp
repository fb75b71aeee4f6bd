// SPDX-License-Identifier: Apache-2.0
//
// failing_call.hpp - a system call that fails, for a child process only: the kernel's own filter (seccomp) answers in its
// place, so the code under test is what runs in production.
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <optional>

namespace kflight::test {

struct FailingCall {
  int nr;     // SYS_fsync ...
  int error;  // errno
};

// Whether `body` returned true in a child process in which the call fails. Nothing where there is no seccomp.
template <class Body>
std::optional<bool> with_failing_call(FailingCall call, Body body) {
  constexpr int kTrue = 0, kFalse = 1, kNoFilter = 2;
  const pid_t child = ::fork();
  if (child == 0) {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call.nr), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(call.error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{sizeof code / sizeof code[0], code};
    const bool filtered = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                          ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
    ::_exit(!filtered ? kNoFilter : body() ? kTrue : kFalse);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return std::nullopt;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoFilter) return std::nullopt;
  return WIFEXITED(status) && WEXITSTATUS(status) == kTrue;
}

}  // namespace kflight::test
