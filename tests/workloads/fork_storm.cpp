// SPDX-License-Identifier: Apache-2.0
//
// fork_storm.cpp - hundreds of short processes on the CPU of a thread that has work to do.
#include <sys/wait.h>
#include <unistd.h>

#include "workload.hpp"

using namespace workload;

namespace {

void fork_burning_children(std::uint64_t count, nanoseconds each) {
  for (std::uint64_t i = 0; i < count; ++i) {
    if (check(fork(), "fork") == 0) {
      set_name("storm");
      burn_cpu(each);
      _exit(0);
    }
  }
  while (waitpid(-1, nullptr, 0) > 0) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "fork_storm", "short processes crowd a CPU",
          {{"forks", "500", "processes"},
           {"burn-us", "500", "CPU time of each"},
           {"work", "20", "ms of CPU of the subject"}});
  const std::uint64_t forks = run.clean() ? 0 : run.number("forks");
  const std::chrono::microseconds each(run.number("burn-us"));
  const nanoseconds work = run.milliseconds("work");
  run.wait_for_start();

  pin_to_cpu(0);
  const Pair go = make_pipe();
  std::thread forker = run.spawn("forker", [&] {
    say_go(go.second);
    fork_burning_children(forks, each);
  });
  await_go(go.first);
  const std::uint64_t delay_before = delay_ns();
  run.begin();
  burn_cpu(work);
  run.end();
  const std::uint64_t waited_ns = delay_ns() - delay_before;  // for the storm, its forker, or the machine's other work
  forker.join();

  run.did("forks", forks);
  if (!run.clean()) run.measured({waited_ns / 3, waited_ns, 0, 0});
  run.expect({.leaf = "contention", .chain = {"main", "storm"}, .min_percent = 50, .detector = "fork storm"});
  return run.finish();
}
