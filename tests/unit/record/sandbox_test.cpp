// SPDX-License-Identifier: Apache-2.0
//
// sandbox_test.cpp - behind the filter, in child processes: what recording needs works, everything else is refused with
// ENOSYS and ends nothing, in threads from before and after.
#include "record/sandbox.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <functional>
#include <latch>
#include <thread>

#include "base/sinks.hpp"
#include "support/temp_dir.hpp"

namespace kflight::record {
namespace {

using testing::ExitedWithCode;

// In a child process: counts what is not as it should be, and says it on standard error.
class ChildVerdict {
 public:
  void expect(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "not so: %s: %m\n", what);
    ++failures_;
  }
  template <class Call>
  void expect_refused(const char* what, Call call) {
    errno = 0;
    expect(call() == -1 && errno == ENOSYS, what);
  }
  [[noreturn]] void end() const { ::_exit(failures_); }

 private:
  int failures_ = 0;
};

void restrict(ChildVerdict& verdict, pid_t command = 0) {
  const auto installed = install_syscall_filter(command);
  verdict.expect(installed.has_value(), installed ? "" : installed.error().what.c_str());
}

long load_program() {
  union bpf_attr none {};
  return ::syscall(SYS_bpf, BPF_PROG_LOAD, &none, sizeof none);
}

[[noreturn]] void try_what_is_refused() {
  ChildVerdict verdict;
  restrict(verdict);
  char* const words[] = {const_cast<char*>("/bin/true"), nullptr};
  verdict.expect_refused("execve", [&] { return ::execve(words[0], words, nullptr); });
  verdict.expect_refused("fork", [] { return ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); });
  verdict.expect_refused("clone3", [] { return ::syscall(SYS_clone3, nullptr, 0); });
  verdict.expect_refused("unshare", [] { return ::unshare(CLONE_NEWNS); });
  verdict.expect_refused("socket", [] { return ::socket(AF_INET, SOCK_STREAM, 0); });
  verdict.expect_refused("ptrace", [] { return ::syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0); });
  verdict.expect_refused("process_vm_readv", [] { return ::syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0); });
  verdict.expect_refused("process_vm_writev", [] { return ::syscall(SYS_process_vm_writev, 1, 0, 0, 0, 0, 0); });
  verdict.expect_refused("BPF_PROG_LOAD", load_program);
  verdict.expect_refused("perf_event_open", [] { return ::syscall(SYS_perf_event_open, nullptr, 0, 0, 0, 0); });
  verdict.expect_refused("init_module", [] { return ::syscall(SYS_init_module, nullptr, 0, nullptr); });
  verdict.expect_refused("setuid", [] { return ::syscall(SYS_setuid, 0); });
  verdict.expect_refused("chmod", [] { return ::chmod("/dev/null", 0666); });
  verdict.expect_refused("mount", [] { return ::syscall(SYS_mount, "x", "/", "tmpfs", 0, nullptr); });
  verdict.expect_refused("seccomp", [] { return ::syscall(SYS_seccomp, 0, 0, nullptr); });
  verdict.expect_refused("prctl", [] { return ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); });
  verdict.expect_refused("kill", [] { return ::kill(::getppid(), 0); });
  verdict.expect_refused("tgkill", [] { return ::syscall(SYS_tgkill, 1, 1, 0); });
  verdict.expect_refused("a call that no kernel has", [] { return ::syscall(4000); });
  rlimit limit{1, 1};
  verdict.expect_refused("setrlimit", [&] { return ::setrlimit(RLIMIT_CORE, &limit); });
  verdict.expect_refused("memory for code", [] {
    return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
  });
  verdict.expect(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == -1 && errno == ENOSYS, "prctl for questions");
  verdict.end();
}

TEST(Sandbox, RefusesWhatRecordingDoesNotNeed) { EXPECT_EXIT(try_what_is_refused(), ExitedWithCode(0), ""); }

