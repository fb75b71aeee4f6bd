// SPDX-License-Identifier: Apache-2.0
//
// hot_paths.cpp - the loops of userspace that run once per event, each on the same simulated recording every time, for
// bench/guard.sh to count their instructions. Each is run inside of kflight_measured(), the function callgrind watches;
// per run of it one line "NAME UNITS UNIT" goes to stdout, in the order in which they ran.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <vector>

#include "analyze/explain.hpp"
#include "dump/decoder.hpp"
#include "dump/merge.hpp"
#include "model/timeline_builder.hpp"
#include "model/trace.hpp"
#include "record/window.hpp"
#include "support/chunk_builder.hpp"
#include "support/simulator.hpp"
#include "support/trace_builder.hpp"

extern "C" [[gnu::noinline]] void kflight_measured(const std::function<void()>& path) { path(); }

namespace {

using namespace kflight;
using namespace kflight::test;

constexpr std::uint64_t kSeed = 7, kRunUs = 300'000;
constexpr std::uint64_t kWindowBytes = record::Arena::kSmallestBytes;  // so that most of the chunks are evicted
constexpr int kWindowRounds = 4;

void measure(std::string_view name, std::uint64_t units, std::string_view unit, const std::function<void()>& path) {
  kflight_measured(path);
  fmt::print("{} {} {}\n", name, units, unit);
}

[[noreturn]] void fail(std::string_view why) {
  fmt::print(stderr, "guard_hot_paths: {}\n", why);
  std::exit(1);
}

const char* call_of(SimWait wait) {
  switch (wait) {
    case SimWait::kSleep: return "nanosleep";
    case SimWait::kDisk: return "fsync";
    case SimWait::kFutex: return "futex";
    case SimWait::kPipe: return "read";
    default: return nullptr;
  }
}

void put(ChunkBuilder& lane, const SimEvent& event) {
  lane.at(Nanos(event.ts_ns));
  switch (event.kind) {
    case SimKind::kSwitch: {
      const char* call = call_of(event.wait);
      SwitchOptions options{.preempt = event.preempt, .nsw = event.nsw};
      if (call) options.sys = call_named(call);
      lane.switch_to(event.tid, call ? KF_ST_SLEEP : KF_ST_RUNNING, options);
      break;
    }
    case SimKind::kWaking:
      lane.waking(event.tid, {.ctx = event.source == SimSource::kTask ? KF_CTX_TASK : KF_CTX_HARDIRQ});
      break;
    case SimKind::kWakeup: lane.wakeup(event.tid, event.target); break;
    case SimKind::kMigrate: lane.migrate(event.tid, 0, event.target); break;
  }
  lane.syscall(0, 64);  // whoever runs calls something that does not block
}

// What the kernel would have sent of the run, in the order of the chunks' ends.
std::vector<BuiltChunk> chunks_of(const Simulator& run) {
  std::vector<ChunkBuilder> lanes;
  std::vector<BuiltChunk> chunks;
  for (std::uint16_t cpu = 0; cpu < run.cpus(); ++cpu) lanes.emplace_back(cpu);
  for (const SimEvent& event : run.events()) {
    ChunkBuilder& lane = lanes[event.cpu];
    if (lane.empty()) lane.current(event.current);
    put(lane, event);
    if (lane.word_count() + KF_EVENT_WORDS_MAX > KF_CHUNK_WORDS) chunks.push_back(lane.build());
  }
  for (ChunkBuilder& lane : lanes)
    if (!lane.empty()) chunks.push_back(lane.build());
  return chunks;
}

std::uint64_t events_in(const std::vector<BuiltChunk>& chunks) {
  std::uint64_t events = 0;
  for (const BuiltChunk& chunk : chunks) events += chunk.head.n_events;
  return events;
}

std::vector<Event> merged(const std::vector<BuiltChunk>& chunks) {
  std::vector<dump::ChunkRef> refs;
  for (const BuiltChunk& chunk : chunks) refs.push_back({&chunk.head, chunk.words});
  dump::Merger merger(std::move(refs), {});
  std::vector<Event> events;
  for (Event event; merger.next(event);) events.push_back(event);
  return events;
}

void measure_window(const std::vector<BuiltChunk>& chunks) {
  auto window = record::Window::create({.max_bytes = kWindowBytes, .min_age = std::chrono::hours(1)});
  if (!window) fail(window.error().what);
  std::vector<std::vector<std::byte>> records;
  for (const BuiltChunk& chunk : chunks) records.push_back(chunk.bytes());
  measure("window", kWindowRounds * events_in(chunks), "event", [&] {
    for (int round = 0; round < kWindowRounds; ++round)
      for (const auto& record : records) (*window)->append(record.data(), record.size());
  });
  if ((*window)->stats().events_evicted == 0) fail("nothing was evicted: the simulated run is too short");
}

void measure_reading(const std::vector<BuiltChunk>& chunks) {
  std::uint64_t decoded = 0;
  measure("decode", events_in(chunks), "event", [&] {
    for (const BuiltChunk& chunk : chunks) {
      dump::ChunkCursor cursor(chunk.head, chunk.words);
      for (Event event; cursor.next(event);) ++decoded;
    }
  });
  if (decoded != events_in(chunks)) fail("the decoder has not found all events");
  std::vector<dump::ChunkRef> refs;
  for (const BuiltChunk& chunk : chunks) refs.push_back({&chunk.head, chunk.words});
  std::uint64_t merged = 0;
  measure("merge", decoded, "event", [&] {
    dump::Merger merger(refs, {});
    for (Event event; merger.next(event);) ++merged;
  });
  if (merged < decoded) fail("the merger has not handed out all events");
}

void measure_model(const Simulator& run, const std::vector<Event>& events) {
  std::optional<model::Timeline> timeline;
  measure("timeline", events.size(), "event", [&] {
    model::TimelineBuilder builder({0, run.end_ns(), {}, {}, {}, {}});
    for (const Event& event : events) builder.add(event);
    timeline.emplace(std::move(builder).finish());
  });
  const model::Trace trace(*std::move(timeline));
  // The longest question there is, of each of the first threads.
  const std::uint32_t threads = std::min<std::uint32_t>(4, static_cast<std::uint32_t>(run.threads()));
  std::size_t leaves = 0;
  measure("explain", threads, "operation", [&] {
    for (model::ThreadId id = 0; id < threads; ++id)
      leaves += analyze::explain(trace, id, run.end_ns() / 4, run.end_ns() / 2).leaves.size();
  });
  if (leaves == 0) fail("nothing was explained");
}

}  // namespace

int main() {
  Simulator run(kSeed, kRunUs);
  run.run();
  const std::vector<BuiltChunk> chunks = chunks_of(run);
  measure_window(chunks);
  measure_reading(chunks);
  measure_model(run, merged(chunks));
  return 0;
}
