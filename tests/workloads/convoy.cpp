// SPDX-License-Identifier: Apache-2.0
//
// convoy.cpp - threads that need the same lock most of the time queue up behind each other: no single one is to blame.
#include "workload.hpp"

using namespace workload;

int main(int argc, char** argv) {
  Run run(argc, argv, "convoy", "threads that need one lock most of the time",
          {{"threads", "8", "how many"},
           {"rounds", "10", "locks each takes"},
           {"inside", "5", "ms of CPU under the lock"}});
  const std::uint64_t threads = run.number("threads");
  const std::uint64_t rounds = run.number("rounds");
  const nanoseconds inside = run.milliseconds("inside");
  run.wait_for_start();

  std::mutex shared;
  std::vector<std::thread> members;
  run.begin();
  for (std::uint64_t i = 0; i < threads; ++i) {
    members.push_back(run.spawn("member" + std::to_string(i), [&] {
      std::mutex own;
      for (std::uint64_t round = 0; round < rounds; ++round) {
        {
          const std::lock_guard lock(run.clean() ? own : shared);
          burn_cpu(inside);
        }
        burn_cpu(100us);
      }
    }));
  }
  for (std::thread& member : members) member.join();
  run.end();

  run.did("locks", threads * rounds);
  // One holder at a time, and whoever is waited for holds the lock or waits for it, but for the moments outside.
  const std::uint64_t inside_ns = threads * rounds * static_cast<std::uint64_t>(inside.count());
  if (!run.clean()) run.measured({inside_ns, 0, run.t0(), run.t1()});
  run.expect({.leaf = "cpu:user", .chain = {}, .min_percent = 0, .detector = "lock convoy"});
  return run.finish();
}
