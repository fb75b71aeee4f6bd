// SPDX-License-Identifier: Apache-2.0
//
// Calls are named, not numbered, so that one list serves all architectures and every age of the C library; a name that
// libseccomp does not know on this architecture is left out.
#include "record/sandbox.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <span>

#include "base/errors.hpp"
#include "base/unique_fd.hpp"
#include "record/privileges.hpp"

namespace kflight::record {

namespace {

constexpr std::uint32_t kRefuse = SCMP_ACT_ERRNO(ENOSYS);

// Whatever their arguments. None starts a process or a program, opens a socket, or changes an identity, a mount, a
// namespace or a module.
constexpr const char* kAllowed[] = {
    // reading and writing; names of files
    "read", "write", "readv", "writev", "pread64", "pwrite64", "lseek", "_llseek", "close", "open", "openat", "fcntl",
    "fcntl64", "fstat", "stat", "lstat", "newfstatat", "fstat64", "fstatat64", "stat64", "lstat64", "statx", "fstatfs",
    "statfs", "readlink", "readlinkat", "access", "faccessat", "faccessat2", "getdents64", "getcwd", "fsync",
    "fdatasync", "msync", "ftruncate", "fallocate", "flock", "unlink", "unlinkat", "rename", "renameat", "renameat2",
    "link", "linkat",
    // memory, but for what makes code (see below)
    "brk", "munmap", "mremap", "madvise", "membarrier",
    // threads of this process, and its end
    "futex", "futex_time64", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "gettid", "getpid", "exit",
    "exit_group", "restart_syscall", "capget", "capset",
    // signals
    "rt_sigprocmask", "rt_sigaction", "rt_sigreturn", "sigreturn", "sigaltstack", "wait4", "waitid",
    // waiting
    "poll", "ppoll", "ppoll_time64", "epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "nanosleep",
    "clock_nanosleep", "clock_nanosleep_time64",
    // the control socket and the service manager's, both open already
    "accept", "accept4", "recvfrom", "recvmsg", "sendto", "sendmsg", "getsockopt", "shutdown",
    // questions
    "clock_gettime", "clock_gettime64", "clock_getres", "gettimeofday", "time", "getrusage", "getrlimit", "sysinfo",
    "uname", "getrandom", "getcpu", "getuid", "geteuid", "getgid", "getegid"};

// What the C library tries first and does without: refused like the rest, but not worth a line in the log.
constexpr const char* kQuietlyRefused[] = {"clone3"};  // its flags are in memory, where no filter can see them

constexpr std::uint32_t kBpfCommands[] = {BPF_MAP_LOOKUP_ELEM,  BPF_MAP_UPDATE_ELEM,   BPF_MAP_DELETE_ELEM,
                                          BPF_MAP_GET_NEXT_KEY, BPF_MAP_LOOKUP_BATCH,  BPF_PROG_TEST_RUN,
                                          BPF_ITER_CREATE,      BPF_OBJ_GET_INFO_BY_FD};

struct Release {
  void operator()(void* filter) const noexcept { ::seccomp_release(filter); }
};

// Collects rules; the first failure is kept for load().
class Filter {
 public:
  Filter(std::uint32_t otherwise, bool log) : context_(::seccomp_init(otherwise)) {
    if (!context_) {
      error_ = -ENOMEM;
      return;
    }
    note(::seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_TSYNC, 1));
    // Another architecture's numbers for calls are no mistake of ours, but ending the recording helps nobody.
    note(::seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, otherwise));
    ::seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a binary tree; slower without, that is all
    if (log) ::seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_LOG, 1);
  }

  void rule(std::uint32_t action, const char* call, std::span<const scmp_arg_cmp> when = {}) {
    const int number = ::seccomp_syscall_resolve_name(call);
    if (number < 0) return;  // not on this architecture
    note(::seccomp_rule_add_array(context_.get(), action, number, static_cast<unsigned>(when.size()), when.data()));
  }
  void allow(const char* call) { rule(SCMP_ACT_ALLOW, call); }
  void allow_if(const char* call, scmp_arg_cmp when) { rule(SCMP_ACT_ALLOW, call, {&when, 1}); }

  // 0 or a negative errno.
  int load() { return error_ != 0 ? error_ : ::seccomp_load(context_.get()); }

 private:
  void note(int result) {
    if (result != 0 && error_ == 0) error_ = result;
  }

  std::unique_ptr<void, Release> context_;
  int error_ = 0;
};

