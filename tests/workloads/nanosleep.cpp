// SPDX-License-Identifier: Apache-2.0
//
// nanosleep.cpp - a thread sleeps because it asked to; what comes after the deadline is the kernel's.
#include "workload.hpp"

using namespace workload;

int main(int argc, char** argv) {
  Run run(argc, argv, "nanosleep", "a thread sleeps", {{"sleep", "100", "ms"}});
  const nanoseconds sleep = run.milliseconds("sleep");
  run.wait_for_start();

  run.begin();
  const std::uint64_t start = now_ns();
  if (run.clean()) {
    burn_cpu(sleep);
  } else {
    sleep_for(sleep);
  }
  const std::uint64_t took = now_ns() - start;
  run.end();

  const auto asked = static_cast<std::uint64_t>(sleep.count());
  run.did("asked_ns", asked);
  run.did("overshoot_ns", took > asked ? took - asked : 0);
  if (!run.clean()) run.measured({asked, took, start, start + asked});
  run.expect({.leaf = "timer", .chain = {"main"}, .min_percent = 99, .detector = {}});
  return run.finish();
}
