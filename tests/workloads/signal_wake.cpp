// SPDX-License-Identifier: Apache-2.0
//
// signal_wake.cpp - a thread waits for a signal that another process sends after a while.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "workload.hpp"

using namespace workload;

int main(int argc, char** argv) {
  Run run(argc, argv, "signal_wake", "waiting for a signal", {{"after", "100", "ms until it is sent"}});
  const nanoseconds after = run.clean() ? 0ns : run.milliseconds("after");
  run.wait_for_start();

  sigset_t blocked, open;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  check(sigprocmask(SIG_BLOCK, &blocked, &open), "sigprocmask");
  std::signal(SIGUSR2, [](int) {});

  const pid_t receiver = getpid();
  const Pair begun = make_pipe();
  run.begin();
  const auto sender = static_cast<pid_t>(check(fork(), "fork"));
  if (sender == 0) {
    set_name("sender");
    std::uint64_t told[2] = {now_ns(), 0};
    sleep_for(after);
    told[1] = delay_ns();
    check(write(begun.second, told, sizeof(told)), "telling the time");
    _exit(kill(receiver, SIGUSR2) == 0 ? 0 : 1);
  }
  sigsuspend(&open);
  run.end();
  check(waitpid(sender, nullptr, 0), "waitpid");

  std::uint64_t told[2] = {0, 0};
  check(read(begun.first, told, sizeof(told)), "being told the time");
  const auto [asleep_since, sender_delayed] = told;
  const auto asked = static_cast<std::uint64_t>(after.count());
  if (!run.clean()) run.measured({asked, 0, asleep_since, asleep_since + asked});
  run.role("sender", sender, sender_delayed);
  run.did("signals", 1);
  run.expect({.leaf = "timer", .chain = {"main", "sender"}, .min_percent = 90, .detector = {}});
  return run.finish();
}
