// SPDX-License-Identifier: Apache-2.0
//
// many_cpus_test.cpp - a dump of a machine with as many CPUs as Linux can have: one order over all of them, and a Timeline
// that knows what each of them ran.
#include <gtest/gtest.h>

#include "model/trace.hpp"
#include "support/dump_builder.hpp"

namespace kflight::test {
namespace {

constexpr kf_u16 kCpus = 8192;

// A chain through all CPUs: each one's thread runs, wakes the thread of the next CPU and goes to sleep.
DumpBuilder relay() {
  DumpBuilder file;
  file.meta.host.cpus_possible = file.meta.host.cpus_online = kCpus;
  for (kf_u16 cpu = 0; cpu < kCpus; ++cpu) {
    const Nanos begins = 1ms + 10us * cpu;
    ChunkBuilder lane(cpu, {.start = begins});
    lane.at(begins).switch_to(cpu + 1u, KF_ST_RUNNING);
    if (cpu + 1 < kCpus) lane.after(4us).woken(cpu + 2u, {.cpu = cpu + 1u, .delay = 100ns});
    file.add(lane.at(begins + 5us).switch_to(0, KF_ST_SLEEP).build());
  }
  file.window(0ms, 1ms + 10us * kCpus);
  return file;
}

TEST(ManyCpus, EventsComeInOneOrder) {
  DumpBuilder file = relay();
  std::uint64_t before_ns = 0, events = 0;
  std::set<std::uint16_t> cpus;
  for (const Event& event : file.dump().events()) {
    ASSERT_GE(head(event).ts_ns, before_ns);
    before_ns = head(event).ts_ns;
    cpus.insert(head(event).cpu);
    ++events;
  }
  EXPECT_EQ(events, 3u * kCpus - 1);
  EXPECT_EQ(cpus.size(), kCpus);
}

TEST(ManyCpus, TimelineKnowsEachOne) {
  DumpBuilder file = relay();
  const std::vector<std::byte> bytes = file.file();
  auto dump = Dump::from_bytes(bytes);
  ASSERT_TRUE(dump);
  const model::Trace trace(*std::move(dump));
  const model::Timeline& timeline = trace.timeline();
  EXPECT_EQ(timeline.cpus(), kCpus);
  EXPECT_EQ(timeline.counters().misfits, 0u);
  for (const kf_u16 cpu : {0, 1, 255, 256, 1023, 4096, 8190, 8191}) {
    const std::uint64_t while_running_ns = 1'000'000 + 10'000ull * cpu + 2'000;
    const model::ThreadId thread = timeline.find_thread(cpu + 1u, while_running_ns);
    ASSERT_NE(thread, model::kNoThread) << cpu;
    const model::Piece piece = timeline.piece_at(thread, while_running_ns);
    ASSERT_EQ(piece.state, model::State::kRunning) << cpu;
    ASSERT_EQ(timeline.thread(thread).intervals[piece.index].cpu, cpu);
  }
}

}  // namespace
}  // namespace kflight::test
