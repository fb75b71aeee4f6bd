// SPDX-License-Identifier: Apache-2.0
//
// nesting_stress.cpp - as many scheduler and syscall events as the machine can make, with interrupts that cause more of
// them in between: per CPU timers of a few tens of microseconds that wake readers or send signals, threads that bounce
// bytes through pipes, and plain system calls. The stress for a recorder whose programs can interrupt each other.
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <ctime>

#include "workload.hpp"

using namespace workload;

namespace {

struct Totals {
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> expirations = 0, wakes = 0, round_trips = 0, calls = 0;
};

std::atomic<std::uint64_t> signals_seen = 0;

itimerspec every(std::uint64_t us) {
  const auto ns = static_cast<long>(us) * 1000;
  return {{0, ns}, {0, ns}};
}

void read_timer(Totals& totals, std::uint64_t us) {
  const int fd = static_cast<int>(check(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd_create"));
  const itimerspec period = every(us);
  check(timerfd_settime(fd, 0, &period, nullptr), "timerfd_settime");
  while (!totals.stop) {
    std::uint64_t expired = 0;
    if (read(fd, &expired, sizeof(expired)) != sizeof(expired)) continue;
    totals.expirations += expired;
    ++totals.wakes;
  }
  close(fd);
}

// System calls under a timer that signals this thread.
void call_under_signals(Totals& totals, std::uint64_t us) {
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGUSR2;
  event._sigev_un._tid = own_tid();
  timer_t timer{};
  check(timer_create(CLOCK_MONOTONIC, &event, &timer), "timer_create");
  const itimerspec period = every(us);
  check(timer_settime(timer, 0, &period, nullptr), "timer_settime");
  std::uint64_t calls = 0;
  for (; !totals.stop; ++calls) syscall(SYS_getppid);
  timer_delete(timer);
  totals.calls += calls;
}

void bounce(Totals& totals, int in, int out, bool counts) {
  char byte = 'b';
  while (!totals.stop) {
    if (read(in, &byte, 1) != 1) return;
    if (write(out, &byte, 1) != 1) return;
    if (counts) ++totals.round_trips;
  }
}

}  // namespace

int main(int argc, char** argv) {
  Run run(
      argc, argv, "nesting_stress", "events inside events",
      {{"run", "1000", "ms"}, {"pairs", "2", "of each kind of thread per CPU"}, {"timer-us", "20", "shortest period"}});
  const nanoseconds duration = run.milliseconds("run");
  const std::uint64_t pairs = run.number("pairs") * std::thread::hardware_concurrency();
  const std::uint64_t timer_us = run.number("timer-us");
  struct sigaction count_signal {};
  count_signal.sa_handler = [](int) { ++signals_seen; };
  count_signal.sa_flags = SA_RESTART;
  check(sigaction(SIGUSR2, &count_signal, nullptr), "sigaction");
  run.wait_for_start();

  Totals totals;
  std::vector<std::thread> threads;
  std::vector<Pair> pipes;
  run.begin();
  for (std::uint64_t i = 0; i < pairs; ++i) {
    const Pair there = make_pipe();
    const Pair back = make_pipe();
    pipes.push_back(there);
    pipes.push_back(back);
    threads.emplace_back([&totals, us = timer_us + 10 * (i % 4)] { read_timer(totals, us); });
    threads.emplace_back([&totals, us = timer_us + 15 * (i % 3)] { call_under_signals(totals, us); });
    threads.emplace_back([&totals, there, back] { bounce(totals, there.first, back.second, true); });
    threads.emplace_back([&totals, there, back] { bounce(totals, back.first, there.second, false); });
    say_go(there.second);
  }
  sleep_for(duration);
  totals.stop = true;
  for (const Pair& pipe : pipes) say_go(pipe.second);  // whoever still reads sees it and stops
  for (std::thread& thread : threads) thread.join();
  run.end();

  run.did("timer_expirations", totals.expirations);
  run.did("timer_wakes", totals.wakes);
  run.did("signals", signals_seen);
  run.did("round_trips", totals.round_trips);
  run.did("getppid", totals.calls);
  return run.finish();
}
