// SPDX-License-Identifier: Apache-2.0
//
// drop_log.hpp - when and on which CPU the window had no room for chunks. One entry per CPU and episode, an episode
// being drops without a success in between; bounded. Single-threaded: the window's lock covers it.
#pragma once

#include <cstdint>
#include <vector>

#include "kflight/dump_format.h"

namespace kflight::record {

class DropLog {
 public:
  DropLog() { entries_.reserve(kMostEntries); }

  void add(const kf_chunk& dropped) noexcept;
  void end_episode() noexcept { episode_begin_ = entries_.size(); }
  // Entries that end at `from_ns` or later.
  std::vector<kf_loss> since(std::uint64_t from_ns) const;

 private:
  static constexpr std::size_t kMostEntries = 1024;

  std::vector<kf_loss> entries_;
  std::size_t episode_begin_ = 0;
};

}  // namespace kflight::record
