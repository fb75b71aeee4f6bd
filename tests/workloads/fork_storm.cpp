// SPDX-License-Identifier: Apache-2.0
//
// fork_storm.cpp - hundreds of short processes on the CPU of a thread that has work to do. What they used of that CPU
// while the thread was at work they note themselves, in shared memory: the rest of its wait was for others.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <new>

#include "workload.hpp"

using namespace workload;

namespace {

struct Storm {
  std::atomic<bool> counts = false;  // the subject is at work
  std::atomic<std::uint64_t> used_ns = 0;
};

Storm& shared_storm() {
  void* page = mmap(nullptr, sizeof(Storm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  check(page == MAP_FAILED ? -1 : 0, "mapping shared memory");
  return *new (page) Storm;
}

// In slices: of the one child that is at it when the subject is done, all but the last slice counts.
void burn_noted(Storm& storm, nanoseconds cpu_time) {
  constexpr nanoseconds kSlice = 50us;
  for (nanoseconds left = cpu_time; left > 0ns; left -= kSlice) {
    const bool counts = storm.counts;
    const std::uint64_t before = cpu_ns();
    burn_cpu(std::min(left, kSlice));
    if (counts && storm.counts) storm.used_ns += cpu_ns() - before;
  }
}

void fork_burning_children(Storm& storm, std::uint64_t count, nanoseconds each) {
  for (std::uint64_t i = 0; i < count; ++i) {
    if (check(fork(), "fork") == 0) {
      set_name("storm");
      burn_noted(storm, each);
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
  Storm& storm = shared_storm();
  const Pair go = make_pipe();
  std::thread forker = run.spawn("forker", [&] {
    say_go(go.second);
    fork_burning_children(storm, forks, each);
  });
  await_go(go.first);
  const std::uint64_t delay_before = delay_ns();
  run.begin();
  storm.counts = true;
  burn_cpu(work);
  storm.counts = false;
  run.end();
  const std::uint64_t waited_ns = delay_ns() - delay_before;  // for the storm, its forker, or the machine's other work
  forker.join();

  run.did("forks", forks);
  run.did("storm_ns", storm.used_ns);
  if (!run.clean()) run.measured({std::min<std::uint64_t>(storm.used_ns, waited_ns), waited_ns, 0, 0});
  run.expect({.leaf = "contention", .chain = {"main", "storm"}, .min_percent = 50, .detector = "fork storm"});
  return run.finish();
}
