// SPDX-License-Identifier: Apache-2.0
//
// counts.cpp - a known number of forks, pipe round trips and system calls, beside what the kernel counted per thread: a
// recorder that lost or invented nothing has exactly these.
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workload.hpp"

using namespace workload;

namespace {

void fork_children(std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto child = static_cast<pid_t>(check(fork(), "fork"));
    if (child == 0) _exit(0);
    check(waitpid(child, nullptr, 0), "waitpid");
  }
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "counts", "forks, round trips and system calls, counted",
          {{"forks", "20", "processes to fork and reap"},
           {"round-trips", "2000", "bytes to send to the echo thread and back"},
           {"getppid", "10000", "system calls that never block"}});
  const std::uint64_t forks = run.number("forks");
  const std::uint64_t round_trips = run.number("round-trips");
  const std::uint64_t calls = run.number("getppid");
  run.wait_for_start();

  const Pair there = make_pipe();
  const Pair back = make_pipe();
  const Pair done = make_pipe();
  Tally echo_tally, main_tally;
  std::thread echo = run.spawn("echo", [&] {
    echo_tally.begin();
    for (std::uint64_t i = 0; i < round_trips; ++i) {
      await_go(there.first);
      say_go(back.second);
    }
    echo_tally.end();
    say_go(done.second);
  });

  run.begin();
  main_tally.begin();
  for (std::uint64_t i = 0; i < round_trips; ++i) {
    say_go(there.second);
    await_go(back.first);
  }
  for (std::uint64_t i = 0; i < calls; ++i) syscall(SYS_getppid);
  fork_children(forks);
  main_tally.end();
  await_go(done.first);
  run.end();
  echo.join();

  run.did("forks", forks);
  run.did("round_trips", round_trips);
  run.did("getppid", calls);
  run.tally("main", main_tally);
  run.tally("echo", echo_tally);
  return run.finish();
}
