// SPDX-License-Identifier: Apache-2.0
//
// pipe_pingpong.cpp - a request goes to a thread that computes an answer: the waiting is that thread's CPU time.
#include <algorithm>
#include <atomic>

#include "workload.hpp"

using namespace workload;

int main(int argc, char** argv) {
  Run run(argc, argv, "pipe_pingpong", "waiting for a thread that computes",
          {{"rounds", "100", "requests"}, {"compute-us", "1000", "CPU time per answer"}});
  const std::uint64_t rounds = run.number("rounds");
  const std::chrono::microseconds compute(run.clean() ? 0 : run.number("compute-us"));
  run.wait_for_start();

  const Pair request = make_pipe();
  const Pair answer = make_pipe();
  std::atomic<std::uint64_t> server_cpu_ns = 0;
  std::uint64_t burnt_ns = 0, burnt_cpu_ns = 0;  // the server's until it is joined
  std::thread server = run.spawn("server", [&] {
    const std::uint64_t before = cpu_ns();
    for (std::uint64_t i = 0; i < rounds; ++i) {
      await_go(request.first);
      const std::uint64_t begun = now_ns(), cpu_begun = cpu_ns();
      burn_cpu(compute);
      burnt_cpu_ns += cpu_ns() - cpu_begun;
      burnt_ns += now_ns() - begun;
      if (i + 1 == rounds) server_cpu_ns = cpu_ns() - before;
      say_go(answer.second);
    }
  });

  const std::uint64_t stolen_before = stolen_ns();
  run.begin();
  for (std::uint64_t i = 0; i < rounds; ++i) {
    say_go(request.second);
    await_go(answer.first);
  }
  run.end();
  server.join();

  // The CPU clock leaves out interrupts and what the hypervisor took; kflight sees the thread on its CPU all the same.
  const std::uint64_t left_out_ns = burnt_ns - std::min(burnt_ns, burnt_cpu_ns);
  run.did("rounds", rounds);
  run.did("server_cpu_ns", server_cpu_ns);
  if (run.clean())
    run.did("unavoidable_ns", server_cpu_ns + stolen_ns() - stolen_before);  // a hundred system calls, at any speed
  else
    run.measured({server_cpu_ns, server_cpu_ns + left_out_ns, 0, 0});
  run.expect({.leaf = "cpu:user", .chain = {"main", "server"}, .min_percent = 90, .detector = {}});
  return run.finish();
}
