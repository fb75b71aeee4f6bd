// SPDX-License-Identifier: Apache-2.0
#include "model/stack_log.hpp"

#include <algorithm>
#include <tuple>

namespace kflight::model {

namespace {

auto order(const StackMoment& moment) { return std::tuple(moment.tid, moment.role, moment.ts_ns); }

}  // namespace

void StackLog::add(const StackEvent& e) {
  if (e.role == KF_STACK_WAITED && !e.of_call()) {
    moments_.push_back({e.stack_tid, KF_STACK_BLOCK, e.since_ns, e.since_ns, e.kernel_stack, e.user_stack});
    return;
  }
  moments_.push_back({e.stack_tid, e.role, e.since_ns, e.ts_ns, e.kernel_stack, e.user_stack});
}

void StackLog::add(const kf_base_stack& stack) {
  moments_.push_back({stack.tid, KF_STACK_BLOCK, stack.out_ns, stack.out_ns, stack.kernel, stack.user});
}

void StackLog::finish() { std::ranges::stable_sort(moments_, {}, order); }

const StackMoment* StackLog::not_before(std::uint32_t tid, std::uint8_t role, std::uint64_t ts_ns) const {
  const auto found = std::ranges::lower_bound(moments_, std::tuple(tid, role, ts_ns), {}, order);
  return found != moments_.end() && found->tid == tid && found->role == role ? &*found : nullptr;
}

StackMoment StackLog::wait(std::uint32_t tid, std::uint64_t begin_ns) const {
  StackMoment stacks{.tid = tid, .since_ns = begin_ns, .ts_ns = begin_ns};
  if (const StackMoment* own = not_before(tid, KF_STACK_BLOCK, begin_ns); own != nullptr && own->ts_ns == begin_ns)
    stacks = *own;
  if (stacks.user != 0) return stacks;
  const StackMoment* call = not_before(tid, KF_STACK_WAITED, begin_ns);
  if (call != nullptr && call->since_ns <= begin_ns) stacks.user = call->user;
  return stacks;
}

std::span<const StackMoment> StackLog::samples(std::uint32_t tid, std::uint64_t begin_ns, std::uint64_t end_ns) const {
  if (begin_ns >= end_ns) return {};
  const std::uint8_t role = KF_STACK_SAMPLE;
  const auto first = std::ranges::lower_bound(moments_, std::tuple(tid, role, begin_ns), {}, order);
  const auto last = std::ranges::lower_bound(first, moments_.end(), std::tuple(tid, role, end_ns), {}, order);
  return {first, last};
}

}  // namespace kflight::model
