// SPDX-License-Identifier: Apache-2.0
//
// thread_churn.cpp - threads are started at a steady rate and park in a read for good: a leak. The clean twin starts as
// many, but each ends.
#include <unistd.h>

#include "workload.hpp"

using namespace workload;

int main(int argc, char** argv) {
  Run run(argc, argv, "thread_churn", "threads that are started and never end",
          {{"threads", "100", "how many"}, {"every", "10", "ms between two starts"}});
  const std::uint64_t count = run.number("threads");
  const nanoseconds every = run.milliseconds("every");
  run.wait_for_start();

  const Pair never = make_pipe();
  std::vector<std::thread> threads;
  const std::uint64_t t0 = now_ns();
  for (std::uint64_t i = 0; i < count; ++i) {
    threads.push_back(run.spawn("parked" + std::to_string(i), [&] {
      char byte = 0;
      if (!run.clean()) check(read(never.first, &byte, 1), "parking in a read");
    }));
    sleep_for(every);
  }
  // The first one, from the second one's start on.
  run.interval(t0 + static_cast<std::uint64_t>(every.count()), now_ns(), run.tid_of("parked0"));

  run.did("created", count);
  run.did("live", run.clean() ? 0 : count);
  if (!run.clean()) run.measured({run.t1() - run.t0(), 0, run.t0(), run.t1()});
  run.expect({.leaf = "still-blocked", .chain = {"parked0"}, .min_percent = 99, .detector = "thread leak"});
  const int status = run.finish();
  close(never.second);
  for (std::thread& thread : threads) thread.join();
  return status;
}
