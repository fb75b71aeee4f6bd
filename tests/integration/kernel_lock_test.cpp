// SPDX-License-Identifier: Apache-2.0
//
// kernel_lock_test.cpp - who holds a mutex of the kernel, named while somebody waits for it. A thread that writes to a
// pipe holds the pipe's mutex; it is kept in there by a page that userfaultfd does not give it.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "integration/dump_facts.hpp"
#include "record/kernel_caps.hpp"

namespace kflight::test {
namespace {

// A page whose first reader waits until it is given.
class WithheldPage {
 public:
  WithheldPage() : fd_(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC))) {
    if (fd_ < 0) return;
    address_ = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uffdio_api api{.api = UFFD_API};
    uffdio_register watch{.range = {reinterpret_cast<std::uint64_t>(address_), kBytes},
                          .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (ioctl(fd_, UFFDIO_API, &api) != 0 || ioctl(fd_, UFFDIO_REGISTER, &watch) != 0)
      ADD_FAILURE() << "no userfaultfd";
  }
  ~WithheldPage() {
    if (fd_ < 0) return;
    munmap(address_, kBytes);
    close(fd_);
  }
  bool exists() const { return fd_ >= 0; }
  const void* address() const { return address_; }
  void give() const {
    uffdio_zeropage zero{.range = {reinterpret_cast<std::uint64_t>(address_), kBytes}};
    EXPECT_EQ(ioctl(fd_, UFFDIO_ZEROPAGE, &zero), 0);
  }

 private:
  static constexpr std::size_t kBytes = 4096;
  int fd_;
  void* address_ = nullptr;
};

// A thread that writes one byte into a pipe.
class Writer {
 public:
  Writer(int pipe, const void* byte)
      : thread_([this, pipe, byte] {
          tid_ = static_cast<std::uint32_t>(syscall(SYS_gettid));
          EXPECT_EQ(write(pipe, byte, 1), 1);
        }) {}
  ~Writer() { thread_.join(); }
  std::uint32_t tid() const { return tid_; }
  // Until the kernel says that it sleeps in a way that no signal ends, or that it sleeps at all.
  void wait_until_asleep() const {
    for (;;) {
      if (tid_ != 0) {
        std::ifstream stat("/proc/self/task/" + std::to_string(tid_) + "/stat");
        std::string line;
        std::getline(stat, line);
        const std::size_t state = line.rfind(')') + 2;
        if (state < line.size() && (line[state] == 'D' || line[state] == 'S')) return;
      }
      std::this_thread::yield();
    }
  }

 private:
  std::atomic<std::uint32_t> tid_{0};
  std::thread thread_;
};

class KernelLock : public RecordTest {};

TEST_F(KernelLock, AMutexNamesItsOwner) {
  const auto caps = record::read_kernel_caps();
  ASSERT_TRUE(caps) << caps.error().what;
  const bool as_rt_mutex = caps->has_rt_mutexes && caps->has_rt_mutex_owner;
  if (!caps->has_blocked_on && !as_rt_mutex) GTEST_SKIP() << "this kernel does not say which mutex a thread waits for";
  const WithheldPage page;
  if (!page.exists()) GTEST_SKIP() << "no userfaultfd here";
  int pipe[2];
  ASSERT_EQ(pipe2(pipe, O_CLOEXEC), 0);
  Recorder recorder = start_recorder({"--pid", std::to_string(getpid()), "--no-follow", "--min-age", "60s"});
  std::uint32_t owner = 0, waiter = 0;
  {
    const Writer first(pipe[1], page.address());
    first.wait_until_asleep();
    const Writer second(pipe[1], "x");
    second.wait_until_asleep();
    owner = first.tid();
    waiter = second.tid();
    page.give();
  }
  const Dump dump = dump_now(recorder);
  EXPECT_EQ(recorder.stop(), 0);
  close(pipe[0]);
  close(pipe[1]);
  const auto kind = as_rt_mutex ? KF_LOCK_RT_MUTEX : KF_LOCK_MUTEX;
  const auto waits = count<LockWaitEvent>(
      dump, {}, [&](const LockWaitEvent& e) { return e.tid == waiter && e.owner_tid == owner && e.lock_kind == kind; });
  EXPECT_GE(waits, 1u) << "owner " << owner << ", waiter " << waiter;
}

}  // namespace
}  // namespace kflight::test
