// SPDX-License-Identifier: Apache-2.0
//
// mmap_fault.cpp - a thread reads a mapped file that is not in memory: it waits for the disk without any system call.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "workload.hpp"

using namespace workload;

namespace {

std::uint64_t major_faults() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return static_cast<std::uint64_t>(usage.ru_majflt);
}

std::uint64_t touch_pages(const volatile unsigned char* bytes, std::size_t size) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < size; at += 4096) sum += bytes[at];
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "mmap_fault", "page faults that read from disk",
          {{"mib", "16", "size of the file"}, {"dir", "/var/tmp", "folder of the file"}});
  const std::size_t size = run.number("mib") << 20;
  run.wait_for_start();

  const int fd = unnamed_file(run.text("dir"));
  const std::string content(size, 'k');
  check(write(fd, content.data(), size) == static_cast<ssize_t>(size) ? 0 : -1, "writing the file");
  check(fsync(fd), "fsync");
  check(-posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "dropping the file from the page cache");
  void* mapped = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  check(mapped == MAP_FAILED ? -1 : 0, "mmap");
  check(madvise(mapped, size, MADV_RANDOM), "madvise");  // no read-ahead: every page is a fault
  const auto* bytes = static_cast<const unsigned char*>(mapped);
  std::uint64_t sum = run.clean() ? touch_pages(bytes, size) : 0;

  const std::uint64_t faults = major_faults(), stolen_before = stolen_ns();
  Wait wait(run);
  sum += touch_pages(bytes, size);
  wait.end();

  run.did("bytes", size);
  run.did("sum", sum);
  run.did("major_faults", major_faults() - faults);
  // Not counted as busy, though it is not the disk's: the way from the interrupt to this thread, page by page.
  const std::uint64_t doubtful_ns = wait.at_least_ns() * 7 / 10 + stolen_ns() - stolen_before;
  if (!run.clean())
    run.measured({wait.at_least_ns() - std::min(wait.at_least_ns(), doubtful_ns), wait.at_most_ns(), 0, 0});
  run.expect({.leaf = "disk", .chain = {"main"}, .min_percent = 50, .detector = {}});
  return run.finish();
}
