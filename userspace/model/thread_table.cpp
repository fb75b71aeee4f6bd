// SPDX-License-Identifier: Apache-2.0
#include "model/thread_table.hpp"

#include <algorithm>

namespace kflight::model {

std::string_view Thread::name_at(std::uint64_t t_ns) const noexcept {
  auto after = std::ranges::upper_bound(names, t_ns, {}, &Name::since_ns);
  if (after != names.begin()) --after;
  return after == names.end() ? std::string_view{} : after->comm.view();
}

const IntervalNote* Thread::note_of(const Interval& interval) const noexcept {
  const auto it = std::lower_bound(notes.begin(), notes.end(), interval.begin_ns,
                                   [](const IntervalNote& note, std::uint64_t t_ns) { return note.begin_ns < t_ns; });
  return it != notes.end() && it->begin_ns == interval.begin_ns ? &*it : nullptr;
}

ThreadId ThreadTable::get(std::uint32_t tid) {
  const ThreadId id = find(tid);
  return id == kNoThread ? create(tid) : id;
}

ThreadId ThreadTable::create(std::uint32_t tid) {
  const auto id = static_cast<ThreadId>(threads_.size());
  threads_.emplace_back(memory_).tid = tid;
  bind(tid, id);
  return id;
}

void ThreadTable::rename_tid(ThreadId id, std::uint32_t new_tid, std::uint64_t ts_ns) {
  Thread& thread = threads_[id];
  if (find(thread.tid) == id) by_tid_[slot(thread.tid)] = kNoThread;
  thread.former_tid = thread.tid;
  thread.renamed_ns = ts_ns;
  thread.tid = new_tid;
  bind(new_tid, id);
}

void ThreadTable::bind(std::uint32_t tid, ThreadId id) {
  if (slot(tid) >= by_tid_.size()) by_tid_.resize(slot(tid) + 1, kNoThread);
  by_tid_[slot(tid)] = id;
}

}  // namespace kflight::model
