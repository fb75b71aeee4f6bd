// SPDX-License-Identifier: Apache-2.0
//
// dump_builder.hpp - a whole dump in memory from chunks and a few tables, with metadata that agrees with them:
//
//   DumpBuilder file;
//   file.add(lane0.at(12us).switch_to(7).build()).window(10us, 1ms);
//   const Dump& dump = file.dump();
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "base/sinks.hpp"
#include "dump/writer.hpp"
#include "kflight/dump.hpp"
#include "support/chunk_builder.hpp"

namespace kflight::test {

class DumpBuilder {
 public:
  static constexpr std::uint64_t kCreatedNs = 1'700'000'000'000'000'000;

  DumpBuilder() {
    meta.host = {
        .hostname = "box", .kernel_release = "6.18.0", .machine = "x86_64", .cpus_possible = 2, .cpus_online = 2};
    meta.config.scope = "system";
    meta.config.syscalls = "all";
  }

  // What the recorder would have written; change what the test is about.
  DumpMeta meta;
  std::vector<kf_task> tasks;
  std::vector<kf_base_task> base_tasks;
  std::vector<kf_base_lane> base_lanes;
  std::vector<kf_open_call> open_calls;
  std::vector<kf_ctl> resolutions;
  std::vector<kf_loss> losses;
  dump::RecordBlob stacks, files, kernel_symbols, fd_links;
  std::vector<kf_mapping> mappings;
  std::vector<kf_base_stack> base_stacks;

  // A stack; `tops` are packed by kf_pack_top.
  DumpBuilder& stack(kf_u64 id, kf_u32 tgid, const std::vector<kf_u64>& frames, const std::vector<kf_u64>& tops = {},
                     kf_u8 flags = 0) {
    kf_stack head{};
    head.id = id;
    head.tgid = tgid;
    head.frames = static_cast<kf_u16>(frames.size());
    head.tops = static_cast<kf_u8>(tops.size());
    head.flags = static_cast<kf_u8>(flags | (tgid != 0 ? KF_STACK_USER : 0));
    stacks.add(head, std::as_bytes(std::span(frames)), std::as_bytes(std::span(tops)));
    return *this;
  }
  DumpBuilder& kernel_symbol(kf_u64 begin, kf_u64 end, std::string_view name, std::string_view module = "") {
    kf_symbol head{};
    head.begin = begin;
    head.end = end;
    head.name_bytes = static_cast<kf_u16>(name.size());
    head.module_bytes = static_cast<kf_u16>(module.size());
    kernel_symbols.add(head, name, module);
    return *this;
  }
  DumpBuilder& mapped_file(kf_u32 number, std::string_view path, std::span<const std::byte> build_id) {
    kf_file head{};
    head.number = number;
    head.path_bytes = static_cast<kf_u16>(path.size());
    head.build_id_bytes = static_cast<kf_u16>(build_id.size());
    std::ranges::copy(build_id, reinterpret_cast<std::byte*>(head.build_id));
    files.add(head, path);
    return *this;
  }

  DumpBuilder& fd_link(kf_u32 tgid, kf_u32 fd, std::string_view target, Nanos seen = Nanos(0)) {
    kf_fd_link head{};
    head.tgid = tgid;
    head.fd = fd;
    head.seen_ns = kf_u64(seen.count());
    head.text_bytes = static_cast<kf_u32>(target.size());
    fd_links.add(head, target);
    return *this;
  }

  DumpBuilder& add(const BuiltChunk& chunk) {
    const auto bytes = chunk.bytes();
    chunk_bytes_.insert(chunk_bytes_.end(), bytes.begin(), bytes.end());
    meta.window.events += chunk.head.n_events;
    meta.window.hits += chunk.head.n_hits;
    meta.window.bytes += bytes.size();
    ++meta.window.chunks;
    return *this;
  }
  DumpBuilder& window(Nanos from, Nanos to) {
    meta.window.from_ns = kf_u64(from.count());
    meta.window.to_ns = kf_u64(to.count());
    meta.clocks = {.boottime = meta.window.to_ns, .monotonic = meta.window.to_ns, .realtime = kCreatedNs};
    return *this;
  }
  // A thread as the snapshot at the dump has it.
  DumpBuilder& task(kf_u32 tid, std::string_view comm, Nanos seen, kf_u64 switches = 0, Nanos started = Nanos(0)) {
    kf_task& task = tasks.emplace_back();
    task.tid = task.tgid = tid;
    task.ts_ns = kf_u64(seen.count());
    task.nvcsw = switches;
    task.start_ns = kf_u64(started.count());
    std::memcpy(task.comm, comm.data(), std::min<std::size_t>(comm.size(), KF_COMM_BYTES - 1));
    return *this;
  }

  std::vector<std::byte> file() const {
    MemorySink sink;
    dump::DumpWriter writer(sink);
    EXPECT_TRUE(writer.begin(kCreatedNs));
    EXPECT_TRUE(writer.schema("{}"));
    EXPECT_TRUE(writer.meta(meta));
    EXPECT_TRUE(writer.tasks(tasks));
    EXPECT_TRUE(writer.base(base_tasks, base_lanes));
    EXPECT_TRUE(writer.chunk_bytes(chunk_bytes_));
    EXPECT_TRUE(writer.open_calls(open_calls));
    EXPECT_TRUE(writer.losses(losses));
    EXPECT_TRUE(writer.stacks(stacks));
    EXPECT_TRUE(writer.mappings(mappings, files));
    EXPECT_TRUE(writer.kernel_symbols(kernel_symbols));
    EXPECT_TRUE(writer.base_stacks(base_stacks));
    EXPECT_TRUE(writer.fd_links(fd_links));
    EXPECT_TRUE(resolutions.empty() || writer.resolution(resolutions));
    EXPECT_TRUE(writer.finish());
    return sink.take();
  }

  // The file read back; both live as long as the builder.
  const Dump& dump() {
    file_ = file();
    auto opened = Dump::from_bytes(file_);
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().what);
    dump_.emplace(*std::move(opened));
    return *dump_;
  }

 private:
  std::vector<std::byte> chunk_bytes_;
  std::vector<std::byte> file_;
  std::optional<Dump> dump_;
};

}  // namespace kflight::test
