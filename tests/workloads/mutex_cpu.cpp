// SPDX-License-Identifier: Apache-2.0
//
// mutex_cpu.cpp - a thread computes while it holds a mutex that another one needs.
#include "workload.hpp"

using namespace workload;

int main(int argc, char** argv) {
  Run run(argc, argv, "mutex_cpu", "a thread computes while it holds a mutex",
          {{"hold", "200", "ms of CPU the holder uses with the lock"}});
  const nanoseconds hold = run.milliseconds("hold");
  run.wait_for_start();

  std::mutex mutex;
  std::uint64_t cpu_at_unlock = 0, unlocked = 0;
  const Pair locked = make_pipe();
  std::thread holder = run.spawn("holder", [&] {
    std::unique_lock lock(mutex);
    if (run.clean()) lock.unlock();
    say_go(locked.second);
    burn_cpu(hold);
    cpu_at_unlock = cpu_ns();
    unlocked = now_ns();
  });

  await_go(locked.first);
  const std::uint64_t cpu_before = cpu_ns(holder);
  run.begin();
  mutex.lock();
  run.end();
  mutex.unlock();
  holder.join();

  if (!run.clean()) run.measured({cpu_at_unlock - cpu_before, unlocked - run.t0(), run.t0(), unlocked});
  run.expect({.leaf = "cpu:user", .chain = {"main", "holder"}, .min_percent = 90, .detector = {}});
  return run.finish();
}
