// SPDX-License-Identifier: Apache-2.0
//
// cgroup_throttle.cpp - a busy thread in a cgroup with a CPU quota of a fifth: it runs 20 ms, then waits for the next
// period. Works with both versions of the cgroup file system, when this process may create a group in it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "workload.hpp"

using namespace workload;

namespace {

// Never creates: on a plain file system that would make an ordinary file.
bool write_file(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  return written;
}

// What the group was throttled for so far, ns.
std::uint64_t throttled_ns(const std::string& group) {
  std::ifstream stat(group + "/cpu.stat");
  std::string key;
  for (std::uint64_t value = 0; stat >> key >> value;) {
    if (key == "throttled_time") return value;
    if (key == "throttled_usec") return value * 1000;
  }
  return 0;
}

// A group of our own below `root`, with the quota set; false when this hierarchy does not do CPU quotas.
bool make_group(const std::string& root, const std::string& group) {
  write_file(root + "/cgroup.subtree_control", "+cpu");  // fails where it is set already or where there is none
  if (mkdir(group.c_str(), 0755) != 0) return false;
  if (write_file(group + "/cpu.max", "20000 100000")) return true;
  if (write_file(group + "/cpu.cfs_period_us", "100000") && write_file(group + "/cpu.cfs_quota_us", "20000"))
    return true;
  rmdir(group.c_str());
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "cgroup_throttle", "a busy thread over its CPU quota", {{"work", "100", "ms of CPU to use"}});
  const nanoseconds work = run.milliseconds("work");

  std::string root, group;
  for (const char* candidate : {"/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}) {
    root = candidate;
    group = root + "/kflight-workload-" + std::to_string(getpid());
    if (make_group(root, group)) break;
    group.clear();
  }
  if (group.empty()) run.skip("no cgroup with a CPU quota can be created below /sys/fs/cgroup");
  run.wait_for_start();

  const std::uint64_t before = throttled_ns(group);
  if (!run.clean() && !write_file(group + "/cgroup.procs", std::to_string(getpid()))) {
    rmdir(group.c_str());
    run.skip("cannot move a process into " + group);
  }
  run.begin();
  burn_cpu(work);
  run.end();
  const std::uint64_t throttled = throttled_ns(group) - before;
  write_file(root + "/cgroup.procs", std::to_string(getpid()));
  rmdir(group.c_str());

  run.did("throttled_ns", throttled);
  const std::uint64_t off_cpu_ns = run.t1() - run.t0() - std::min<std::uint64_t>(work.count(), run.t1() - run.t0());
  if (!run.clean()) run.measured({throttled, off_cpu_ns, 0, 0});
  run.expect({.leaf = "cpu-quota", .chain = {"main"}, .min_percent = 70, .detector = "cpu-quota"});
  return run.finish();
}
