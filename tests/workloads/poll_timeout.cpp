// SPDX-License-Identifier: Apache-2.0
//
// poll_timeout.cpp - a wait for something that does not happen ends by its timeout: epoll_wait or futex.
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

#include "workload.hpp"

using namespace workload;

namespace {

void wait_on_epoll(bool ready, int timeout_ms) {
  const Pair pipe = make_pipe();
  const int epoll = static_cast<int>(check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
  epoll_event event{};
  event.events = EPOLLIN;
  check(epoll_ctl(epoll, EPOLL_CTL_ADD, pipe.first, &event), "epoll_ctl");
  if (ready) say_go(pipe.second);
  check(epoll_wait(epoll, &event, 1, timeout_ms), "epoll_wait");
}

void wait_on_futex(bool ready, int timeout_ms) {
  std::uint32_t word = 0;
  const timespec timeout{timeout_ms / 1000, timeout_ms % 1000 * 1'000'000L};
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, ready ? 1 : 0, &timeout);
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "poll_timeout", "a wait that ends by its timeout",
          {{"timeout", "150", "ms"}, {"futex", "0", "1: a futex, not epoll_wait"}});
  const int timeout_ms = static_cast<int>(run.number("timeout"));
  const bool futex = run.number("futex") != 0;
  run.wait_for_start();

  run.begin();
  (futex ? wait_on_futex : wait_on_epoll)(run.clean(), timeout_ms);
  run.end();

  const auto asked = static_cast<std::uint64_t>(timeout_ms) * 1'000'000;
  if (!run.clean()) run.measured({asked, 0, run.t0(), run.t0() + asked});
  run.expect({.leaf = "timer", .chain = {"main"}, .min_percent = 97, .detector = {}});
  return run.finish();
}
