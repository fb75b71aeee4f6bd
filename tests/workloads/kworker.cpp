// SPDX-License-Identifier: Apache-2.0
//
// kworker.cpp - asynchronous direct writes into preallocated extents: when the device is done, a kernel worker converts
// the extents and only then completes the request, so the waiter is woken by a kworker. The clean twin overwrites
// converted extents, whose requests complete without one.
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "workload.hpp"

using namespace workload;

namespace {

constexpr std::size_t kBlockBytes = 64 << 10;

// Writes block `index` and waits for its completion.
void write_block(aio_context_t context, int fd, void* block, std::uint64_t index) {
  iocb control{};
  control.aio_lio_opcode = IOCB_CMD_PWRITE;
  control.aio_fildes = static_cast<std::uint32_t>(fd);
  control.aio_buf = reinterpret_cast<std::uint64_t>(block);
  control.aio_nbytes = kBlockBytes;
  control.aio_offset = static_cast<std::int64_t>(index * kBlockBytes);
  iocb* controls[] = {&control};
  check(syscall(SYS_io_submit, context, 1, controls), "io_submit");
  io_event event{};
  check(syscall(SYS_io_getevents, context, 1, 1, &event, nullptr), "io_getevents");
  errno = static_cast<int>(-event.res);
  check(event.res == static_cast<std::int64_t>(kBlockBytes) ? 0 : -1, "the write");
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "kworker", "requests completed by a kernel worker",
          {{"writes", "50", "how many"}, {"dir", "/var/tmp", "folder of the file"}});
  const std::uint64_t writes = run.number("writes");
  const int fd = open(run.text("dir").c_str(), O_TMPFILE | O_RDWR | O_DIRECT, 0600);
  if (fd < 0) run.skip("no direct I/O in " + run.text("dir") + ": " + std::strerror(errno));
  run.wait_for_start();

  check(-posix_fallocate(fd, 0, static_cast<off_t>(writes * kBlockBytes)), "posix_fallocate");
  void* block = std::aligned_alloc(4096, kBlockBytes);
  std::memset(block, 'k', kBlockBytes);
  aio_context_t context = 0;
  check(syscall(SYS_io_setup, 1, &context), "io_setup");
  if (run.clean()) {
    for (std::uint64_t i = 0; i < writes; ++i) write_block(context, fd, block, i);
  }

  run.begin();
  for (std::uint64_t i = 0; i < writes; ++i) write_block(context, fd, block, i);
  run.end();

  run.did("writes", writes);
  run.expect({.leaf = "workqueue", .chain = {"main"}, .min_percent = 0, .detector = {}});
  return run.finish();
}
