// SPDX-License-Identifier: Apache-2.0
//
// disk_throttle.cpp - direct writes by a process whose cgroup may write only so much per second: the kernel holds the
// requests back before the disk's queue and a kworker lets them go. Works with both versions of the cgroup file system,
// when this process may create a group in it. The clean twin writes without a limit.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "workload.hpp"

using namespace workload;

namespace {

constexpr std::size_t kBlockBytes = 256 << 10;

// Never creates: on a plain file system that would make an ordinary file.
bool write_file(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  return written;
}

// "254:0": the whole disk that holds the file, for limits are not set on partitions. Empty: it is on none.
std::string disk_of(int fd) {
  struct stat status {};
  check(fstat(fd, &status), "fstat");
  std::filesystem::path device =
      "/sys/dev/block/" + std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
  std::error_code none;
  device = std::filesystem::canonical(device, none);
  if (none) return "";
  if (std::filesystem::exists(device / "partition")) device = device.parent_path();
  std::ifstream file(device / "dev");
  std::string numbers;
  file >> numbers;
  return numbers;
}

// A group of our own below `root` with the limit set; false when this hierarchy does not limit I/O.
bool make_group(const std::string& root, const std::string& group, const std::string& disk, std::uint64_t rate) {
  write_file(root + "/cgroup.subtree_control", "+io");  // fails where it is set already or where there is none
  if (mkdir(group.c_str(), 0755) != 0) return false;
  if (write_file(group + "/blkio.throttle.write_bps_device", disk + " " + std::to_string(rate))) return true;
  if (write_file(group + "/io.max", disk + " wbps=" + std::to_string(rate))) return true;
  rmdir(group.c_str());
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  Run run(
      argc, argv, "disk_throttle", "writes over the limit of their cgroup",
      {{"writes", "6", "of 256 KiB"}, {"rate", "4096", "KiB/s allowed"}, {"dir", "/var/tmp", "folder of the file"}});
  const std::uint64_t writes = run.number("writes");
  run.wait_for_start();
  const int fd = open(run.text("dir").c_str(), O_TMPFILE | O_RDWR | O_DIRECT, 0600);
  if (fd < 0) run.skip("no direct I/O in " + run.text("dir") + ": " + std::strerror(errno));
  const std::string disk = disk_of(fd);
  if (disk.empty()) run.skip(run.text("dir") + " is on no disk");
  std::string root, group;
  for (const char* candidate : {"/sys/fs/cgroup", "/sys/fs/cgroup/blkio", "/sys/fs/cgroup/unified"}) {
    root = candidate;
    group = root + "/kflight-workload-" + std::to_string(getpid());
    if (make_group(root, group, disk, run.number("rate") << 10)) break;
    group.clear();
  }
  if (group.empty()) run.skip("no cgroup with an I/O limit can be created below /sys/fs/cgroup");

  void* block = std::aligned_alloc(4096, kBlockBytes);
  std::memset(block, 'k', kBlockBytes);
  const auto write_all = [&] {
    for (std::uint64_t i = 0; i < writes; ++i)
      check(pwrite(fd, block, kBlockBytes, static_cast<off_t>(i * kBlockBytes)) == kBlockBytes ? 0 : -1, "pwrite");
  };
  write_all();  // allocates the blocks: from now on a write is one request and no metadata
  check(fsync(fd), "fsync");
  if (!run.clean() && !write_file(group + "/cgroup.procs", std::to_string(getpid()))) {
    rmdir(group.c_str());
    run.skip("cannot move a process into " + group);
  }
  Wait wait(run);
  write_all();
  wait.end();
  write_file(root + "/cgroup.procs", std::to_string(getpid()));
  rmdir(group.c_str());

  run.did("bytes", writes * kBlockBytes);
  if (!run.clean()) run.measured({wait.at_least_ns() * 3 / 4, wait.at_most_ns(), 0, 0});  // the disk itself takes time, too
  run.expect({.leaf = "disk:queue", .chain = {"main"}, .min_percent = 90, .detector = {}});
  return run.finish();
}
