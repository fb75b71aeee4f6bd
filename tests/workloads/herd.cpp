// SPDX-License-Identifier: Apache-2.0
//
// herd.cpp - many threads wait for connections on one listener: each connection wakes all of them and one is of use.
// The clean twin says EPOLLEXCLUSIVE.
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "workload.hpp"

using namespace workload;

namespace {

// An abstract unix socket of this process: no file to clean up.
sockaddr_un own_address(socklen_t& length) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "kflight-herd-" + std::to_string(getpid());
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

struct Shared {
  int listener = -1;
  std::uint32_t events = EPOLLIN;
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> sleeps = 0, accepted = 0;
};

// How often this thread went to sleep. The kernel wakes all waiters but lets epoll_wait return only to those who still
// find something, so counting returns would hide the herd.
std::uint64_t own_sleeps() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return static_cast<std::uint64_t>(usage.ru_nvcsw);
}

void wait_for_connections(Shared& shared) {
  const int epoll = static_cast<int>(check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
  epoll_event event{};
  event.events = shared.events;
  check(epoll_ctl(epoll, EPOLL_CTL_ADD, shared.listener, &event), "epoll_ctl");
  while (!shared.stop) {
    if (check(epoll_wait(epoll, &event, 1, 50), "epoll_wait") == 0) continue;
    const int connection = accept4(shared.listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    ++shared.accepted;
    close(connection);
  }
  close(epoll);
  shared.sleeps += own_sleeps();
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "herd", "every connection wakes all waiters",
          {{"threads", "32", "waiters"}, {"connections", "200", "one per ms"}});
  const std::uint64_t threads = run.number("threads");
  const std::uint64_t connections = run.number("connections");
  run.wait_for_start();

  socklen_t length = 0;
  const sockaddr_un address = own_address(length);
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  Shared shared;
  shared.listener = static_cast<int>(check(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
  check(bind(shared.listener, name, length), "bind");
  check(listen(shared.listener, 128), "listen");
  if (run.clean()) shared.events |= EPOLLEXCLUSIVE;
  std::vector<std::thread> waiters;
  for (std::uint64_t i = 0; i < threads; ++i) {
    waiters.push_back(run.spawn("waiter" + std::to_string(i), [&] { wait_for_connections(shared); }));
  }

  run.begin();
  for (std::uint64_t i = 0; i < connections; ++i) {
    const int fd = static_cast<int>(check(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    check(connect(fd, name, length), "connect");
    sleep_for(1ms);
    close(fd);
  }
  run.end();
  shared.stop = true;
  for (std::thread& waiter : waiters) waiter.join();

  run.did("connections", connections);
  run.did("accepted", shared.accepted);
  run.did("sleeps", shared.sleeps);
  run.expect({.leaf = {}, .chain = {}, .min_percent = 0, .detector = "herd"});
  return run.finish();
}
