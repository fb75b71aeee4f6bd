// SPDX-License-Identifier: Apache-2.0
//
// kernel_rwsem.cpp - a thread keeps others out of the kernel: of a file while it writes much into it (the inode's lock), or
// of the address space while it forks a process of many pages (mmap_lock). Another one's short call waits for it.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workload.hpp"

using namespace workload;

namespace {

constexpr nanoseconds kHeadStart = 500us;  // of CPU

void* pages(std::uint64_t mib) {
  void* at = mmap(nullptr, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(at == MAP_FAILED ? -1 : 0, "mapping memory");
  check(madvise(at, mib << 20, MADV_NOHUGEPAGE), "madvise");  // a fork copies an entry of each page
  return at;
}

void fork_once() {
  const auto child = static_cast<pid_t>(check(fork(), "fork"));
  if (child == 0) _exit(0);
  check(waitpid(child, nullptr, 0), "waitpid");
}

// Until it is in its call. A write to a page that is being forked waits for the lock already.
void wait_until_at_work(std::thread& holder, std::uint64_t cpu_before, nanoseconds at_most) {
  const std::uint64_t deadline = now_ns() + static_cast<std::uint64_t>(at_most.count());
  while (cpu_ns(holder) < cpu_before + kHeadStart.count() && now_ns() < deadline) {
  }
}

void write_all(int fd, const void* from, std::uint64_t bytes) {
  check(pwrite(fd, from, bytes, 0) == static_cast<ssize_t>(bytes) ? 0 : -1, "writing the file");
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "kernel_rwsem", "a thread holds a lock inside the kernel while it works",
          {{"lock", "inode", "inode or mmap"},
           {"mib", "128", "how much it writes"},
           {"fork-mib", "1024", "of how much memory it forks"}});
  const bool of_inode = run.text("lock") == "inode";
  const std::uint64_t mib = run.number(of_inode ? "mib" : "fork-mib");
  run.wait_for_start();

  // In memory, so that no disk takes part. Without the cause both threads have a file of their own, or few pages.
  const int file = unnamed_file("/dev/shm"), other_file = run.clean() ? unnamed_file("/dev/shm") : file;
  void* data = pages(mib);
  if (!of_inode && !run.clean()) check(madvise(data, mib << 20, MADV_POPULATE_WRITE), "populating memory");
  std::uint64_t cpu_at_end = 0, ended = 0;
  const Pair begins = make_pipe(), ends = make_pipe();
  std::thread holder = run.spawn("holder", [&] {
    await_go(begins.first);
    if (of_inode) write_all(other_file, data, mib << 20);
    else fork_once();
    cpu_at_end = cpu_ns();
    ended = now_ns();
    await_go(ends.first);  // its CPU clock is there as long as it is
  });

  const std::uint64_t cpu_before = cpu_ns(holder), own_before = cpu_ns();
  run.begin();
  say_go(begins.second);
  wait_until_at_work(holder, cpu_before, run.clean() ? 1ms : 1s);
  if (of_inode) write_all(file, "x", 1);
  else check(mmap(nullptr, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0, "mmap");
  run.end();
  const std::uint64_t own_ns = cpu_ns() - own_before;  // before it sleeps it spins for a while
  say_go(ends.second);
  holder.join();

  const std::uint64_t held_ns = cpu_at_end - cpu_before;
  if (!run.clean()) run.measured({held_ns - std::min(held_ns, own_ns), ended - run.t0(), 0, 0});
  run.expect({.leaf = "cpu:user", .chain = {"main", "holder"}, .min_percent = 90, .detector = {}});
  return run.finish();
}
