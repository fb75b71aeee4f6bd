// SPDX-License-Identifier: Apache-2.0
//
// fsync_slow.cpp - fsync of much dirty data: the wait is the disk's. The disk's own figures stand in the report.
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "workload.hpp"

using namespace workload;

namespace {

// Time the device spent on writes, ms, summed over requests; 0 for file systems without a device of their own.
std::uint64_t write_ms(int fd) {
  struct stat status {};
  check(fstat(fd, &status), "fstat");
  const std::string base =
      "/sys/dev/block/" + std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
  std::ifstream stat(base + "/stat");
  std::uint64_t reads, reads_merged, read_sectors, read_ms, writes, writes_merged, written_sectors, written_ms = 0;
  stat >> reads >> reads_merged >> read_sectors >> read_ms >> writes >> writes_merged >> written_sectors >> written_ms;
  return written_ms;
}

void fill(int fd, std::uint64_t mib) {
  const std::string block(1 << 20, 'k');
  for (std::uint64_t i = 0; i < mib; ++i) {
    check(write(fd, block.data(), block.size()) == static_cast<ssize_t>(block.size()) ? 0 : -1, "writing the file");
  }
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "fsync_slow", "fsync of much dirty data",
          {{"mib", "64", "MiB to write first"}, {"dir", "/var/tmp", "folder of the file"}});
  const std::uint64_t mib = run.number("mib");
  run.wait_for_start();

  const int fd = unnamed_file(run.text("dir"));
  fill(fd, mib);
  if (run.clean()) check(fsync(fd), "fsync");
  const std::uint64_t disk_before = write_ms(fd), stolen_before = stolen_ns();
  Wait wait(run);
  if (!run.clean()) check(fsync(fd), "fsync");  // even with nothing to write it would have the disk flush its cache
  wait.end();

  run.did("bytes", mib << 20);
  run.did("disk_write_ms", write_ms(fd) - disk_before);
  // The journal's thread and the completions' way back take their part.
  const std::uint64_t doubtful_ns = wait.at_least_ns() / 2 + stolen_ns() - stolen_before;
  if (!run.clean())
    run.measured({wait.at_least_ns() - std::min(wait.at_least_ns(), doubtful_ns), wait.at_most_ns(), 0, 0});
  run.expect({.leaf = "disk", .chain = {"main"}, .min_percent = 80, .detector = {}});
  return run.finish();
}
