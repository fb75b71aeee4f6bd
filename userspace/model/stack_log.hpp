// SPDX-License-Identifier: Apache-2.0
//
// stack_log.hpp - which stack belongs to which moment of a thread: filled while the events pass, then searched.
// Immutable after finish(), so any number of threads may read it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kflight/dump_format.h"
#include "kflight/event.hpp"

namespace kflight::model {

// The stacks of a thread at one moment: ids for Symbolizer::resolve(), 0 where there is none.
struct StackMoment {
  std::uint32_t tid = 0;
  std::uint8_t role = KF_STACK_BLOCK;  // KF_STACK_*; WAITED: the user stack of all waits in a call from since_ns to ts_ns
  std::uint64_t since_ns = 0;
  std::uint64_t ts_ns = 0;
  std::uint64_t kernel = 0;
  std::uint64_t user = 0;
};

class StackLog {
 public:
  void add(const StackEvent& event);
  void add(const kf_base_stack& stack);
  void finish();

  bool empty() const noexcept { return moments_.empty(); }
  std::size_t size() const noexcept { return moments_.size(); }
  // Of the wait that this thread began then; ids 0: none was taken, for most because the wait was short.
  StackMoment wait(std::uint32_t tid, std::uint64_t begin_ns) const;
  // Samples of this thread in [begin_ns, end_ns), in order.
  std::span<const StackMoment> samples(std::uint32_t tid, std::uint64_t begin_ns, std::uint64_t end_ns) const;

 private:
  const StackMoment* not_before(std::uint32_t tid, std::uint8_t role, std::uint64_t ts_ns) const;

  std::vector<StackMoment> moments_;  // by thread, role, time
};

}  // namespace kflight::model
