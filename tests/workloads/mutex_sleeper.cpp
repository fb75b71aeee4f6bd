// SPDX-License-Identifier: Apache-2.0
//
// mutex_sleeper.cpp - a thread sleeps while it holds a mutex that another one needs.
#include "workload.hpp"

using namespace workload;

int main(int argc, char** argv) {
  Run run(argc, argv, "mutex_sleeper", "a thread sleeps while it holds a mutex",
          {{"hold", "200", "ms the holder sleeps with the lock"}});
  const nanoseconds hold = run.milliseconds("hold");
  run.wait_for_start();

  std::mutex mutex;
  std::uint64_t asleep_since = 0, awake_since = 0;
  const Pair locked = make_pipe();
  std::thread holder = run.spawn("holder", [&] {
    std::unique_lock lock(mutex);
    if (run.clean()) lock.unlock();
    say_go(locked.second);
    asleep_since = now_ns();
    sleep_for(hold);
    awake_since = now_ns();
  });

  await_go(locked.first);
  wait_until_asleep(run.tid_of("holder"));
  run.begin();
  mutex.lock();
  run.end();
  mutex.unlock();
  holder.join();

  if (!run.clean()) {
    const std::uint64_t t0 = run.t0(), due = asleep_since + static_cast<std::uint64_t>(hold.count());
    run.measured({due - t0, awake_since - t0, t0, due});
  }
  run.expect({.leaf = "timer", .chain = {"main", "holder"}, .min_percent = 97, .detector = {}});
  return run.finish();
}
