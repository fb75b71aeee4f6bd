// SPDX-License-Identifier: Apache-2.0
//
// prio_inversion.cpp - an important thread needs a lock whose unimportant holder cannot run, because a third thread of
// middling importance occupies the holder's CPU.
#include "workload.hpp"

using namespace workload;

int main(int argc, char** argv) {
  Run run(argc, argv, "prio_inversion", "a lock's holder is kept off its CPU",
          {{"hog", "300", "ms the middle thread runs"}, {"hold", "20", "ms of CPU the holder needs"}});
  const auto hog_ns = static_cast<std::uint64_t>(run.milliseconds("hog").count());
  const nanoseconds hold = run.milliseconds("hold");
  if (std::thread::hardware_concurrency() < 2) run.skip("needs two CPUs");
  run.wait_for_start();

  std::mutex mutex;
  const Pair locked = make_pipe();
  std::thread low = run.spawn("low", [&] {
    pin_to_cpu(0);
    const std::lock_guard lock(mutex);
    set_nice(19);
    say_go(locked.second);
    burn_cpu(hold);
  });
  await_go(locked.first);

  pin_to_cpu(1);
  set_nice(-10);
  std::thread middle;
  std::uint64_t middle_cpu_ns = 0, cpu_before = 0, middle_until = 0;
  if (!run.clean()) {
    middle = run.spawn("middle", [&] {
      set_nice(-5);
      pin_to_cpu(0);
      middle_until = now_ns() + hog_ns;
      burn_until(middle_until);
      middle_cpu_ns = cpu_ns();
    });
  }
  if (middle.joinable()) cpu_before = cpu_ns(middle);
  run.begin();
  mutex.lock();
  run.end();
  mutex.unlock();
  low.join();
  if (middle.joinable()) middle.join();

  if (!run.clean()) run.measured({middle_cpu_ns - cpu_before, middle_until - run.t0(), run.t0(), middle_until});
  run.expect(
      {.leaf = "contention", .chain = {"main", "low", "middle"}, .min_percent = 80, .detector = "prio-inversion"});
  return run.finish();
}
