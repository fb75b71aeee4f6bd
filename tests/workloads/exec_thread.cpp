// SPDX-License-Identifier: Apache-2.0
//
// exec_thread.cpp - in a child process a thread that is not the leader calls exec: the kernel ends the others and gives
// it the leader's id. In the clean twin the leader itself calls exec.
#include <sys/wait.h>
#include <unistd.h>

#include "workload.hpp"

using namespace workload;

namespace {

[[noreturn]] void become_sleep(int report_fd) {
  const pid_t tid = own_tid();
  check(write(report_fd, &tid, sizeof(tid)), "reporting the tid");
  execlp("sleep", "sleep", "0.05", nullptr);
  _exit(127);
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "exec_thread", "a thread that is not the leader calls exec");
  run.wait_for_start();

  const Pair report = make_pipe();
  run.begin();
  const auto child = static_cast<pid_t>(check(fork(), "fork"));
  if (child == 0) {
    if (run.clean()) become_sleep(report.second);
    std::thread([&] { become_sleep(report.second); }).join();
  }
  pid_t exec_tid = 0;
  check(read(report.first, &exec_tid, sizeof(exec_tid)), "reading the tid");
  int status = 0;
  check(waitpid(child, &status, 0), "waitpid");
  run.end();
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1, "running sleep");

  run.role("child", child);
  run.role("exec_thread", exec_tid);
  run.did("forks", run.clean() ? 1 : 2);
  run.did("execs", 1);
  run.measured({50'000'000, 0, 0, 0});
  run.expect({.leaf = "timer", .chain = {"main", "child"}, .min_percent = 0, .detector = {}});
  return run.finish();
}
