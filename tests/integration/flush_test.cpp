// SPDX-License-Identifier: Apache-2.0
//
// flush_test.cpp - a dump asks every CPU for its newest events while the ring has no room for them: nothing of what was
// recorded is gone, and who could not hand over is named.
#include <gmock/gmock.h>
#include <unistd.h>

#include "integration/harness.hpp"
#include "record/consumer.hpp"
#include "record/loader.hpp"
#include "record/loss_watch.hpp"

namespace kflight::test {
namespace {

class Flush : public IntegrationTest {};

TEST_F(Flush, WithoutRoomInTheRing_KeepsTheBatch) {
  kf_config config{};
  config.everyone = 1;
  config.own_tgid = static_cast<std::uint32_t>(getpid());
  config.flush_age_ns = 100'000'000;
  auto caps = record::read_kernel_caps();
  ASSERT_TRUE(caps) << caps.error().what;
  std::optional<record::Loader> loader;
  std::vector<std::uint32_t> unable;
  for (int i = 0; i < 10 && unable.empty(); ++i) {  // what is left of the ring may be just enough
    Workload workload = start_workload("counts");
    auto loaded = record::Loader::load(config, *caps, {.ring_bytes = 16 << 10, .open_calls_max = 64});
    ASSERT_TRUE(loaded) << loaded.error().what;
    loader.emplace(std::move(*loaded));
    ASSERT_TRUE(loader->attach());
    workload.go();
    workload.report();  // nobody reads the ring meanwhile
    loader->detach();
    unable = loader->flush().value();
    workload.end();
  }
  ASSERT_FALSE(unable.empty());

  std::map<std::uint16_t, std::uint64_t> events;  // by CPU; consumer's thread, but while nothing is in the rings
  record::LossWatch losses(record::online_cpus().back() + 1);
  record::Consumer consumer({.on_chunk =
                                 [&](const void* chunk, std::size_t) {
                                   const auto& head = *static_cast<const kf_chunk*>(chunk);
                                   losses.see(head);
                                   events[head.lane] += head.n_events;
                                 },
                             .on_control = [](const kf_ctl&) {},
                             .on_stack = [](const void*, std::size_t) {},
                             .on_tick = [] { return std::chrono::seconds(1); }});
  ASSERT_TRUE(consumer.start({.data = loader->data_rings(), .control = loader->control_ring(),
                              .stacks = loader->stack_ring(), .bytes = loader->ring_bytes()}));
  EXPECT_TRUE(consumer.drain());
  const auto before = events;
  EXPECT_THAT(loader->flush().value(), testing::IsEmpty());
  EXPECT_TRUE(consumer.drain());
  consumer.stop();
  for (const std::uint32_t cpu : unable) {
    const auto lane = static_cast<std::uint16_t>(cpu);
    EXPECT_GT(events.at(lane), before.contains(lane) ? before.at(lane) : 0u) << "CPU " << cpu;
  }
  EXPECT_GT(losses.totals().ring_events, 0u);  // it was full, after all
}

}  // namespace
}  // namespace kflight::test
