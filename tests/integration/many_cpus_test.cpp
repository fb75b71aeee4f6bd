// SPDX-License-Identifier: Apache-2.0
//
// many_cpus_test.cpp - the real loader and consumer on this machine, told that it might have 8192 CPUs: as many rings as
// that takes, all of them emptied, nothing lost, everything released.
#include <gmock/gmock.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <thread>

#include "integration/harness.hpp"
#include "record/consumer.hpp"
#include "record/loader.hpp"
#include "record/loss_watch.hpp"

namespace kflight::test {
namespace {

constexpr std::uint32_t kCpus = 8192;

class ManyCpus : public IntegrationTest {};

kf_config everybody() {
  kf_config config{};
  config.everyone = 1;
  config.causes = 1;
  config.own_tgid = static_cast<std::uint32_t>(getpid());
  config.flush_age_ns = 100'000'000;
  return config;
}

Result<record::Loader> load(std::uint64_t ring_bytes, std::uint32_t cpus) {
  KF_TRY_ASSIGN(record::KernelCaps caps, record::read_kernel_caps());
  return record::Loader::load(everybody(), std::move(caps),
                              {.ring_bytes = ring_bytes, .open_calls_max = 64, .cpus = cpus});
}

// The calling thread, if it may.
bool come_to(std::uint32_t cpu) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(cpu, &only);
  return sched_setaffinity(0, sizeof only, &only) == 0;
}

TEST_F(ManyCpus, RingsOfAllAreMadeAndEmptied) {
  Workload workload = start_workload("counts", {"--round-trips", "200", "--forks", "4"});  // the one ring in use is small
  auto loader = load(64 << 10, kCpus);
  ASSERT_TRUE(loader) << loader.error().what;
  EXPECT_EQ(loader->data_rings().size(), kCpus / 16);
  EXPECT_EQ(loader->ring_bytes(), 64u << 10);

  record::LossWatch losses(kCpus);
  std::uint64_t events = 0;  // consumer's thread, until it has stopped
  std::set<std::uint16_t> lanes;
  record::Consumer consumer({.on_chunk =
                                 [&](const void* chunk, std::size_t) {
                                   const auto& head = *static_cast<const kf_chunk*>(chunk);
                                   losses.see(head);
                                   events += head.n_events;
                                   lanes.insert(head.lane);
                                 },
                             .on_control = [](const kf_ctl&) {},
                             .on_stack = [](const void*, std::size_t) {},
                             .on_tick = [] { return std::chrono::seconds(1); }});
  ASSERT_TRUE(loader->attach());
  const auto started = consumer.start({.data = loader->data_rings(), .control = loader->control_ring(),
                                       .stacks = loader->stack_ring(), .bytes = loader->ring_bytes()});
  ASSERT_TRUE(started) << started.error().what;
  workload.go();
  workload.report();
  std::set<std::uint16_t> visited;
  for (const std::uint32_t cpu : record::online_cpus()) std::thread([&] { if (come_to(cpu)) visited.insert(cpu); }).join();
  ASSERT_TRUE(loader->flush());
  consumer.drain();
  loader->detach();
  consumer.stop();
  EXPECT_GT(events, 100u);
  EXPECT_FALSE(visited.empty());
  EXPECT_TRUE(std::ranges::includes(lanes, visited));
  EXPECT_EQ(losses.totals().ring_events, 0u);
}

// The kernel takes a ring's memory at once.
TEST_F(ManyCpus, MemoryOfAllRingsIsBounded) {
  auto loader = load(64 << 20, 512);
  ASSERT_TRUE(loader) << loader.error().what;
  EXPECT_EQ(loader->data_rings().size(), 32u);
  EXPECT_EQ(loader->ring_bytes() * loader->data_rings().size(), record::Loader::kMostRingBytes);
}

}  // namespace
}  // namespace kflight::test
