// SPDX-License-Identifier: Apache-2.0
#include "record/stack_keeper.hpp"

#include <cstring>

#include "base/clocks.hpp"

namespace kflight::record {

void StackKeeper::on_stack(std::span<const std::byte> record) {
  kf_stack head;
  MutexLock lock(mutex_);
  if (!store_.add(record, boottime_ns())) return;
  std::memcpy(&head, record.data(), sizeof head);
  if (!(head.flags & KF_STACK_USER)) return;
  const auto* words = reinterpret_cast<const kf_u64*>(record.data() + sizeof head);  // ring records are aligned
  maps_.saw(head, {words, head.frames}, boottime_ns());
}

void StackKeeper::on_target(std::uint32_t tgid) {
  MutexLock lock(mutex_);
  maps_.look(tgid, boottime_ns());
}

void StackKeeper::on_fork(std::uint32_t child, std::uint32_t parent) {
  MutexLock lock(mutex_);
  maps_.inherit(child, parent, boottime_ns());
}

void StackKeeper::tidy(const Window& window) {
  const std::uint64_t begin_ns = window.stats().info.from_ns;
  MutexLock lock(mutex_);
  maps_.forget_dead(begin_ns, boottime_ns());
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
    if (!stack.user.empty()) {
      on_stack(stack.user);
      std::memcpy(&user, stack.user.data(), sizeof user);
    }
    waits.push_back({stack.waiter.tid, 0, stack.waiter.out_ns, stack.waiter.kernel, user.id});
  }
  dump::RecordBlob stacks, files;
  std::vector<kf_mapping> mappings;
  std::vector<std::uint64_t> addresses;
  {
    MutexLock lock(mutex_);
    stacks = store_.records();
    files = maps_.files();
    mappings = maps_.mappings(store_.processes());
    addresses = store_.kernel_addresses();
  }
  if (stacks.count() == 0) return addresses;
  KF_TRY(writer.stacks(stacks));
  KF_TRY(writer.base_stacks(waits));
  KF_TRY(writer.mappings(mappings, files));
  KF_TRY(writer.vdso(own_vdso()));
  return addresses;
}

}  // namespace kflight::record
