// SPDX-License-Identifier: Apache-2.0
//
// dump_contents.hpp - what a dump file holds, unpacked: Dump::Impl. Filled once by load_contents(), constant
// afterwards.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mapping.hpp"
#include "dump/merge.hpp"
#include "dump/stack_tables.hpp"
#include "kflight/dump.hpp"

namespace kflight {

struct Dump::Impl {
  Mapping mapping;  // empty for Dump::from_bytes
  std::span<const std::byte> file;
  kf_dump_header header{};
  bool complete = false;
  std::vector<Damage> damage;

  DumpMeta meta;
  std::string meta_json;
  std::vector<kf_task> tasks;
  std::vector<kf_base_task> base_tasks;
  std::vector<kf_base_lane> base_lanes;
  std::vector<kf_open_call> open_calls;
  std::vector<kf_ctl> resolutions;
  std::vector<kf_loss> losses;
  dump::StackTables stacks;
  std::vector<FdLink> fd_links;  // sorted

  std::vector<dump::ChunkRef> chunks;                  // in arrival order; into `file` or `unpacked`
  std::vector<std::unique_ptr<std::byte[]>> unpacked;  // decompressed sections that something points into
  std::uint64_t window_begin_ns = 0;
  std::uint64_t window_end_ns = 0;
};

namespace dump {

// Fills `contents` from contents.file. `name` is for messages: "'x.kfr'".
Result<> load_contents(Dump::Impl& contents, const std::string& name);

}  // namespace dump
}  // namespace kflight
