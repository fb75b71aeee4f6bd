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
  run.begin();
  for (std::uint64_t i = 0; i < count; ++i) {
    threads.emplace_back([&] {
      char byte = 0;
      if (!run.clean()) check(read(never.first, &byte, 1), "parking in a read");
    });
    sleep_for(every);
  }
  run.end();

  run.did("created", count);
  run.did("live", run.clean() ? 0 : count);
  run.expect({.leaf = {}, .chain = {}, .min_percent = 0, .detector = "thread leak"});
  const int status = run.finish();
  close(never.second);
  for (std::thread& thread : threads) thread.join();
  return status;
}
