// SPDX-License-Identifier: Apache-2.0
//
// startup.cpp - what a recorder takes, in time and memory, before its first event, if the machine had so many CPUs: loads
// and attaches the real programs with as many rings as that, starts the consumer on them, takes the snapshot, flushes and
// stops again. The kernel makes per-CPU values only for the CPUs there are: their size is read from it and multiplied.
// As root.   usage: bench_startup [possible CPUs] [MiB per ring]
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "base/clocks.hpp"
#include "record/consumer.hpp"
#include "record/loader.hpp"
#include "record/loss_watch.hpp"

namespace {

using namespace kflight;
using namespace kflight::record;

template <class T>
T must(Result<T> result) {
  if (result) return *std::move(result);
  fmt::print(stderr, "bench_startup: {}\n", result.error().what);
  std::exit(1);
}
void must(const Result<>& result) {
  if (result) return;
  fmt::print(stderr, "bench_startup: {}\n", result.error().what);
  std::exit(1);
}

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Runs it and says how long that took.
template <class Fn>
auto timed(const char* what, Fn&& fn) {
  struct Say {
    const char* what;
    double begin = seconds();
    ~Say() { fmt::print("{:<28} {:>8.1f} ms\n", what, (seconds() - begin) * 1e3); }
  } say{what};
  return fn();
}

struct MapMemory {
  std::uint64_t shared = 0;   // bytes, all maps but the per-CPU ones
  std::uint64_t per_cpu = 0;  // bytes for each CPU
};

// Of the maps this process holds, as /proc/self/fdinfo tells.
MapMemory map_memory() {
  constexpr unsigned kPercpuArray = 6;
  std::map<std::uint64_t, MapMemory> by_id;  // a map may have several descriptors
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::map<std::string, std::uint64_t> facts;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);)
      if (const auto colon = line.find(':'); colon != std::string::npos)
        facts[line.substr(0, colon)] = std::strtoull(line.c_str() + colon + 1, nullptr, 0);
    if (!facts.contains("map_id")) continue;
    const bool per_cpu = facts["map_type"] == kPercpuArray;
    const std::uint64_t values = (facts["value_size"] + 7) / 8 * 8 * facts["max_entries"];
    by_id[facts["map_id"]] = per_cpu ? MapMemory{0, values} : MapMemory{facts["memlock"], 0};
  }
  MapMemory sum;
  for (const auto& [id, memory] : by_id) sum.shared += memory.shared, sum.per_cpu += memory.per_cpu;
  return sum;
}

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

int main(int argc, char** argv) {
  const auto cpus = static_cast<std::uint32_t>(argc > 1 ? std::atoi(argv[1]) : static_cast<int>(possible_cpus()));
  const std::uint64_t ring_bytes = (argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 8) << 20;
  if (cpus < possible_cpus() || cpus > 8192 || ring_bytes == 0) {
    fmt::print(stderr, "usage: bench_startup [possible CPUs, {} to 8192] [MiB per ring]\n", possible_cpus());
    return 2;
  }
  kf_config config{};
  config.everyone = 1;
  config.syscalls = KF_SYSCALLS_SLOW;
  config.stacks = KF_STACKS_BLOCKED;
  config.causes = 1;
  config.own_tgid = static_cast<std::uint32_t>(getpid());
  config.flush_age_ns = 100'000'000;

  fmt::print("{} possible CPUs\n", cpus);
  Loader loader = timed("load", [&] { return must(Loader::load(config, must(read_kernel_caps()), {.ring_bytes = ring_bytes, .open_calls_max = 16384, .cpus = cpus})); });
  LossWatch losses(cpus);
  std::uint64_t chunks = 0, events = 0;  // consumer's thread, until it has stopped
  Consumer consumer({.on_chunk =
                         [&](const void* chunk, std::size_t) {
                           const auto& head = *static_cast<const kf_chunk*>(chunk);
                           losses.see(head);
                           ++chunks;
                           events += head.n_events;
                         },
                     .on_control = [](const kf_ctl&) {},
                     .on_stack = [](const void*, std::size_t) {},
                     .on_tick = [] { return std::chrono::seconds(1); }});
  timed("attach", [&] { must(loader.attach()); });
  timed("start the consumer", [&] {
    must(consumer.start({.data = loader.data_rings(),
                         .control = loader.control_ring(),
                         .stacks = loader.stack_ring(),
                         .bytes = loader.ring_bytes()}));
  });
  const auto tasks = timed("snapshot", [&] { return must(loader.snapshot()); });
  timed("flush and drain", [&] {
    must(loader.flush());
    consumer.drain();
  });
  const MapMemory maps = map_memory();
  timed("detach and stop", [&] {
    loader.detach();
    consumer.stop();
  });
  fmt::print("{} threads; {} events in {} chunks, {} lost\n", tasks.size(), events, chunks, losses.totals().ring_events);
  const std::uint64_t rings = loader.data_rings().size() * loader.ring_bytes();
  fmt::print("{} data rings of {:.2f} MiB   {:>8.1f} MiB\n", loader.data_rings().size(), mib(loader.ring_bytes()), mib(rings));
  fmt::print("other shared maps            {:>8.1f} MiB\n", mib(maps.shared - std::min(maps.shared, rings)));
  fmt::print("per-CPU maps, {:>5} bytes each {:>6.1f} MiB\n", maps.per_cpu, mib(maps.per_cpu * cpus));
  return 0;
}
