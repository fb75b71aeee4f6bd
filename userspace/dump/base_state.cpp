// SPDX-License-Identifier: Apache-2.0
//
// Dispatches each event of an evicted chunk to the facts of the thread it is about, and keeps each CPU's position.
// Runs on the consumer's thread, under the window's lock.
#include "dump/base_state.hpp"

#include <algorithm>

#include "dump/decoder.hpp"

namespace kflight::dump {

void BaseState::add_snapshot(const kf_task& task) {
  if (task.tid != 0) threads_.of(task.tid).snapshot(task);
}

namespace {

// How many words before their turn threads are looked for: their facts lie anywhere, and memory takes as long as a few
// events.
constexpr std::size_t kSlotsAhead = 64, kFactsAhead = 32;

// The thread that an event beginning with this word is about; 0: none. Guesses, as the word may not begin one.
std::uint32_t subject_of(kf_u64 w) {
  switch (kf_word_kind(w)) {
    case KF_EV_SWITCH: return kf_switch_next(w);
    case KF_EV_WAKING: return kf_waking_wakee(w);
    case KF_EV_WAKEUP: return kf_wakeup_wakee(w);
    default: return 0;
  }
}

}  // namespace

// Has the facts fetched from memory that words up to `upto` and soon after will need.
void BaseState::look_ahead(std::span<const kf_u64> words, std::size_t& looked_at, std::size_t upto) const {
  for (; looked_at < upto; ++looked_at) {
    const auto soon = looked_at + kSlotsAhead, sooner = looked_at + kFactsAhead;
    if (soon < words.size())
      if (const std::uint32_t tid = subject_of(words[soon])) threads_.prefetch_slot(tid);
    if (sooner < words.size())
      if (const std::uint32_t tid = subject_of(words[sooner])) threads_.prefetch_facts(tid);
  }
}

void BaseState::fold(const kf_chunk& chunk, std::span<const kf_u64> words) {
  ChunkCursor cursor(chunk, words);
  std::size_t looked_at = 0;
  for (Event event; cursor.next(event);) {
    look_ahead(words, looked_at, cursor.words_used());
    std::visit([this](const auto& e) { apply(e); }, event);
  }
  advance_lane(chunk, cursor.current_tid());
}

std::vector<kf_base_task> BaseState::tasks() const {
  std::vector<kf_base_task> out;
  out.reserve(threads_.all().size());
  for (const auto& thread : threads_.all()) {
    if (!thread.worth_keeping()) continue;
    out.push_back(thread.task);
    if (thread.in_call()) continue;
    out.back().out_flags &= static_cast<kf_u8>(~kOutHasSys);
    out.back().sys = {};
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.tid < b.tid; });
  return out;
}

std::vector<kf_base_stack> BaseState::stacks() const {
  std::vector<kf_base_stack> out;
  for (const auto& thread : threads_.all())
    if (thread.stack.out_ns != 0 && thread.stack.out_ns == thread.task.out_ns &&
        thread.task.in_ns <= thread.task.out_ns)
      out.push_back(thread.stack);
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.tid < b.tid; });
  return out;
}

std::vector<kf_base_lane> BaseState::lanes() const {
  std::vector<kf_base_lane> out;
  for (const auto& lane : lanes_)
    if (lane.seen) out.push_back(lane.facts);
  return out;
}

std::size_t BaseState::thread_count() const {
  const auto& all = threads_.all();
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [](const ThreadFacts& thread) { return thread.worth_keeping(); }));
}

void BaseState::forget_exited(std::uint64_t before_ns) {
  threads_.erase_if([&](const ThreadFacts& thread) {
    if (!thread.worth_keeping()) return thread.not_before_ns < before_ns;
    return (thread.task.known & KF_BASE_EXITED) != 0 && thread.task.last_event_ns < before_ns;
  });
  running_ = {};
}

ThreadFacts& BaseState::running(std::uint32_t tid) {
  if (running_.tid != tid) running_ = {tid, threads_.place_of(tid)};
  return threads_.at(running_.place);
}

void BaseState::apply(const SwitchEvent& e) {
  if (e.tid != 0) running(e.tid).switched_out(e);
  if (e.next_tid != 0) running(e.next_tid).switched_in(e);
}

// A task that wakes itself has not slept: the kernel takes a short cut and no state changes.
void BaseState::apply(const WakingEvent& e) {
  if (e.wakee != 0 && e.wakee != e.tid) threads_.of(e.wakee).woken(e);
}

void BaseState::apply(const WakeupEvent& e) {
  if (e.wakee != 0 && e.wakee != e.tid) threads_.of(e.wakee).enqueued(e.ts_ns, e.target_cpu);
}

void BaseState::apply(const MigrateEvent& e) {
  if (e.migrated_tid != 0) threads_.of(e.migrated_tid).enqueued(e.ts_ns, e.dest_cpu);
}

void BaseState::apply(const ForkEvent& e) {
  if (e.child_tid != 0) threads_.of(e.child_tid).forked(e);
}

void BaseState::apply(const ExecEvent& e) {
  if (e.new_tid == 0) return;
  const std::uint32_t now = threads_.place_of(e.new_tid);
  if (e.old_tid != 0 && e.old_tid != e.new_tid) {
    ThreadFacts& former = threads_.of(e.old_tid);
    threads_.at(now).continues(former);
    // Its place stays, empty: chunks of other CPUs may still bring events from before the exec.
    former = ThreadFacts(e.old_tid);
    former.not_before_ns = e.ts_ns;
  }
  threads_.at(now).named(e.ts_ns, e.comm);
}

void BaseState::apply(const ExitEvent& e) {
  if (e.exiting_tid != 0) threads_.of(e.exiting_tid).exiting(e);
}

void BaseState::apply(const RenameEvent& e) {
  if (e.renamed_tid != 0) threads_.of(e.renamed_tid).named(e.ts_ns, e.comm);
}

void BaseState::apply(const SyscallEvent& e) {
  if (e.tid != 0) running(e.tid).call_ended(e.ts_ns);
}

void BaseState::apply(const SyscallOpenEvent& e) {
  if (e.tid != 0) running(e.tid).call_open(e);
}

void BaseState::apply(const StackEvent& e) {
  if (e.role != KF_STACK_BLOCK || e.stack_tid == 0) return;
  kf_base_stack& stack = threads_.of(e.stack_tid).stack;
  if (e.ts_ns >= stack.out_ns) stack = {e.stack_tid, 0, e.ts_ns, e.kernel_stack, e.user_stack};
}

// A nested chunk is gone before the chunk it interrupted: it moves only the count of its own kind.
void BaseState::advance_lane(const kf_chunk& chunk, std::uint32_t cur_tid) {
  if (chunk.lane >= lanes_.size()) lanes_.resize(std::size_t{chunk.lane} + 1);
  lanes_[chunk.lane].seen = true;
  kf_base_lane& lane = lanes_[chunk.lane].facts;
  lane.lane = chunk.lane;
  const bool nested = (chunk.flags & KF_CHUNK_NESTED) != 0;
  lane.nested_through = std::max(lane.nested_through, chunk.nested_before + (nested ? 1 : 0));
  if (nested) return;
  lane.known = 1;
  lane.cur_tid = cur_tid;
  lane.through_ns = std::max(lane.through_ns, chunk.last_ns);
  lane.next_seq = chunk.seq + 1;
  lane.events_through = chunk.events_before + chunk.n_events;
}

}  // namespace kflight::dump
