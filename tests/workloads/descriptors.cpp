// SPDX-License-Identifier: Apache-2.0
//
// descriptors.cpp - threads that wait in read of a pipe, a socket and an eventfd: first until somebody writes, then on.
#include <sys/eventfd.h>
#include <unistd.h>

#include "workload.hpp"

using namespace workload;

int main(int argc, char** argv) {
  Run run(argc, argv, "descriptors", "threads read from a pipe, a socket and an eventfd", {{"wait", "50", "ms"}});
  const Pair pipe = make_pipe(), socket = make_socketpair(), other_pipe = make_pipe();
  const int event = static_cast<int>(check(eventfd(0, EFD_CLOEXEC), "eventfd"));
  run.wait_for_start();

  run.begin();
  const auto reads = [](int fd) {
    return [fd] {
      std::uint64_t word = 0;
      while (check(read(fd, &word, sizeof word), "read") > 0) {
      }
    };
  };
  run.spawn("pipe", reads(pipe.first)).detach();
  run.spawn("socket", reads(socket.first)).detach();
  run.spawn("eventfd", reads(event)).detach();
  std::thread once = run.spawn("once", [&] { await_go(other_pipe.first); });
  for (const char* reader : {"pipe", "socket", "eventfd", "once"}) wait_until_asleep(run.tid_of(reader));
  sleep_for(run.milliseconds("wait"));
  const std::uint64_t word = 1;
  for (const int fd : {pipe.second, socket.second, event}) check(write(fd, &word, sizeof word), "write");
  say_go(other_pipe.second);
  once.join();
  for (const char* reader : {"pipe", "socket", "eventfd"}) wait_until_asleep(run.tid_of(reader));
  run.end();
  return run.finish();
}
