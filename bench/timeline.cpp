// SPDX-License-Identifier: Apache-2.0
//
// timeline.cpp - what does it cost to turn a window into a Timeline and to explain an operation in it? Generates
// events of request chains (client, server, lock holder, disk) on some CPUs on the fly, so that the events themselves
// take no memory, and prints build time, resident memory and explain times.
//   bench_timeline [EVENTS] [THREADS]
#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdlib>
#include <random>
#include <vector>

#include "analyze/explain.hpp"
#include "dump/syscalls.hpp"
#include "model/timeline_builder.hpp"

namespace {

using namespace kflight;
// Of this process: the machine may be busy with other things.
double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double resident_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

// Every CPU runs its own set of threads in turn: the current one blocks in a call, the next one has been woken by it or
// by an interrupt. Half of the calls return with an event.
class Load {
 public:
  Load(std::uint32_t cpus, std::uint32_t threads) : per_cpu_(threads / cpus), cpus_(cpus) {
    calls_ = {*dump::syscall_nr("futex"), *dump::syscall_nr("read"), *dump::syscall_nr("epoll_wait")};
    nsw_.resize(threads + 1);
  }

  std::uint64_t feed(model::TimelineBuilder& builder, std::uint64_t events) {
    for (std::uint64_t n = 0; n < events; n += 5) {
      now_ns_ += 400 + random_() % 1600;
      step(builder, static_cast<std::uint16_t>(random_() % cpus_.size()));
    }
    return now_ns_;
  }

 private:
  struct Cpu {
    std::uint32_t current = 0;  // index of the thread in the CPU's set
  };

  std::uint32_t tid(std::uint16_t cpu, std::uint32_t index) const { return cpu * per_cpu_ + index + 1; }

  void step(model::TimelineBuilder& builder, std::uint16_t cpu) {
    const std::uint32_t current = tid(cpu, cpus_[cpu].current);
    cpus_[cpu].current = (cpus_[cpu].current + 1) % per_cpu_;
    const std::uint32_t next = tid(cpu, cpus_[cpu].current);
    // Half of the time the next one is woken from the other CPU.
    const auto waker_cpu = static_cast<std::uint16_t>(random_() % 2 ? cpu : (cpu + 1) % cpus_.size());
    WakingEvent waking;
    head(waking, waker_cpu, waker_cpu == cpu ? current : tid(waker_cpu, cpus_[waker_cpu].current));
    waking.wakee = next;
    waking.has_wakeup = true;
    waking.wakeup_ns = now_ns_ + 3;
    waking.target_cpu = cpu;
    builder.add(waking);
    now_ns_ += 50;
    returns(builder, cpu, current);
    SwitchEvent out;
    head(out, cpu, current);
    out.next_tid = next;
    out.prev_state = KF_ST_SLEEP;
    out.nsw = ++nsw_[current];
    out.has_sys = true;
    out.sys.nr = calls_[random_() % calls_.size()];
    out.sys.args[0] = random_() % 64;
    out.sys.args_taken = KF_ARGS_0;
    out.enter_ns = now_ns_ - 20;
    builder.add(out);
    now_ns_ += 100;
    for (int i = 0; i < 2; ++i) returns(builder, cpu, next);
  }

  void returns(model::TimelineBuilder& builder, std::uint16_t cpu, std::uint32_t tid) {
    SyscallEvent call;
    head(call, cpu, tid);
    call.nr = calls_[0];
    call.enter_ns = now_ns_ - 10;
    builder.add(call);
    now_ns_ += 15;
  }

  void head(EventHead& event, std::uint16_t cpu, std::uint32_t tid) const { event = {now_ns_, tid, cpu, false}; }

  std::uint32_t per_cpu_;
  std::vector<Cpu> cpus_;
  std::vector<std::uint32_t> calls_;
  std::vector<std::uint8_t> nsw_;
  std::mt19937_64 random_{1};
  std::uint64_t now_ns_ = 1'000'000;
};

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t events = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10'000'000;
  const auto threads = static_cast<std::uint32_t>(argc > 2 ? std::atoi(argv[2]) : 400);
  Load load(8, threads);
  const double start_s = cpu_seconds();
  model::TimelineBuilder builder({1'000'000, ~0ULL >> 1, {}, {}, {}, {}});
  const std::uint64_t end_ns = load.feed(builder, events);
  const model::Trace trace(std::move(builder).finish());
  const double build_s = cpu_seconds() - start_s;
  fmt::print(
      "{} events, {} threads, {:.2f} s of trace: built in {:.2f} s of CPU time ({:.0f} ns per event), {:.0f} MiB "
      "resident\n",
      events, threads, static_cast<double>(end_ns) / 1e9, build_s, build_s * 1e9 / static_cast<double>(events),
      resident_mib());
  for (const double share : {0.0001, 0.01, 1.0}) {
    const auto length = static_cast<std::uint64_t>(static_cast<double>(end_ns - 1'000'000) * share);
    const double from_s = cpu_seconds();
    const auto explained = analyze::explain(trace, 0, end_ns - length, end_ns);
    fmt::print("explain of {:.3f} ms: {:.3f} s, {} leaves, {} hops, depth {}, {:.0f} MiB resident\n",
               static_cast<double>(length) / 1e6, cpu_seconds() - from_s, explained.leaves.size(),
               explained.hops.size(), explained.deepest, resident_mib());
  }
  return 0;
}
