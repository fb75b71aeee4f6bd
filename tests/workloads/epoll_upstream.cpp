// SPDX-License-Identifier: Apache-2.0
//
// epoll_upstream.cpp - a client asks an event-loop server, which asks an upstream that sleeps before it answers: the
// client waits for the upstream's timer, over unix sockets, pipes or TCP on the loopback device.
#include <sys/epoll.h>
#include <unistd.h>

#include "workload.hpp"

using namespace workload;

namespace {

// A connection in both directions: what one side sends, the other receives.
struct Link {
  int near_in, near_out, far_in, far_out;
};

Link connect_with(Run& run, const std::string& transport) {
  if (transport == "pipe") {
    const Pair there = make_pipe();
    const Pair back = make_pipe();
    return {back.first, there.second, there.first, back.second};
  }
  if (transport != "unix" && transport != "tcp") run.skip("no transport '" + transport + "': unix, pipe or tcp");
  const Pair pair = transport == "tcp" ? make_tcp_pair() : make_socketpair();
  return {pair.first, pair.first, pair.second, pair.second};
}

// Hands requests to the upstream and answers to the client, whichever is ready, until both have been passed on.
void serve(const Link& client, const Link& upstream, std::uint64_t requests) {
  const int epoll = static_cast<int>(check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
  for (const int fd : {client.far_in, upstream.near_in}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  }
  for (std::uint64_t answered = 0; answered < requests;) {
    epoll_event event{};
    check(epoll_wait(epoll, &event, 1, -1), "epoll_wait");
    await_go(event.data.fd);
    if (event.data.fd == client.far_in) {
      say_go(upstream.near_out);
    } else {
      say_go(client.far_out);
      ++answered;
    }
  }
  close(epoll);
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "epoll_upstream", "a server waits for its upstream, which sleeps",
          {{"transport", "unix", "unix, pipe or tcp"},
           {"sleep", "150", "ms the upstream takes"},
           {"requests", "1", "one after another"}});
  const nanoseconds sleep = run.milliseconds("sleep");
  const std::uint64_t requests = run.number("requests");
  const Link client = connect_with(run, run.text("transport"));
  const Link upstream = connect_with(run, run.text("transport"));
  run.wait_for_start();

  std::thread server = run.spawn("server", [&] { serve(client, upstream, requests); });
  std::uint64_t asleep_ns = 0, asleep_since = 0;
  std::thread answering = run.spawn("upstream", [&] {
    for (std::uint64_t i = 0; i < requests; ++i) {
      await_go(upstream.far_in);
      asleep_since = now_ns();
      if (!run.clean()) sleep_for(sleep);
      asleep_ns += now_ns() - asleep_since;
      say_go(upstream.far_out);
    }
  });
  wait_until_asleep(run.tid_of("server"));
  wait_until_asleep(run.tid_of("upstream"));

  run.begin();
  for (std::uint64_t i = 0; i < requests; ++i) {
    say_go(client.near_out);
    await_go(client.near_in);
  }
  run.end();
  server.join();
  answering.join();

  run.did("requests", requests);
  const auto asked = static_cast<std::uint64_t>(sleep.count());
  if (!run.clean()) run.measured({requests * asked, asleep_ns, asleep_since, asleep_since + asked});
  run.expect({.leaf = "timer", .chain = {"main", "server", "upstream"}, .min_percent = 95, .detector = {}});
  return run.finish();
}
