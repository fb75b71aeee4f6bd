// SPDX-License-Identifier: Apache-2.0
//
// cpu_hog.cpp - a thread with a little work shares its CPU with one of much higher priority.
#include <sched.h>

#include "workload.hpp"

using namespace workload;

namespace {

bool become_fifo(int priority) {
  sched_param param{};
  param.sched_priority = priority;
  return sched_setscheduler(0, SCHED_FIFO, &param) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "cpu_hog", "a thread that cannot get its CPU",
          {{"hog", "300", "ms the hog runs"},
           {"work", "5", "ms of CPU the subject needs"},
           {"fifo", "0", "1: the hog is SCHED_FIFO 50, not nice -20"}});
  const nanoseconds hog_time = run.milliseconds("hog");
  const nanoseconds work = run.milliseconds("work");
  const bool fifo = run.number("fifo") != 0;
  run.wait_for_start();

  pin_to_cpu(0);
  set_nice(19);
  const Pair prepared = make_pipe();
  const Pair go = make_pipe();
  bool permitted = true;
  std::uint64_t hog_cpu_ns = 0, hog_from = 0, hog_to = 0;
  std::thread hog;
  if (!run.clean()) {
    hog = run.spawn("hog", [&] {
      if (fifo) {
        permitted = become_fifo(50);
      } else {
        set_nice(-20);
      }
      say_go(prepared.second);
      await_go(go.first);
      if (!permitted) return;
      const std::uint64_t before = cpu_ns();
      hog_from = now_ns();
      burn_until(hog_from + static_cast<std::uint64_t>(hog_time.count()));
      hog_cpu_ns = cpu_ns() - before;
      hog_to = now_ns();  // later than meant where the machine itself was stopped
    });
    await_go(prepared.first);
  }
  run.begin();
  say_go(go.second);  // from here on the hog has the CPU
  burn_cpu(work);
  run.end();
  if (hog.joinable()) hog.join();
  if (!permitted)
    run.skip("SCHED_FIFO is not permitted here (no real-time bandwidth in this cgroup, or no CAP_SYS_NICE)");

  run.did("own_cpu_ns", static_cast<std::uint64_t>(work.count()));
  if (!run.clean()) run.measured({hog_cpu_ns, hog_to - hog_from, hog_from, hog_to});
  run.expect({.leaf = "contention", .chain = {"main", "hog"}, .min_percent = 95, .detector = {}});
  return run.finish();
}
