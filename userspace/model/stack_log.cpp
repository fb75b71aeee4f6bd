// SPDX-License-Identifier: Apache-2.0
#include "model/stack_log.hpp"

#include <algorithm>
#include <tuple>

namespace kflight::model {

namespace {

auto order(const StackMoment& moment) { return std::tuple(moment.tid, moment.role, moment.ts_ns); }

}  // namespace

void StackLog::add(const StackEvent& e) {
  moments_.push_back({e.stack_tid, e.role, e.ts_ns, e.kernel_stack, e.user_stack});
}

void StackLog::add(const kf_base_stack& stack) {
  moments_.push_back({stack.tid, KF_STACK_BLOCK, stack.out_ns, stack.kernel, stack.user});
}

void StackLog::finish() { std::ranges::stable_sort(moments_, {}, order); }

const StackMoment* StackLog::at(std::uint32_t tid, std::uint64_t ts_ns, std::uint8_t role) const {
  const auto wanted = std::tuple(tid, role, ts_ns);
  const auto found = std::ranges::lower_bound(moments_, wanted, {}, order);
  return found != moments_.end() && order(*found) == wanted ? &*found : nullptr;
}

std::span<const StackMoment> StackLog::samples(std::uint32_t tid, std::uint64_t begin_ns, std::uint64_t end_ns) const {
  if (begin_ns >= end_ns) return {};
  const std::uint8_t role = KF_STACK_SAMPLE;
  const auto first = std::ranges::lower_bound(moments_, std::tuple(tid, role, begin_ns), {}, order);
  const auto last = std::ranges::lower_bound(first, moments_.end(), std::tuple(tid, role, end_ns), {}, order);
  return {first, last};
}

}  // namespace kflight::model
