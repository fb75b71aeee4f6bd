// SPDX-License-Identifier: Apache-2.0
#include "record/stack_keeper.hpp"

#include <cstring>

#include "base/clocks.hpp"

namespace kflight::record {

void StackKeeper::on_stack(std::span<const std::byte> record) {
  const std::uint64_t now_ns = boottime_ns();
  {
    MutexLock lock(mutex_);
    if (!store_.add(record, now_ns)) return;
  }
  kf_stack head;
  std::memcpy(&head, record.data(), sizeof head);
  if (!(head.flags & KF_STACK_USER)) return;
  const auto* words = reinterpret_cast<const kf_u64*>(record.data() + sizeof head);  // ring records are aligned
  maps_.saw(head, {words, head.frames}, now_ns);
}

void StackKeeper::on_target(std::uint32_t tgid) { maps_.look(tgid, boottime_ns()); }

void StackKeeper::on_fork(std::uint32_t child, std::uint32_t parent) { maps_.inherit(child, parent, boottime_ns()); }

std::vector<WaitingStack> StackKeeper::read_waiting(std::span<const kf_waiter> waiters, std::uint32_t max_frames) {
  return read_waiting_stacks(reader_, waiters,
                             [max_frames](const kf_waiter& waiter) { return read_user_stack(waiter, max_frames); });
}

void StackKeeper::settle(std::span<const WaitingStack> waiting) {
  for (const WaitingStack& stack : waiting)
    if (!stack.user.empty()) on_stack(stack.user);
  reader_.settle();
}

void StackKeeper::tidy(const Window& window) {
  if (holds_ != 0) return;
  const std::uint64_t begin_ns = window.stats().info.from_ns;
  maps_.forget_dead(begin_ns, boottime_ns());
  MutexLock lock(mutex_);
  if (store_.wants_to_shrink(begin_ns)) store_.shrink(begin_ns, window.base_stacks());
}

std::uint64_t StackKeeper::lost() const {
  MutexLock lock(mutex_);
  return store_.lost();
}

StackKeeper::Collected StackKeeper::collect(std::span<const kf_base_stack> base_stacks,
                                            std::span<const WaitingStack> waiting) {
  Collected all;
  all.waits.assign(base_stacks.begin(), base_stacks.end());
  for (const WaitingStack& stack : waiting) {
    kf_stack user{};
    if (!stack.user.empty()) std::memcpy(&user, stack.user.data(), sizeof user);
    all.waits.push_back({stack.waiter.tid, 0, stack.waiter.out_ns, stack.waiter.kernel, user.id});
  }
  std::vector<std::uint32_t> processes;
  {
    MutexLock lock(mutex_);
    all.stacks = store_.records();
    processes = store_.processes();
    all.kernel_addresses = store_.kernel_addresses();
  }
  if (all.stacks.count() != 0) all.maps = maps_.of(processes);
  return all;
}

Result<> StackKeeper::Collected::write(dump::DumpWriter& writer) const {
  if (stacks.count() == 0) return {};
  KF_TRY(writer.stacks(stacks));
  KF_TRY(writer.base_stacks(waits));
  KF_TRY(writer.mappings(maps.mappings, maps.files));
  return writer.vdso(own_vdso());
}

}  // namespace kflight::record