void allow_by_arguments(Filter& filter, pid_t command) {
  for (const std::uint32_t bpf : kBpfCommands) filter.allow_if("bpf", SCMP_A0_32(SCMP_CMP_EQ, bpf));
  // Threads, never processes: no clone without CLONE_THREAD.
  filter.allow_if("clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  // No memory that code can run in.
  for (const char* call : {"mmap", "mmap2", "mprotect"})
    filter.allow_if(call, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
  filter.allow_if("prctl", SCMP_A0_32(SCMP_CMP_EQ, PR_SET_NAME));
  // Closing a link of a sampling program stops its clock; the C library asks whether a descriptor is a terminal.
  filter.allow_if("ioctl", SCMP_A1_32(SCMP_CMP_EQ, PERF_EVENT_IOC_DISABLE));
  filter.allow_if("ioctl", SCMP_A1_32(SCMP_CMP_EQ, TCGETS));
  filter.allow_if("prlimit64", SCMP_A2(SCMP_CMP_EQ, 0));  // asking, not setting
  const auto self = static_cast<std::uint32_t>(::getpid());
  filter.allow_if("tgkill", SCMP_A0_32(SCMP_CMP_EQ, self));  // abort()
  if (command > 0) filter.allow_if("kill", SCMP_A0_32(SCMP_CMP_EQ, static_cast<std::uint32_t>(command)));
}

}  // namespace

Result<> install_syscall_filter(pid_t command) {
  Filter quiet(SCMP_ACT_ALLOW, false);
  for (const char* call : kQuietlyRefused) quiet.rule(kRefuse, call);
  Filter filter(kRefuse, true);
  for (const char* call : kAllowed) filter.allow(call);
  for (const char* call : kQuietlyRefused) filter.allow(call);  // the other filter has refused it: that counts
  allow_by_arguments(filter, command);

  // Each filter costs its thread a lookup per call; the quiet one comes first because the second forbids to add any.
  int failed = quiet.load();
  if (failed == 0) failed = filter.load();
  if (failed == 0) return {};
  return Error{
      Errc::kUnsupported,
      fmt::format("cannot restrict the recorder's system calls: {}; does this kernel have CONFIG_SECCOMP_FILTER?",
                  errno_text(-failed))};
}

namespace {

// In the child: what is wrong, or nullptr.
const char* what_is_wrong() {
  if (!keep_only_capabilities(steady_capabilities())) return "capabilities could not be given up";
  if (auto installed = install_syscall_filter(0); !installed) return "this kernel refuses a seccomp filter";
  if (!UniqueFd{::open("/proc/self/status", O_RDONLY | O_CLOEXEC)}) return "a call that is needed was refused";
  if (UniqueFd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)} || errno != ENOSYS)
    return "a call that should be refused was not";
  return nullptr;
}

}  // namespace

Result<> try_sandbox() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "cannot create a pipe");
  const UniqueFd in(ends[0]);
  UniqueFd out(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return errno_error(errno, "cannot start a process");
  if (child == 0) {
    const char* wrong = what_is_wrong();
    const bool told = wrong == nullptr || ::write(out.get(), wrong, std::char_traits<char>::length(wrong)) > 0;
    ::_exit(wrong == nullptr && told ? 0 : 1);
  }
  out.reset();
  char text[128];
  const auto bytes = ::read(in.get(), text, sizeof text);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return Error{Errc::kUnsupported, bytes > 0 ? std::string(text, static_cast<std::size_t>(bytes))
                                             : "the process that tried it ended early"};
}

}  // namespace kflight::record
