// SPDX-License-Identifier: Apache-2.0
//
// scale.cpp - does an event cost the consumer the same on 2 CPUs and on 256, with 1,000 threads and with 100,000? Feeds
// the window with chunks of as many lanes as the machine has CPUs, stamped as if all of them together had so many events
// per second, and does per chunk what the consumer's callback does: the books of losses, the copy into the window, the
// eviction of the oldest chunk, its folding into the base state. The window is full all the time.
//
// Chunks are laid out one behind the other like in a ring, a poll's worth at a time, and only then consumed: the time to
// make them is not counted, and the consumer does not find them in its nearest cache. Every event concerns threads drawn
// at random from all of the machine: no real load is as hard on the caches. CPU time of this thread, medians of rounds.
//   usage: bench_scale [events per second, in millions] [rounds]
#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <vector>

#include "record/loss_watch.hpp"
#include "record/window.hpp"

namespace {

using namespace kflight::record;

constexpr std::uint64_t kWindowBytes = 64 << 20;
constexpr std::size_t kChunksPerPoll = 1024;  // 4 MiB: what 5 ms bring at 50 M events per second
constexpr std::uint64_t kEventsMeasured = 4'000'000;
constexpr kf_u32 kRead = 0, kFutex = 202;

struct Machine {
  kf_u32 lanes, threads;
};

double cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double resident_mib() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  file >> size >> resident;
  return static_cast<double>(resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE))) / (1 << 20);
}

[[noreturn]] void fail(const std::string& why) {
  fmt::print(stderr, "bench_scale: {}\n", why);
  std::exit(1);
}

struct Record {
  kf_chunk head{};
  kf_u64 words[KF_CHUNK_WORDS + KF_EVENT_WORDS_MAX]{};
  std::size_t bytes() const { return sizeof head + head.n_words * sizeof(kf_u64); }
};

