// SPDX-License-Identifier: Apache-2.0
//
// window_append.cpp - what an event costs the consumer once it is in user space: copied into the window, later evicted
// and folded into the base state. Prints ns of CPU time per event and per chunk for a window that is full all the time:
// in memory of its own and in a file that outlives the recorder, in turns, so that what else the machine does meets both.
//   usage: window_append [seconds per turn] [threads of the recorded machine] [pairs of turns]
#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <vector>

#include "record/window.hpp"

namespace {

using kflight::record::Window;

// CPU time of this thread: what the rest of the machine does does not count.
double cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

struct Record {
  kf_chunk head{};
  kf_u64 words[KF_CHUNK_WORDS + KF_EVENT_WORDS_MAX]{};
  std::size_t bytes() const { return sizeof head + head.n_words * sizeof(kf_u64); }
};

constexpr kf_u16 kLanes = 16;
constexpr kf_u32 kFutex = 202;

// A blocking switch, then a waking with its wakeup: what a busy server's scheduler does all day.
Record mixed_chunk(kf_u16 lane, kf_u32 threads, std::mt19937& random) {
  Record record;
  auto& head = record.head;
  head.magic = KF_CHUNK_MAGIC;
  head.lane = lane;
  head.cur_tid = 1 + random() % threads;
  while (head.n_words < KF_CHUNK_WORDS - 8) {
    auto* out = record.words + head.n_words;
    const bool parks = random() % 2 == 0;
    out[0] = kf_pack_switch(900, 1 + random() % threads, parks ? KF_ST_SLEEP : KF_ST_RUNNING, !parks, 0, 0,
                            random() & KF_NSW_MASK, parks ? KF_SWITCH_SYS : 0);
    kf_u32 n = 1;
    if (parks) n += kf_put_sys(out + n, kFutex, KF_ABI_NATIVE, KF_ARGS_0, 0x7f0012345678, 0, 0, 0);
    out[n++] = kf_pack_waking(500, 1 + random() % threads, KF_CTX_TASK, 1, lane);
    out[n++] = kf_pack_waking2(80, KF_WAKER_NO_SYS, KF_DEFAULT_PRIO, KF_CAUSE_NONE, 0, 0);
    head.n_words = static_cast<kf_u16>(head.n_words + n);
    head.n_events += 2;
    head.n_hits += 3;
  }
  return record;
}

// Makes a chunk follow the one its lane sent before.
void advance(Record& record, std::uint64_t now_ns, kf_u32 round) {
  record.head.seq = round;
  record.head.events_before = std::uint64_t{round} * record.head.n_events;
  record.head.base_ns = now_ns;
  record.head.last_ns = now_ns + 700ull * record.head.n_events;
}

[[noreturn]] void fail(const std::string& why) {
  fmt::print(stderr, "window_append: {}\n", why);
  std::exit(1);
}

struct Cost {
  double per_event_ns, per_chunk_ns;
};

Cost measure(const Window::Options& options, double seconds, std::vector<Record>& records) {
  auto window = Window::create(options);
  if (!window) fail(window.error().what);
  std::uint64_t now_ns = 1'000'000, events = 0, chunks = 0, measured_events = 0, measured_chunks = 0;
  double begin_ns = cpu_ns();
  for (kf_u32 round = 0;; ++round) {
    for (auto& record : records) {
      advance(record, now_ns, round);
      (*window)->append(&record, record.bytes());
      events += record.head.n_events;
      ++chunks;
    }
    now_ns = records.back().head.last_ns;
    const bool full = (*window)->stats().events_evicted > 0;
    if (!full) {  // not yet what a long recording looks like
      begin_ns = cpu_ns();
      measured_events = events;
      measured_chunks = chunks;
    } else if (round % 64 == 0 && cpu_ns() - begin_ns >= seconds * 1e9) {
      break;
    }
  }
  const double ns = cpu_ns() - begin_ns;
  return {ns / static_cast<double>(events - measured_events), ns / static_cast<double>(chunks - measured_chunks)};
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 2;
  const auto threads = static_cast<kf_u32>(argc > 2 ? std::max(1, std::atoi(argv[2])) : 2000);
  const int pairs = argc > 3 ? std::atoi(argv[3]) : 1;
  const Window::Options in_memory{.max_bytes = 64 << 20, .min_age = std::chrono::hours(1)};
  Window::Options in_file = in_memory;
  in_file.file = fmt::format("{}-bench/{}.window", kflight::record::window_directory(), ::getpid());

  std::mt19937 random(1);
  std::vector<Record> records;
  for (kf_u16 lane = 0; lane < kLanes; ++lane) records.push_back(mixed_chunk(lane, threads, random));
  fmt::print("chunks of {} bytes and {} events, {} threads, 64 MiB window; ns per event, ns per chunk\n",
             records[0].bytes(), records[0].head.n_events, threads);
  for (int pair = 0; pair < pairs; ++pair) {
    const Cost memory = measure(in_memory, seconds, records);
    const Cost file = measure(in_file, seconds, records);
    fmt::print("memory {:.2f} {:.0f}   file {:.2f} {:.0f}\n", memory.per_event_ns, memory.per_chunk_ns,
               file.per_event_ns, file.per_chunk_ns);
  }
  ::rmdir((kflight::record::window_directory() + "-bench").c_str());
}