[[noreturn]] void try_what_is_needed(const test::TempDir& directory) {
  ChildVerdict verdict;
  const UniqueFd event{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  restrict(verdict);
  for (int i = 0; i < 4; ++i) {  // each with a stack and an arena of its own, as the writer of a dump has
    std::thread([&] {
      std::vector<std::string> memory(1000, std::string(10'000, 'm'));
      memory.resize(10);
      auto file = AtomicFile::create(directory.path(), "a" + std::to_string(i));
      verdict.expect(file && file->write(std::as_bytes(std::span(memory[0]))) && file->commit(), "writing a file");
      ::pthread_setname_np(::pthread_self(), "named");
    }).join();
  }
  verdict.expect(test::read_text(directory.file("a0")).size() == 10'000, "reading it");
  verdict.expect(std::filesystem::remove(directory.file("a0")), "removing it");
  verdict.expect(::eventfd_write(event.get(), 1) == 0, "an event");
  pollfd polled{event.get(), POLLIN, 0};
  verdict.expect(::poll(&polled, 1, -1) == 1, "waiting for it");
  verdict.expect(::sysconf(_SC_NPROCESSORS_ONLN) > 0, "asking how many CPUs there are");
  void* big = ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  verdict.expect(big != MAP_FAILED && ::mprotect(big, 4096, PROT_READ) == 0 && ::munmap(big, 1 << 20) == 0, "memory");
  std::thread([] { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }).join();
  verdict.end();
}

TEST(Sandbox, LetsThroughWhatRecordingNeeds) {
  const test::TempDir directory;
  EXPECT_EXIT(try_what_is_needed(directory), ExitedWithCode(0), "");
  EXPECT_TRUE(directory.has("a3"));
}

[[noreturn]] void try_an_older_thread() {
  ChildVerdict verdict;
  std::latch filtered(1);
  std::thread older([&] {
    filtered.wait();
    verdict.expect_refused("socket in a thread from before", [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); });
  });
  restrict(verdict);
  filtered.count_down();
  older.join();
  verdict.end();
}

TEST(Sandbox, HoldsForThreadsFromBefore) {
  EXPECT_EXIT(try_an_older_thread(), ExitedWithCode(0), "");
}

[[noreturn]] void try_a_command() {
  ChildVerdict verdict;
  const pid_t command = ::fork();
  if (command == 0) {
    for (;;) ::pause();
  }
  restrict(verdict, command);
  int status = 0;
  verdict.expect(::kill(command, SIGTERM) == 0, "signalling the command");
  verdict.expect(::waitpid(command, &status, 0) == command && WIFSIGNALED(status), "reaping it");
  verdict.expect_refused("signalling somebody else", [] { return ::kill(::getppid(), 0); });
  verdict.end();
}

TEST(Sandbox, TheCommandCanBeSignalledNobodyElse) { EXPECT_EXIT(try_a_command(), ExitedWithCode(0), ""); }

TEST(Sandbox, AbortStillLeavesItsSignal) {
  EXPECT_EXIT(
      {
        ChildVerdict verdict;
        restrict(verdict);
        std::abort();
      },
      testing::KilledBySignal(SIGABRT), "");
}

// As on a kernel without seccomp: the first filter refuses the second.
[[noreturn]] void try_without_seccomp() {
  ChildVerdict verdict;
  restrict(verdict);
  const auto again = install_syscall_filter(0);
  verdict.expect(!again && again.error().code == Errc::kUnsupported, "an error");
  verdict.expect(!again && again.error().what.starts_with("cannot restrict the recorder's system calls: "),
                 "its words");
  verdict.expect(!try_sandbox(), "a sandbox that cannot be tried out");
  verdict.end();
}

TEST(Sandbox, WhereItCannotBeIsAnErrorAndNotAnEnd) {
  EXPECT_EXIT(try_without_seccomp(), ExitedWithCode(0), "");
}

TEST(Sandbox, CanBeTriedOutWithoutEnteringIt) {
  const auto tried = try_sandbox();
  EXPECT_TRUE(tried) << tried.error().what;
  EXPECT_TRUE(UniqueFd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)});
}

}  // namespace
}  // namespace kflight::record