// What all CPUs send, in the order in which it arrives.
class Source {
 public:
  Source(Machine machine, double events_per_second)
      : machine_(machine),
        dt_ns_(std::clamp<kf_u64>(static_cast<kf_u64>(machine.lanes * 1e9 / events_per_second), 1, KF_DT_MASK)),
        sent_(machine.lanes, {.now_ns = 1'000'000'000}) {
    for (std::size_t i = 0; i < kChunksPerPoll; ++i) patterns_.push_back(pattern());
    buffer_.resize(kChunksPerPoll * sizeof(Record));
  }

  // The next poll's chunks. They stay until the next call.
  void fill() {
    std::byte* at = buffer_.data();
    for (Record& pattern : patterns_) {
      number(pattern.head);
      std::memcpy(at, &pattern, pattern.bytes());
      at += pattern.bytes();
    }
    end_ = at;
  }

  // Events in what it took.
  template <class Take>
  std::uint64_t consume(Take&& take) const {
    std::uint64_t events = 0;
    for (const std::byte* at = buffer_.data(); at != end_;) {
      const auto& chunk = *reinterpret_cast<const kf_chunk*>(at);
      const std::size_t bytes = sizeof chunk + chunk.n_words * sizeof(kf_u64);
      take(chunk, bytes);
      events += chunk.n_events;
      at += bytes;
    }
    return events;
  }

  double words_per_event() const {
    double words = 0, events = 0;
    for (const Record& pattern : patterns_) words += pattern.head.n_words, events += pattern.head.n_events;
    return words / events;
  }

 private:
  struct Sent {
    std::uint64_t now_ns;
    std::uint64_t events = 0;
    kf_u32 chunks = 0;
  };

  kf_u32 any_thread() { return 1 + static_cast<kf_u32>(random_() % machine_.threads); }

  // A busy server: a thread blocks or is preempted, two calls that did not block, somebody is woken.
  Record pattern() {
    Record record;
    kf_chunk& head = record.head;
    head.magic = KF_CHUNK_MAGIC;
    head.cur_tid = any_thread();
    while (head.n_words < KF_CHUNK_WORDS - 8) {
      kf_u64* const out = record.words + head.n_words;
      const bool parks = random_() % 2 == 0;
      kf_u32 n = 1;
      out[0] = kf_pack_switch(dt_ns_, any_thread(), parks ? KF_ST_SLEEP : KF_ST_RUNNING, !parks, 0, 0,
                              static_cast<kf_u32>(random_()) & KF_NSW_MASK, parks ? KF_SWITCH_SYS : 0);
      if (parks) n += kf_put_sys(out + n, kFutex, KF_ABI_NATIVE, KF_ARGS_0, 0x7f0012345678, 0, 0, 0);
      n += kf_put_syscall(out + n, dt_ns_, kRead, 300, 64, 0, 0);
      n += kf_put_syscall(out + n, dt_ns_, kRead, 300, 64, 0, 0);
      out[n++] = kf_pack_waking(dt_ns_, any_thread(), KF_CTX_TASK, 1, static_cast<kf_u32>(random_() % machine_.lanes));
      out[n++] = kf_pack_waking2(80, KF_WAKER_NO_SYS, KF_DEFAULT_PRIO, KF_CAUSE_NONE, 0, 0);
      head.n_words = static_cast<kf_u16>(head.n_words + n);
      head.n_events += 4;
      head.n_hits += 7;
    }
    return record;
  }

  // The next chunk of the lane whose turn it is.
  void number(kf_chunk& head) {
    head.lane = static_cast<kf_u16>(turn_++ % machine_.lanes);
    Sent& sent = sent_[head.lane];
    head.seq = sent.chunks++;
    head.events_before = sent.events;
    sent.events += head.n_events;
    head.base_ns = sent.now_ns;
    head.last_ns = sent.now_ns += head.n_events * dt_ns_;
  }

  Machine machine_;
  kf_u64 dt_ns_;  // between two events of one lane
  std::mt19937_64 random_{1};
  std::vector<Sent> sent_;
  std::vector<Record> patterns_;
  std::vector<std::byte> buffer_;
  const std::byte* end_ = nullptr;
  std::uint64_t turn_ = 0;
};

std::vector<kf_task> all_tasks(kf_u32 threads) {
  std::vector<kf_task> tasks(threads);
  for (kf_u32 i = 0; i < threads; ++i) {
    tasks[i].tid = tasks[i].tgid = i + 1;
    tasks[i].ts_ns = 1'000'000'000;
    tasks[i].start_ns = i + 1;
    tasks[i].state = KF_ST_SLEEP;
    std::memcpy(tasks[i].comm, "worker", 7);
  }
  return tasks;
}

struct Measured {
  double ns_per_event, events_per_second, mib;
  double snapshot_ns, thread_bytes;  // per thread
  double pin_ms;
};

Measured measure(Machine machine, double events_per_second) {
  Source source(machine, events_per_second);
  auto window = Window::create({.max_bytes = kWindowBytes, .min_age = std::chrono::seconds(10)});
  if (!window) fail(window.error().what);
  LossWatch losses(machine.lanes);
  const std::vector<kf_task> tasks = all_tasks(machine.threads);

  const double before_mib = resident_mib();
  double begin_ns = cpu_ns();
  (*window)->add_snapshot(tasks);
  const double snapshot_ns = cpu_ns() - begin_ns;
  const double table_mib = resident_mib() - before_mib;

  double spent_ns = 0;
  std::uint64_t events = 0;
  while (events < kEventsMeasured) {
    source.fill();
    const bool full = (*window)->stats().events_evicted > 0;
    begin_ns = cpu_ns();
    const std::uint64_t taken = source.consume([&](const kf_chunk& chunk, std::size_t bytes) {
      losses.see(chunk);
      (*window)->append(&chunk, bytes);
    });
    if (!full) continue;  // not yet what a long recording looks like
    spent_ns += cpu_ns() - begin_ns;
    events += taken;
  }
  const double mib = resident_mib() - before_mib;
  begin_ns = cpu_ns();
  const std::size_t known = (*window)->pin().base_tasks.size();
  const double pin_ms = (cpu_ns() - begin_ns) / 1e6;
  if (known != machine.threads || losses.totals().ring_events != 0 || (*window)->stats().chunks_dropped != 0)
    fail(fmt::format("{} of {} threads known, {} events lost, {} chunks dropped: this is no measurement", known,
                     machine.threads, losses.totals().ring_events, (*window)->stats().chunks_dropped));
  const double ns = spent_ns / static_cast<double>(events);
  return {ns, 1e9 / ns, mib, snapshot_ns / machine.threads, table_mib * (1 << 20) / machine.threads, pin_ms};
}

double median_of(const std::vector<Measured>& rounds, double Measured::*what) {
  std::vector<double> values;
  for (const Measured& round : rounds) values.push_back(round.*what);
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

int main(int argc, char** argv) {
  const double rate = (argc > 1 ? std::atof(argv[1]) : 50) * 1e6;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  if (rate < 1e3 || rounds < 1) fail("usage: bench_scale [events per second, in millions] [rounds]");
  const std::vector<Machine> machines = {{2, 4000},     {4, 4000},      {16, 4000},     {64, 4000},      {256, 4000},
                                         {1024, 4000},  {8192, 4000},   {256, 1000},    {256, 10'000},   {256, 100'000},
                                         {2, 100'000}};
  std::vector<std::vector<Measured>> measured(machines.size());
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < machines.size(); ++i) measured[i].push_back(measure(machines[i], rate));

  fmt::print("{:.0f} M events per second in all, {:.2f} words per event, window of {} MiB, medians of {} rounds\n",
             rate / 1e6, Source(machines[0], rate).words_per_event(), kWindowBytes >> 20, rounds);
  fmt::print("{:>6} {:>8} {:>10} {:>16} {:>12} {:>8} | {:>16} {:>15} {:>8}\n", "lanes", "threads", "ns/event",
             "events/s at most", "CPU at rate", "MiB", "snapshot ns/thr.", "bytes/thread", "pin ms");
  for (std::size_t i = 0; i < machines.size(); ++i) {
    const auto median = [&](double Measured::*what) { return median_of(measured[i], what); };
    const double ns = median(&Measured::ns_per_event);
    fmt::print("{:>6} {:>8} {:>10.1f} {:>14.0f} M {:>10.0f} % {:>8.0f} | {:>16.0f} {:>15.0f} {:>8.1f}\n",
               machines[i].lanes, machines[i].threads, ns, median(&Measured::events_per_second) / 1e6,
               ns * rate / 1e7, median(&Measured::mib), median(&Measured::snapshot_ns), median(&Measured::thread_bytes),
               median(&Measured::pin_ms));
  }
  return 0;
}
