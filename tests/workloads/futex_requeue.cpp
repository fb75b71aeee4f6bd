// SPDX-License-Identifier: Apache-2.0
//
// futex_requeue.cpp - a broadcast moves the waiters of a condition to the queue of a mutex that the broadcaster keeps,
// computing: FUTEX_CMP_REQUEUE by hand, because today's glibc does not use it.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>

#include "workload.hpp"

using namespace workload;

namespace {

using Word = std::atomic<std::uint32_t>;

long futex(Word& word, int op, std::uint64_t value, std::uint64_t value2 = 0, Word* other = nullptr,
           std::uint32_t expected = 0) {
  return syscall(SYS_futex, &word, op | FUTEX_PRIVATE_FLAG, value, value2, other, expected);
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "futex_requeue", "waiters are moved to a mutex that is kept",
          {{"hold", "120", "ms of CPU of the broadcaster"}, {"waiters", "3", "how many"}});
  const nanoseconds hold = run.clean() ? 0ns : run.milliseconds("hold");
  const std::uint64_t count = run.number("waiters");
  run.wait_for_start();

  const std::uint64_t cpu_before = cpu_ns();
  Word condition = 0, mutex = 0;
  std::uint64_t t0 = 0, t1 = 0;
  std::vector<std::thread> waiters;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string role = "waiter" + std::to_string(i);
    waiters.push_back(run.spawn(role, [&, first = i == 0] {
      if (first) t0 = now_ns();
      futex(condition, FUTEX_WAIT, 0);
      if (first) t1 = now_ns();
      futex(mutex, FUTEX_WAKE, 1);
    }));
    wait_until_asleep(run.tid_of(role));
  }

  const auto moved = check(futex(condition, FUTEX_CMP_REQUEUE, 0, INT_MAX, &mutex, 0), "FUTEX_CMP_REQUEUE");
  const std::uint64_t held_from = now_ns();
  burn_cpu(hold);
  const std::uint64_t held_to = now_ns();
  futex(mutex, FUTEX_WAKE, 1);
  const std::uint64_t used_ns = cpu_ns() - cpu_before;
  for (std::thread& waiter : waiters) waiter.join();

  run.interval(t0, t1, run.tid_of("waiter0"));
  run.did("moved", static_cast<std::uint64_t>(moved));
  if (run.clean())
    run.did("unavoidable_ns", used_ns);  // to start the other waiters, and see them asleep
  else
    run.measured({static_cast<std::uint64_t>(hold.count()), held_to - t0, held_from, held_to});
  run.expect({.leaf = "cpu:user", .chain = {"waiter0", "main"}, .min_percent = 90, .detector = {}});
  return run.finish();
}
