// SPDX-License-Identifier: Apache-2.0
//
// kernel_lock_test.cpp - who holds a lock of the kernel, named while somebody waits for it. A thread that writes to a pipe
// holds the pipe's mutex, one that writes to a file the inode's rwsem; it is kept in there by a page that userfaultfd does
// not give it.
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

// A thread that writes one byte.
class Writer {
 public:
  Writer(int fd, const void* byte)
      : thread_([this, fd, byte] {
          tid_ = static_cast<std::uint32_t>(syscall(SYS_gettid));
          EXPECT_EQ(write(fd, byte, 1), 1);
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

class KernelLock : public RecordTest {
 protected:
  // The first of two threads that write to `fd` holds its lock until it is given the page it writes from. The dump is made
  // while the second one waits.
  void expect_owner(int fd, unsigned kind) {
    const WithheldPage page;
    if (!page.exists()) GTEST_SKIP() << "no userfaultfd here";
    Recorder recorder = start_recorder({"--pid", std::to_string(getpid()), "--no-follow", "--min-age", "60s"});
    const Writer first(fd, page.address());
    first.wait_until_asleep();
    const Writer second(fd, "x");
    second.wait_until_asleep();
    const std::string path = dump_path(recorder);
    page.give();
    EXPECT_EQ(recorder.stop(), 0);
    const auto waits = count<LockWaitEvent>(open_dump(path), {}, [&](const LockWaitEvent& e) {
      return e.tid == second.tid() && e.owner_tid == first.tid() && e.lock_kind == kind;
    });
    EXPECT_GE(waits, 1u) << "owner " << first.tid() << ", waiter " << second.tid();
    const Output explained = kflight({"explain", path, "--tid", std::to_string(second.tid()), "--from", "-1ms"});
    EXPECT_EQ(explained.status, 0) << explained.err;
    EXPECT_THAT(explained.out, testing::HasSubstr("held by"));
  }
};

TEST_F(KernelLock, AMutexNamesItsOwner) {
  const auto caps = record::read_kernel_caps();
  ASSERT_TRUE(caps) << caps.error().what;
  const bool as_rt_mutex = caps->has_rt_mutexes && caps->has_rt_mutex_owner;
  if (!caps->has_blocked_on && !caps->has_tracepoint("contention_begin") && !as_rt_mutex)
    GTEST_SKIP() << "this kernel does not say which mutex a thread waits for";
  int pipe[2];
  ASSERT_EQ(pipe2(pipe, O_CLOEXEC), 0);
  expect_owner(pipe[1], as_rt_mutex ? KF_LOCK_RT_MUTEX : KF_LOCK_MUTEX);
  close(pipe[0]);
  close(pipe[1]);
}

// A file's: a write holds it.
TEST_F(KernelLock, ARwsemNamesItsWriter) {
  const auto caps = record::read_kernel_caps();
  ASSERT_TRUE(caps) << caps.error().what;
  if (!caps->has_tracepoint("contention_begin")) GTEST_SKIP() << "this kernel does not say which lock a thread waits for";
  if (caps->has_rt_mutexes) GTEST_SKIP() << "with PREEMPT_RT a rwsem has no owner";
  const int file = static_cast<int>(memfd_create("kflight-test", MFD_CLOEXEC));
  ASSERT_GE(file, 0);
  expect_owner(file, KF_LOCK_RWSEM);
  close(file);
}

}  // namespace
}  // namespace kflight::test
