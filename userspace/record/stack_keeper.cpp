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

Result<std::vector<std::uint64_t>> StackKeeper::write(dump::DumpWriter& writer,
                                                      std::span<const kf_base_stack> base_stacks,
                                                      std::span<const WaitingStack> waiting) {
  std::vector<kf_base_stack> waits(base_stacks.begin(), base_stacks.end());
  for (const WaitingStack& stack : waiting) {
    kf_stack user{};
    if (!stack.user.empty()) std::memcpy(&user, stack.user.data(), sizeof user);
    waits.push_back({stack.waiter.tid, 0, stack.waiter.out_ns, stack.waiter.kernel, user.id});
  }
  dump::RecordBlob stacks;
  std::vector<std::uint32_t> processes;
  std::vector<std::uint64_t> addresses;
  {
    MutexLock lock(mutex_);
    stacks = store_.records();
    processes = store_.processes();
    addresses = store_.kernel_addresses();
  }
  if (stacks.count() == 0) return addresses;
  const MapsKeeper::Known known = maps_.of(processes);
  KF_TRY(writer.stacks(stacks));
  KF_TRY(writer.base_stacks(waits));
  KF_TRY(writer.mappings(known.mappings, known.files));
  KF_TRY(writer.vdso(own_vdso()));
  return addresses;
}

}  // namespace kflight::record
