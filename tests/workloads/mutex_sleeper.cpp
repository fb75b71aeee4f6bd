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
  const Pair locked = make_pipe();
  std::thread holder = run.spawn("holder", [&] {
    std::unique_lock lock(mutex);
    if (run.clean()) lock.unlock();
    say_go(locked.second);
    sleep_for(hold);
  });

  await_go(locked.first);
  wait_until_asleep(run.tid_of("holder"));
  run.begin();
  mutex.lock();
  run.end();
  mutex.unlock();
  holder.join();

  run.expect({.leaf = "timer", .chain = {"main", "holder"}, .min_percent = 97, .detector = {}});
  return run.finish();
}
