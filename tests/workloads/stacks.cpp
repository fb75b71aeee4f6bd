// SPDX-License-Identifier: Apache-2.0
//
// stacks.cpp - functions that stacks have to name: one that needs a lock, one that sleeps with it, one that computes.
// None is inlined, and the program keeps frame pointers (CMakeLists.txt).
#include "workload.hpp"

using namespace workload;

namespace store {

volatile std::uint64_t sink = 0;

class Cache {
 public:
  explicit Cache(nanoseconds refill_time) : refill_time_(refill_time) {}

  [[gnu::noinline]] void get() {
    mutex_.lock();
    mutex_.unlock();
    sink = sink + 1;  // a call in the last place would leave no frame
  }
  [[gnu::noinline]] void refill(int started, bool locked) {
    if (locked) mutex_.lock();
    say_go(started);
    fetch_rows();
    if (locked) mutex_.unlock();
    sink = sink + 1;
  }

 private:
  [[gnu::noinline]] void fetch_rows() {
    sleep_for(refill_time_);
    sink = sink + 1;
  }

  nanoseconds refill_time_;
  std::mutex mutex_;
};

// No call in it: every sample of it has it as its innermost frame.
[[gnu::noinline]] std::uint64_t checksum(std::uint64_t rounds) {
  std::uint64_t h = sink;
  for (std::uint64_t i = 0; i < rounds; ++i) h = (h ^ i) * 0x9fb21c651e98df25ull;
  return h;
}

[[gnu::noinline]] void compute(nanoseconds cpu_time) {
  const std::uint64_t end = cpu_ns() + static_cast<std::uint64_t>(cpu_time.count());
  while (cpu_ns() < end) sink = checksum(200'000);
}

}  // namespace store

int main(int argc, char** argv) {
  Run run(argc, argv, "stacks", "a lock that is held by a thread which sleeps, then computing",
          {{"hold", "100", "ms the holder sleeps with the lock"}, {"compute", "0", "ms of CPU the subject uses then"}});
  store::Cache cache(run.milliseconds("hold"));
  run.wait_for_start();

  const Pair locked = make_pipe();
  std::thread holder = run.spawn("holder", [&] { cache.refill(locked.second, !run.clean()); });
  await_go(locked.first);
  wait_until_asleep(run.tid_of("holder"));
  run.begin();
  cache.get();
  if (run.number("compute") != 0) store::compute(run.milliseconds("compute"));
  run.end();
  holder.join();

  run.expect({.leaf = "timer", .chain = {"main", "holder"}, .min_percent = 97, .detector = {}});
  return run.finish();
}
