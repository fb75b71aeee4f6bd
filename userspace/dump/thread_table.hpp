// SPDX-License-Identifier: Apache-2.0
//
// thread_table.hpp - tid to ThreadFacts, looked up several million times a second: open addressing with linear probing
// over (tid, place) pairs, the facts themselves side by side in a vector. Allocates only when it grows. tid 0, the idle
// task, is not a thread and marks an empty slot. References hold until the next of() or erase.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "dump/thread_facts.hpp"

namespace kflight::dump {

class ThreadTable {
 public:
  ThreadTable() : slots_(kSlotsAtFirst) {}

  // Where a thread's facts are, made if need be. Stays valid until something is erased.
  std::uint32_t place_of(std::uint32_t tid) {
    std::size_t at = slot_of(tid);
    if (slots_[at].tid == tid) return slots_[at].place;
    if (2 * (threads_.size() + 1) > slots_.size()) {
      grow();
      at = slot_of(tid);
    }
    slots_[at] = {tid, static_cast<std::uint32_t>(threads_.size())};
    threads_.emplace_back(tid);
    return slots_[at].place;
  }
  ThreadFacts& at(std::uint32_t place) { return threads_[place]; }
  ThreadFacts& of(std::uint32_t tid) { return threads_[place_of(tid)]; }
  ThreadFacts* find(std::uint32_t tid) {
    const Slot& slot = slots_[slot_of(tid)];
    return slot.tid == tid && tid != 0 ? &threads_[slot.place] : nullptr;
  }

  // For those who know whom they will ask for: the slot first, somewhat later what it points to. Inlined by force: g++ 12
  // takes a function that only prefetches for one without effect, and leaves out the call.
  [[gnu::always_inline]] void prefetch_slot(std::uint32_t tid) const { __builtin_prefetch(&slots_[home_of(tid)]); }
  [[gnu::always_inline]] void prefetch_facts(std::uint32_t tid) const {
    const Slot& slot = slots_[slot_of(tid)];
    if (slot.tid == 0) return;
    const auto* facts = reinterpret_cast<const std::byte*>(&threads_[slot.place]);
    for (std::size_t at = 0; at < ThreadFacts::kHotBytes; at += 64) __builtin_prefetch(facts + at, 1);
  }

  template <class Predicate>
  void erase_if(Predicate&& gone) {
    if (std::erase_if(threads_, gone) > 0) rebuild(slots_.size());
  }

  const std::vector<ThreadFacts>& all() const { return threads_; }

 private:
  static constexpr std::size_t kSlotsAtFirst = 1024;  // a power of two

  struct Slot {
    std::uint32_t tid = 0;
    std::uint32_t place = 0;
  };

  std::size_t home_of(std::uint32_t tid) const {
    return tid * std::uint64_t{0x9e3779b97f4a7c15} >> 32 & (slots_.size() - 1);
  }
  // The slot that holds tid, or the empty one where it belongs.
  std::size_t slot_of(std::uint32_t tid) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = home_of(tid);
    while (slots_[at].tid != tid && slots_[at].tid != 0) at = (at + 1) & mask;
    return at;
  }
  void grow() { rebuild(2 * slots_.size()); }
  void rebuild(std::size_t size) {
    slots_.assign(size, {});
    for (std::uint32_t place = 0; place < threads_.size(); ++place)
      slots_[slot_of(threads_[place].task.tid)] = {threads_[place].task.tid, place};
  }

  std::vector<Slot> slots_;
  std::vector<ThreadFacts> threads_;
};

}  // namespace kflight::dump
