// SPDX-License-Identifier: Apache-2.0
//
// explain_wake.hpp - what ended a wait? Judges a blocked interval by the wake that ended it: who or what woke it, in
// which context, what that CPU was busy with, and what the system call says of its own end. Depends on the interval
// alone, never on the part of it that is asked for; that keeps explanations additive.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "analyze/explain.hpp"

namespace kflight::analyze {

struct WaitEnd {
  enum class Kind : std::uint8_t {
    kLeaf,      // category and who say it all
    kThread,    // `waker` brought it about: follow it
    kTimer,     // the sleeper's own request, due at deadline_ns (0: not known)
    kDisk,      // a block request
    kWork,      // a work item of a kworker
    kSoftirqd,  // a softirq that ksoftirqd, `waker`, ran from deadline_ns on; until then it was `sender`, or category and who
  };
  Kind kind = Kind::kLeaf;
  Category category = Category::kUnknown;
  Quality quality = Quality::kUnknown;
  Who who;
  model::ThreadId waker = model::kNoThread;
  model::ThreadId sender = model::kNoThread;  // kSoftirqd
  std::uint64_t deadline_ns = 0;
  std::uint32_t request = model::kNone;
  std::uint32_t work = model::kNone;
  std::uint32_t interval = model::kNone;  // that was judged: behind false wakeups the last one of the same wait
};

class WaitJudge {
 public:
  explicit WaitJudge(const model::Trace& trace) : trace_(trace), timeline_(trace.timeline()) {}

  WaitEnd judge(model::ThreadId thread, std::uint32_t blocked_interval);
  // What made somebody queue a work item.
  WaitEnd judge_queuing(const model::WorkRun& work) const;
  std::uint64_t false_wakeups() const noexcept { return false_wakeups_; }

 private:
  std::uint32_t last_of_same_wait(model::ThreadId thread, std::uint32_t interval);
  std::uint32_t next_part_of_wait(const model::Thread& thread, std::uint32_t interval) const;
  bool same_wait(const model::Thread& thread, std::uint32_t interval, std::uint32_t next) const;
  bool slept_to_the_end(const model::Thread& thread, std::uint32_t interval) const;
  bool timed_out(const model::Thread& thread, std::uint32_t interval) const;
  WaitEnd judge_one(model::ThreadId id, std::uint32_t interval) const;
  WaitEnd not_woken(model::ThreadId id, std::uint32_t interval) const;
  WaitEnd by_task(model::ThreadId id, const model::Wake& wake) const;
  WaitEnd by_interrupt(model::ThreadId id, std::uint32_t interval, const model::Wake& wake, bool timeout) const;
  WaitEnd by_noted_interrupt(model::ThreadId id, const model::Wake& wake) const;
  WaitEnd by_softirqd(const model::Wake& wake, WaitEnd end) const;
  bool re_entered(const model::Thread& thread, std::uint32_t call, std::uint32_t next_call) const;
  WaitEnd by_unnoted_interrupt(model::ThreadId id, const model::Interval& blocked, const model::Wake& wake) const;
  WaitEnd by_network(const model::Wake& wake, model::ThreadId sleeper, Quality quality) const;
  WaitEnd timer(model::ThreadId id, std::uint32_t interval, Quality quality) const;

  const model::Trace& trace_;
  const model::Timeline& timeline_;
  std::unordered_map<std::uint64_t, std::uint32_t> last_part_;  // of waits that were interrupted by false wakeups
  std::uint64_t false_wakeups_ = 0;
};

// The kernel's thread for softirqs that came too fast: they are its own work.
bool is_softirqd(const model::Thread& thread, std::uint64_t at_ns);

}  // namespace kflight::analyze
