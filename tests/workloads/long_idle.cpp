// SPDX-License-Identifier: Apache-2.0
//
// long_idle.cpp - threads that were blocked long before recording began and stay so: no event of theirs is in any
// window, yet a dump has to know that they are blocked, where, and for how long. Start it with --wait.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "workload.hpp"

using namespace workload;

int main(int argc, char** argv) {
  Run run(argc, argv, "long_idle", "threads blocked since before the recording", {{"run", "300", "ms the rest runs"}});
  const nanoseconds rest = run.milliseconds("run");

  const Pair never = make_pipe();
  std::atomic<std::uint32_t> word = 0;
  std::thread reader = run.spawn("reader", [&] {
    char byte = 0;
    check(read(never.first, &byte, 1), "read");
  });
  std::thread waiter = run.spawn("waiter", [&] {
    while (word == 0) syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, nullptr);
  });
  wait_until_asleep(run.tid_of("reader"));
  wait_until_asleep(run.tid_of("waiter"));
  const std::uint64_t asleep_since = now_ns();
  run.wait_for_start();

  const std::uint64_t t0 = now_ns();
  sleep_for(rest);
  run.interval(t0, now_ns(), run.tid_of("reader"));
  run.did("asleep_since_ns", asleep_since);
  run.measured({run.t1() - run.t0(), 0, run.t0(), run.t1()});
  run.expect({.leaf = "still-blocked", .chain = {"reader"}, .min_percent = 100, .detector = {}});
  const int status = run.finish();

  close(never.second);
  word = 1;
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1);
  reader.join();
  waiter.join();
  return status;
}
