// SPDX-License-Identifier: Apache-2.0
//
// stall_server.cpp - a small server with a familiar fault: every so many requests the worker that serves one writes the
// journal out while it holds the lock that all workers need. Most requests take a fraction of a millisecond, some wait
// for the whole write. Clients are threads of the same program, one connection each; slow requests are printed to
// stderr as they are seen. The subject is the client of the slowest request.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "workload.hpp"

using namespace workload;

namespace {

struct Settings {
  nanoseconds hold, pause, slow;
  std::uint64_t every, fsync_mib;
  int journal_fd;
  bool stalls;
};

struct Server {
  Settings settings;
  std::mutex journal_mutex;  // guards the journal and `requests`
  std::uint64_t requests = 0;
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> stalls = 0;
};

// A byte within the time, or false. Polling keeps idle workers out of what a trigger for slow calls sees.
bool receive(int fd, int timeout_ms) {
  pollfd entry{fd, POLLIN, 0};
  char byte = 0;
  return poll(&entry, 1, timeout_ms) == 1 && read(fd, &byte, 1) == 1;
}

// The planted cause: slow work under the lock.
void write_journal_out(Server& server) {
  const Settings& settings = server.settings;
  ++server.stalls;
  if (settings.fsync_mib == 0) {
    sleep_for(settings.hold);
    return;
  }
  const std::string block(1 << 20, 'j');
  for (std::uint64_t i = 0; i < settings.fsync_mib; ++i) {
    check(pwrite(settings.journal_fd, block.data(), block.size(), static_cast<off_t>(i << 20)), "writing the journal");
  }
  check(fsync(settings.journal_fd), "fsync of the journal");
}

void work(Server& server, int connection) {
  while (!server.stop) {
    if (!receive(connection, 50)) continue;
    {
      const std::lock_guard lock(server.journal_mutex);
      burn_cpu(20us);
      if (++server.requests % server.settings.every == 0 && server.settings.stalls) write_journal_out(server);
    }
    say_go(connection);
  }
}

// What a client saw.
struct Seen {
  std::uint64_t slowest_t0 = 0, slowest_t1 = 0;
  std::vector<std::uint64_t> latencies_ns;
};

void ask(Server& server, int connection, Seen& seen) {
  while (!server.stop) {
    const std::uint64_t t0 = now_ns();
    say_go(connection);
    while (!receive(connection, 1000) && !server.stop) {
    }
    const std::uint64_t t1 = now_ns();
    seen.latencies_ns.push_back(t1 - t0);
    if (t1 - t0 > seen.slowest_t1 - seen.slowest_t0) seen.slowest_t0 = t0, seen.slowest_t1 = t1;
    if (nanoseconds(t1 - t0) > server.settings.slow) {
      dprintf(STDERR_FILENO, "slow request: %.1f ms\n", static_cast<double>(t1 - t0) / 1e6);
    }
    sleep_for(server.settings.pause);
  }
}

std::uint64_t median(std::vector<std::uint64_t> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Settings read_settings(const Run& run) {
  Settings settings{};
  settings.hold = run.milliseconds("hold");
  settings.pause = run.milliseconds("pause");
  settings.slow = run.milliseconds("slow");
  settings.every = run.number("every");
  settings.fsync_mib = run.number("fsync-mib");
  settings.journal_fd = settings.fsync_mib > 0 ? unnamed_file(run.text("dir")) : -1;
  settings.stalls = !run.clean();
  return settings;
}

}  // namespace

int main(int argc, char** argv) {
  Run run(argc, argv, "stall_server", "a server that holds a lock during slow work",
          {{"run", "1500", "ms"},
           {"workers", "3", "threads that serve, each one client"},
           {"every", "600", "requests between two stalls"},
           {"hold", "120", "ms of sleep under the lock"},
           {"fsync-mib", "0", "not a sleep but writing and fsync of that many MiB"},
           {"dir", "/var/tmp", "folder of the journal"},
           {"pause", "2", "ms between two requests of a client"},
           {"slow", "50", "ms from which on a request is printed"}});
  const nanoseconds duration = run.milliseconds("run");
  const std::uint64_t workers = run.number("workers");
  Server server;
  server.settings = read_settings(run);
  run.wait_for_start();

  std::vector<std::thread> threads;
  std::vector<Seen> seen(workers);
  for (std::uint64_t i = 0; i < workers; ++i) {
    const Pair connection = make_socketpair();
    threads.push_back(
        run.spawn("worker" + std::to_string(i), [&server, connection] { work(server, connection.second); }));
    threads.push_back(run.spawn("client" + std::to_string(i),
                                [&server, connection, &mine = seen[i]] { ask(server, connection.first, mine); }));
  }
  sleep_for(duration);
  server.stop = true;
  for (std::thread& thread : threads) thread.join();

  std::uint64_t worst = 0;
  std::vector<std::uint64_t> latencies_ns;
  for (std::uint64_t i = 0; i < workers; ++i) {
    if (seen[i].slowest_t1 - seen[i].slowest_t0 > seen[worst].slowest_t1 - seen[worst].slowest_t0) worst = i;
    latencies_ns.insert(latencies_ns.end(), seen[i].latencies_ns.begin(), seen[i].latencies_ns.end());
  }
  run.interval(seen[worst].slowest_t0, seen[worst].slowest_t1, run.tid_of("client" + std::to_string(worst)));
  run.did("median_ns", median(std::move(latencies_ns)));
  run.did("requests", server.requests);
  run.did("stalls", server.stalls);
  run.expect(
      {.leaf = server.settings.fsync_mib > 0 ? "disk" : "timer", .chain = {}, .min_percent = 80, .detector = {}});
  return run.finish();
}
