// SPDX-License-Identifier: Apache-2.0
//
// stop_cont.cpp - a busy process is stopped by SIGSTOP and continued after a while.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "workload.hpp"

using namespace workload;

int main(int argc, char** argv) {
  Run run(argc, argv, "stop_cont", "a process is stopped", {{"stop", "100", "ms it stays stopped"}});
  const nanoseconds stop = run.milliseconds("stop");
  run.wait_for_start();

  const auto child = static_cast<pid_t>(check(fork(), "fork"));
  if (child == 0) {
    set_name("stopped");
    for (;;) burn_cpu(1ms);
  }
  sleep_for(20ms);
  std::uint64_t stopped_from = 0, stopped_to = 0;
  const std::uint64_t t0 = now_ns();
  if (run.clean()) {
    sleep_for(stop);
  } else {
    check(kill(child, SIGSTOP), "SIGSTOP");
    check(waitpid(child, nullptr, WUNTRACED), "waiting for the stop");
    stopped_from = now_ns();
    sleep_for(stop);
    stopped_to = now_ns();
    check(kill(child, SIGCONT), "SIGCONT");
    check(waitpid(child, nullptr, WCONTINUED), "waiting for the continuation");
  }
  const std::uint64_t t1 = now_ns();
  sleep_for(20ms);
  check(kill(child, SIGKILL), "SIGKILL");
  check(waitpid(child, nullptr, 0), "waitpid");

  run.interval(t0, t1, child);
  run.role("stopped", child);
  if (!run.clean()) run.measured({stopped_to - stopped_from, 0, stopped_from, stopped_to});
  run.expect({.leaf = "signal/stop", .chain = {"stopped", "main"}, .min_percent = 90, .detector = {}});
  return run.finish();
}
