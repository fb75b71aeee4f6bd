// SPDX-License-Identifier: Apache-2.0
//
// thread_table.hpp - which thread is meant by a tid, when? A Thread is one life: tids are reused, and exec hands the
// leader's tid to another thread, so everything else refers to threads by ThreadId, an index that never changes.
#pragma once

#include <cstdint>
#include <deque>
#include <memory_resource>
#include <string_view>
#include <vector>

#include "kflight/event.hpp"
#include "model/interval.hpp"

namespace kflight::model {

// What a Timeline has millions of. It only grows, and goes away as a whole.
template <class T>
using Log = std::pmr::deque<T>;

struct Thread {
  explicit Thread(std::pmr::memory_resource* memory) : intervals(memory), calls(memory) {}


  std::uint32_t tid = 0;         // its last one
  std::uint32_t former_tid = 0;  // before an exec gave it the leader's; 0: the same all its life
  std::uint64_t renamed_ns = 0;  // that exec
  std::uint32_t tgid = 0;        // 0: not known
  ThreadId parent = kNoThread;   // that forked it
  std::uint64_t start_ns = 0;    // start_boottime as the kernel says; 0: not known
  std::uint64_t born_ns = 0;     // fork event; 0: not seen
  std::uint64_t cgroup_id = 0;
  bool is_target = false;
  bool is_kthread = false;

  struct Name {
    std::uint64_t since_ns = 0;
    Comm comm;
  };
  std::vector<Name> names;  // by time; empty: not known

  Log<Interval> intervals;          // by time; each lasts until the next one begins
  Log<Call> calls;                  // by begin_ns
  std::vector<IntervalNote> notes;  // by begin_ns, few

  std::uint32_t tid_at(std::uint64_t t_ns) const noexcept { return t_ns < renamed_ns ? former_tid : tid; }
  // The name at that time; of the first known one when it is older.
  std::string_view name_at(std::uint64_t t_ns) const noexcept;
  // The call that an interval of this thread was spent in; null where none is known.
  const Call* call_of(const Interval& interval) const noexcept {
    const std::uint32_t index = interval.call();
    return index < calls.size() ? &calls[index] : nullptr;
  }
  // What else is known of the interval; null for most.
  const IntervalNote* note_of(const Interval& interval) const noexcept;
};

class ThreadTable {
 public:
  // `memory` must outlive the threads.
  explicit ThreadTable(std::pmr::memory_resource* memory) : memory_(memory) {}

  // The living thread of this tid, made if need be.
  ThreadId get(std::uint32_t tid);
  ThreadId find(std::uint32_t tid) const noexcept {
    return slot(tid) < by_tid_.size() ? by_tid_[slot(tid)] : kNoThread;
  }
  // A new life begins under this tid.
  ThreadId create(std::uint32_t tid);
  // From ts_ns on `id` goes on under new_tid; whoever had that tid is no longer found.
  void rename_tid(ThreadId id, std::uint32_t new_tid, std::uint64_t ts_ns);

  Thread& operator[](ThreadId id) { return threads_[id]; }
  const Thread& operator[](ThreadId id) const { return threads_[id]; }
  std::size_t size() const noexcept { return threads_.size(); }
  std::deque<Thread> take() && { return std::move(threads_); }

 private:
  // Damaged input may hold tids no kernel gives out; they must not make the table huge.
  static std::uint32_t slot(std::uint32_t tid_untrusted) noexcept { return tid_untrusted & KF_TID_MASK; }
  void bind(std::uint32_t tid, ThreadId id);

  std::pmr::memory_resource* memory_;
  std::deque<Thread> threads_;
  std::vector<ThreadId> by_tid_;
};

}  // namespace kflight::model
