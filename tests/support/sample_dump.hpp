// SPDX-License-Identifier: Apache-2.0
//
// sample_dump.hpp - a small dump with something in every section: two CPUs, six chunks, a fired trigger, a call in
// flight, a loss. Small enough to flip each of its bytes.
#pragma once

#include <cstring>
#include <string_view>
#include <vector>

#include "base/sinks.hpp"
#include "dump/writer.hpp"
#include "support/chunk_builder.hpp"

namespace kflight::test {

inline constexpr std::uint64_t kSampleCreatedNs = 1'700'000'000'000'000'000;

template <class Record>
void set_comm(Record& record, std::string_view comm) {
  std::memcpy(record.comm, comm.data(), comm.size());
}

inline DumpMeta sample_meta() {
  DumpMeta meta;
  meta.host = {.hostname = "box", .kernel_release = "6.18.0", .machine = "x86_64", .cpus_possible = 2};
  meta.clocks = {.boottime = 20'000, .monotonic = 19'000, .realtime = kSampleCreatedNs};
  meta.config.kflight_version = "0.1.0";
  meta.config.target_pids = {100};
  meta.config.triggers = {"syscall:fsync>20ms"};
  meta.cause.trigger = "syscall:fsync>20ms";
  meta.cause.kind = "syscall";
  meta.cause.has_call = true;
  meta.cause.tid = 101;
  meta.cause.comm = Comm::from("worker");
  meta.cause.args = {7, 0, 0xffff'ffff'ffff'ffff, 0, 0, 0};
  meta.cause.ret = -5;
  meta.cause.fd_path = "/var/lib/db/wal";
  meta.window = {.from_ns = 10'000, .to_ns = 19'500, .chunks = 6, .limited_by = "max-bytes"};
  meta.targets = {{.tgid = 100, .exe = "/usr/bin/db"}};
  meta.dump_number = 1;
  return meta;
}

inline std::vector<kf_task> sample_tasks() {
  std::vector<kf_task> tasks(2);
  tasks[0].tid = tasks[0].tgid = tasks[1].tgid = 100;
  tasks[1].tid = 101;
  set_comm(tasks[0], "db");
  set_comm(tasks[1], "worker");
  return tasks;
}

inline std::vector<kf_base_task> sample_base_tasks() {
  std::vector<kf_base_task> tasks(1);
  tasks[0].tid = 101;
  tasks[0].known = KF_BASE_IDENTITY;
  set_comm(tasks[0], "worker");
  return tasks;
}

inline std::vector<kf_base_lane> sample_base_lanes() {
  std::vector<kf_base_lane> lanes(2);
  for (kf_u16 lane = 0; lane < 2; ++lane)
    lanes[lane] = {.lane = lane, .known = 1, .through_ns = 10'000, .next_seq = 5, .events_through = 50};
  return lanes;
}

// Three chunks of three events on each CPU, from 10 us on, the CPUs' chunks taking turns.
inline std::vector<BuiltChunk> sample_chunks() {
  std::vector<BuiltChunk> chunks;
  ChunkBuilder lanes[] = {ChunkBuilder(0, {.start = 10us, .cur_tid = 100, .seq = 5, .events_before = 50}),
                          ChunkBuilder(1, {.start = 10us, .cur_tid = 0, .seq = 5, .events_before = 50})};
  for (int round = 0; round < 3; ++round)
    for (auto& lane : lanes)
      chunks.push_back(
          lane.after(1us).woken(101, {.cpu = 1}).after(100ns).switch_to(0).after(500ns).switch_to(100).build());
  return chunks;
}

inline std::vector<kf_open_call> sample_open_calls() {
  std::vector<kf_open_call> calls(1);
  calls[0] = {.tid = 101, .tgid = 100, .nr = 74, .enter_ns = 11'000, .since_ns = 12'000};
  set_comm(calls[0], "worker");
  return calls;
}

inline std::vector<kf_ctl> sample_resolution() {
  std::vector<kf_ctl> resolved(1);
  resolved[0] = {.type = KF_CTL_RESOLVED, .tid = 101, .tgid = 100, .nr = 74, .enter_ns = 11'000, .exit_ns = 30'000};
  set_comm(resolved[0], "worker");
  return resolved;
}

// The dump's calls to the writer, each one's result passed to `check`.
template <class Check>
void write_sample(dump::DumpWriter& writer, Check check) {
  const kf_loss loss{.kind = KF_LOSS_RECURSION, .lane = 1, .from_ns = 10'000, .to_ns = 12'000, .count = 3};
  const auto chunks = sample_chunks();
  check(writer.begin(kSampleCreatedNs));
  check(writer.schema(R"({"events":[]})"));
  check(writer.meta(sample_meta()));
  check(writer.tasks(sample_tasks()));
  check(writer.base(sample_base_tasks(), sample_base_lanes()));
  for (const auto& chunk : chunks) check(writer.chunk_bytes(chunk.bytes()));
  check(writer.open_calls(sample_open_calls()));
  check(writer.losses({&loss, 1}));
  check(writer.finish());
}

inline std::vector<std::byte> sample_dump() {
  MemorySink sink;
  dump::DumpWriter writer(sink);
  write_sample(writer, [](const auto&) {});
  return sink.take();
}

}  // namespace kflight::test
