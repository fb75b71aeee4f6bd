// SPDX-License-Identifier: Apache-2.0
//
// stack_store.hpp - the stacks that events of the window may name, each once, in bounded memory.
//
// The kernel sends a stack when it meets it, and again when it is told to. When the store is half full it has all
// stacks in use sent again; once the window begins after that moment, those that were not are named by nobody and go.
// So a recording that runs for months keeps what its window needs. Under the owner's lock.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "dump/record_blob.hpp"
#include "kflight/dump_format.h"

namespace kflight::record {

class StackStore {
 public:
  // `resend` has the kernel send every stack in use again.
  StackStore(std::uint64_t max_bytes, std::function<void()> resend)
      : max_bytes_(max_bytes), resend_(std::move(resend)) {}

  // A record of the stack ring. False: it is malformed, or there is no room (counted).
  bool add(std::span<const std::byte> record, std::uint64_t now_ns);
  // Drops what no event from window_begin_ns on names; `base` are the stacks named by facts from before.
  void shrink(std::uint64_t window_begin_ns, std::span<const kf_base_stack> base);
  bool wants_to_shrink(std::uint64_t window_begin_ns) const { return resent_ns_ != 0 && window_begin_ns > resent_ns_; }

  dump::RecordBlob records() const;
  std::vector<std::uint64_t> kernel_addresses() const;  // of kernel stacks, each once, sorted
  std::vector<std::uint32_t> processes() const;         // whose user stacks there are, each once, sorted
  std::uint64_t lost() const { return lost_; }
  std::size_t count() const { return stacks_.size(); }
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Kept {
    kf_stack head;
    std::vector<kf_u64> words;
  };
  static std::uint64_t cost(std::size_t words) { return sizeof(Kept) + 64 + words * sizeof(kf_u64); }

  const std::uint64_t max_bytes_;
  std::function<void()> resend_;
  std::unordered_map<std::uint64_t, Kept> stacks_;
  std::uint64_t bytes_ = 0;  // about what they take in memory
  std::uint64_t lost_ = 0;
  std::uint64_t resent_ns_ = 0;  // events after this name only stacks sent after it; 0: nothing was asked
};

}  // namespace kflight::record
