// SPDX-License-Identifier: Apache-2.0
//
// fork_exec_wait.cpp - a process waits for a child that executes another program, which sleeps and ends.
#include <sys/wait.h>
#include <unistd.h>

#include "workload.hpp"

using namespace workload;

int main(int argc, char** argv) {
  Run run(argc, argv, "fork_exec_wait", "waiting for a child that sleeps", {{"sleep", "100", "ms the child sleeps"}});
  const std::uint64_t ms = run.clean() ? 0 : run.number("sleep");
  const std::string seconds = std::to_string(ms / 1000) + "." + std::to_string(1000 + ms % 1000).substr(1);
  run.wait_for_start();

  run.begin();
  const auto child = static_cast<pid_t>(check(fork(), "fork"));
  if (child == 0) {
    execlp("sleep", "sleep", seconds.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  check(waitpid(child, &status, 0), "waitpid");
  run.end();
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1, "running sleep");

  run.role("child", child);
  run.did("forks", 1);
  run.did("execs", 1);
  if (!run.clean()) run.measured({ms * 1'000'000, 0, 0, 0});
  run.expect({.leaf = "timer", .chain = {"main", "child"}, .min_percent = 90, .detector = {}});
  return run.finish();
}
