// SPDX-License-Identifier: Apache-2.0
//
// primitives.cpp - clocks, CPU burning, placement, descriptors and the kernel's own counts, for the workloads.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>

#include "workload.hpp"

namespace workload {
namespace {

std::uint64_t read_clock(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

ThreadCounts read_counts() {
  ThreadCounts counts;
  std::ifstream status("/proc/thread-self/status");
  for (std::string line; std::getline(status, line);) {
    unsigned long long value = 0;
    if (std::sscanf(line.c_str(), "voluntary_ctxt_switches: %llu", &value) == 1) counts.voluntary = value;
    if (std::sscanf(line.c_str(), "nonvoluntary_ctxt_switches: %llu", &value) == 1) counts.involuntary = value;
  }
  std::ifstream("/proc/thread-self/schedstat") >> counts.run_ns >> counts.delay_ns >> counts.switched_in;
  return counts;
}

bool same_switches(const ThreadCounts& a, const ThreadCounts& b) {
  return a.voluntary == b.voluntary && a.involuntary == b.involuntary && a.switched_in == b.switched_in;
}

// A time and the counts that were true at it.
std::uint64_t read_undisturbed(ThreadCounts& counts) {
  for (;;) {
    counts = read_counts();
    const std::uint64_t time = now_ns();
    if (same_switches(counts, read_counts())) return time;
  }
}

}  // namespace

std::uint64_t now_ns() { return read_clock(CLOCK_BOOTTIME); }
std::uint64_t stolen_ns() {
  std::ifstream stat("/proc/stat");
  std::string cpu;
  std::uint64_t ticks = 0;
  stat >> cpu;
  for (int column = 0; column < 8; ++column) stat >> ticks;
  return ticks * (1'000'000'000 / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK)));
}

std::uint64_t cpu_ns() { return read_clock(CLOCK_THREAD_CPUTIME_ID); }
std::uint64_t cpu_ns(std::thread& thread) {
  clockid_t clock{};
  check(-pthread_getcpuclockid(thread.native_handle(), &clock), "the CPU clock of a thread");
  return read_clock(clock);
}
std::uint64_t delay_ns() { return read_counts().delay_ns; }
pid_t own_tid() { return static_cast<pid_t>(syscall(SYS_gettid)); }

void sleep_for(nanoseconds duration) {
  timespec left{duration / 1s, (duration % 1s).count()};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

namespace {

// Some hundred cycles that no compiler removes.
void spin() {
  for (int i = 0; i < 200; ++i) asm volatile("");
}

}  // namespace

void burn_cpu(nanoseconds cpu_time) {
  const std::uint64_t end = cpu_ns() + static_cast<std::uint64_t>(cpu_time.count());
  while (cpu_ns() < end) {
    spin();
  }
}

void burn_until(std::uint64_t boottime_ns) {
  while (now_ns() < boottime_ns) {
    spin();
  }
}

void pin_to_cpu(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  check(sched_setaffinity(0, sizeof(set), &set), "pinning a thread to a CPU");
}

void set_nice(int nice) {
  check(setpriority(PRIO_PROCESS, static_cast<id_t>(own_tid()), nice), "setting the nice value");
}

void set_name(const std::string& name) { prctl(PR_SET_NAME, name.substr(0, 15).c_str()); }

void wait_until_asleep(pid_t tid) {
  const std::string path = "/proc/" + std::to_string(tid) + "/stat";
  for (;;) {
    std::ifstream file(path);
    std::string stat;
    check(std::getline(file, stat) ? 0 : -1, path.c_str());
    const char state = stat[stat.rfind(')') + 2];
    if (state == 'S' || state == 'D') return;
    sleep_for(100us);
  }
}

void await_go(int fd) {
  char byte = 0;
  check(read(fd, &byte, 1) == 1 ? 0 : -1, "waiting for the go");
}

void say_go(int fd) { check(write(fd, "g", 1), "giving the go"); }

long check(long value, const char* what) {
  if (value >= 0) return value;
  std::perror(what);
  std::exit(1);
}

void Tally::begin() { t0_ = read_undisturbed(first_); }
void Tally::end() { t1_ = read_undisturbed(last_); }

ThreadCounts Tally::delta() const {
  return {last_.voluntary - first_.voluntary, last_.involuntary - first_.involuntary, last_.run_ns - first_.run_ns,
          last_.delay_ns - first_.delay_ns, last_.switched_in - first_.switched_in};
}

int unnamed_file(const std::string& directory, int extra_flags) {
  return static_cast<int>(check(open(directory.c_str(), O_TMPFILE | O_RDWR | extra_flags, 0600), directory.c_str()));
}

Pair make_pipe() {
  int fds[2];
  check(pipe2(fds, O_CLOEXEC), "pipe");
  return {fds[0], fds[1]};
}

Pair make_socketpair() {
  int fds[2];
  check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "socketpair");
  return {fds[0], fds[1]};
}

Pair make_tcp_pair() {
  const auto fd = [](long value, const char* what) { return static_cast<int>(check(value, what)); };
  const int listener = fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  check(bind(listener, reinterpret_cast<sockaddr*>(&address), length), "bind to 127.0.0.1");
  check(listen(listener, 1), "listen");
  check(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), "getsockname");

  Pair pair;
  pair.first = fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  check(connect(pair.first, reinterpret_cast<sockaddr*>(&address), length), "connect to 127.0.0.1");
  pair.second = fd(accept(listener, nullptr, nullptr), "accept");
  close(listener);
  const int on = 1;
  for (const int end : {pair.first, pair.second}) {
    check(setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "TCP_NODELAY");
  }
  return pair;
}

}  // namespace workload
