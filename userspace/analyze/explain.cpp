// SPDX-License-Identifier: Apache-2.0
//
// explain.cpp - the walk from a thread's time to whoever held it up, a rule per state. About 400 lines: read as one.
#include "analyze/explain.hpp"

#include <algorithm>

#include "analyze/explain_wake.hpp"

namespace kflight::analyze {

using model::Interval;
using model::kNone;
using model::Piece;
using model::State;
using model::Thread;
using model::ThreadId;

namespace {

constexpr std::uint32_t kMaxDepth = 64;
constexpr std::uint64_t kLongIdleNs = 1'000'000;  // an idle CPU does not leave a queued thread waiting this long

Quality worse(Quality a, Quality b) { return std::max(a, b); }

class Walk {
 public:
  Walk(const model::Trace& trace, Explanation& out)
      : trace_(trace), timeline_(trace.timeline()), judge_(trace), out_(out) {}

  void run() {
    todo_.push_back({out_.thread, out_.begin_ns, out_.end_ns, kNone, 0, Quality::kExact});
    while (!todo_.empty()) {
      at_ = todo_.back();
      todo_.pop_back();
      auto cursor = timeline_.pieces(at_.thread, at_.begin_ns, at_.end_ns);
      for (Piece piece; cursor.next(piece);) visit(piece);
    }
    std::sort(out_.leaves.begin(), out_.leaves.end(),
              [](const Leaf& a, const Leaf& b) { return a.begin_ns < b.begin_ns; });
    out_.false_wakeups = judge_.false_wakeups();
  }

 private:
  // A stretch of a thread's time to be explained.
  struct Item {
    ThreadId thread = model::kNoThread;
    std::uint64_t begin_ns = 0, end_ns = 0;
    std::uint32_t hop = kNone;
    std::uint32_t depth = 0;
    Quality quality = Quality::kExact;
  };

  void visit(const Piece& piece);
  void running(const Piece& piece, Quality quality);
  void computing(const Piece& piece, std::uint16_t cpu, Category outside, Quality quality);
  void runnable(const Piece& piece, Quality quality);
  void queued(const model::QueuePiece& queue, Quality quality);
  void blocked(const Piece& piece, Quality quality);
  void ended(const Piece& piece, const WaitEnd& end, Quality quality);
  void disk(const Piece& piece, const WaitEnd& end, Quality quality);
  void before_submit(const Piece& piece, const WaitEnd& end, Quality quality, std::uint32_t hop);
  void worked(const Piece& piece, const WaitEnd& end, Quality quality);
  void work_delay(const Piece& piece, std::uint32_t work, Quality quality);
  void softirqd(const Piece& piece, const WaitEnd& end, Quality quality);
  void stopped(const Piece& piece, Quality quality);
  void timer(const Piece& piece, const WaitEnd& end, Quality quality, std::uint32_t hop);
  void not_born(const Piece& piece);
  void follow_or_circle(ThreadId next, const Piece& piece, Quality quality);
  bool follow(ThreadId next, std::uint64_t begin_ns, std::uint64_t end_ns, std::uint32_t interval, Quality quality);
  bool on_chain(ThreadId id) const;
  std::uint32_t add_hop(std::uint32_t interval, ThreadId next);
  template <class Rest>
  void but_interrupts(std::uint64_t begin_ns, std::uint64_t end_ns, std::uint16_t cpu, Quality quality, Rest rest);
  void leaf(std::uint64_t begin_ns, std::uint64_t end_ns, Category category, Who who, Quality quality,
            std::uint32_t hop, std::uint16_t cpu = model::kNoCpu, std::uint32_t detail = 0);
  Who self() const { return {Who::Kind::kThread, at_.thread}; }

  const model::Trace& trace_;
  const model::Timeline& timeline_;
  WaitJudge judge_;
  Explanation& out_;
  std::vector<Item> todo_;
  Item at_;
  std::uint32_t judged_ = kNone;  // Hop::judged of the wait that is being explained
};

void Walk::leaf(std::uint64_t begin_ns, std::uint64_t end_ns, Category category, Who who, Quality quality,
                std::uint32_t hop, std::uint16_t cpu, std::uint32_t detail) {
  if (begin_ns >= end_ns) return;
  if (category == Category::kUnknown) quality = Quality::kUnknown;
  out_.leaves.push_back({begin_ns, end_ns, who, hop, at_.thread, detail, cpu, category, quality});
}

void Walk::visit(const Piece& piece) {
  Quality quality = at_.quality;
  const Thread& thread = timeline_.thread(at_.thread);
  if (piece.index != kNone) {
    const bool doubtful = (thread.intervals[piece.index].flags & model::kIntervalInferred) ||
                          timeline_.may_miss_events(thread, piece.index) || trace_.hides(thread);
    if (doubtful) quality = worse(quality, Quality::kInferred);
  }
  switch (piece.state) {
    case State::kRunning:
      return running(piece, quality);
    case State::kRunnable:
      return runnable(piece, quality);
    case State::kBlocked:
      return blocked(piece, quality);
    case State::kNotBorn:
      return not_born(piece);
    case State::kThrottled:
      return leaf(piece.begin_ns, piece.end_ns, Category::kCpuQuota, {Who::Kind::kCgroup, at_.thread}, quality,
                  at_.hop);
    case State::kStopped:
      return stopped(piece, quality);
    case State::kUnknown:
    case State::kExited:
      return leaf(piece.begin_ns, piece.end_ns, Category::kUnknown, self(), Quality::kUnknown, at_.hop);
  }
}

// What interrupts took of a stretch of a CPU's time are leaves of their own, rest(begin, end) gets the other parts.
template <class Rest>
void Walk::but_interrupts(std::uint64_t begin_ns, std::uint64_t end_ns, std::uint16_t cpu, Quality quality, Rest rest) {
  for (const model::InterruptTime& taken : timeline_.interrupts(cpu, begin_ns, end_ns)) {
    const std::uint64_t from_ns = std::max(taken.begin_ns, begin_ns), to_ns = std::min(taken.end_ns, end_ns);
    if (begin_ns < from_ns) rest(begin_ns, from_ns);
    leaf(from_ns, to_ns, Category::kIrq,
         {Who::Kind::kIrq, kTookCpu | std::uint32_t{taken.cause} << 16 | taken.cause_detail},
         taken.count == 1 ? quality : worse(quality, Quality::kInferred), at_.hop, cpu);
    begin_ns = to_ns;
  }
  if (begin_ns < end_ns) rest(begin_ns, end_ns);
}

// Split by interrupts and the system calls it was in. Of either some may be missing where events of the CPU are; the
// whole stretch on the CPU decides, for how it is explained must not depend on the part that is asked for.
void Walk::running(const Piece& piece, Quality quality) {
  const Thread& thread = timeline_.thread(at_.thread);
  if (trace_.hides(thread))
    return leaf(piece.begin_ns, piece.end_ns, Category::kUnknown, self(), Quality::kUnknown, at_.hop);
  const Interval& interval = thread.intervals[piece.index];
  const std::uint16_t cpu = interval.cpu;
  const bool lossy =
      timeline_.losses().any_in(cpu, interval.begin_ns, timeline_.interval_end_ns(thread, piece.index));
  const Category outside = trace_.has_all_calls(thread) && !lossy ? Category::kCpuUser : Category::kCpu;
  if (lossy) quality = worse(quality, Quality::kInferred);
  const auto by_calls = [&](std::uint64_t begin_ns, std::uint64_t end_ns) {
    computing({begin_ns, end_ns, piece.state, piece.index}, cpu, outside, quality);
  };
  if (is_softirqd(thread, piece.begin_ns)) return by_calls(piece.begin_ns, piece.end_ns);  // softirqs are its work
  but_interrupts(piece.begin_ns, piece.end_ns, cpu, quality, by_calls);
}

void Walk::computing(const Piece& piece, std::uint16_t cpu, Category outside, Quality quality) {
  const Thread& thread = timeline_.thread(at_.thread);
  auto upcoming = std::upper_bound(thread.calls.begin(), thread.calls.end(), piece.begin_ns,
                                   [](std::uint64_t t, const model::Call& call) { return t < call.begin_ns; });
  for (std::uint64_t at_ns = piece.begin_ns; at_ns < piece.end_ns;) {
    const std::uint32_t index = timeline_.call_at(thread, at_ns);
    std::uint64_t until_ns = piece.end_ns;
    if (index != kNone) {
      const model::Call& call = thread.calls[index];
      if (!model::Timeline::in_flight(thread, index))
        until_ns = std::min(until_ns, timeline_.call_end_ns(thread, index));
      leaf(at_ns, until_ns, Category::kCpuSys, self(), quality, at_.hop, cpu, call.nr | std::uint32_t{call.abi} << 16);
    } else {
      while (upcoming != thread.calls.end() && upcoming->begin_ns <= at_ns) ++upcoming;
      if (upcoming != thread.calls.end()) until_ns = std::min(until_ns, upcoming->begin_ns);
      // A call whose return is missing may have gone on since it was last seen, but not beyond the next one.
      const bool lost_return = outside == Category::kCpuUser && upcoming != thread.calls.begin() &&
                               std::prev(upcoming)->enter_known() && !std::prev(upcoming)->returned();
      leaf(at_ns, until_ns, lost_return ? Category::kCpu : outside, self(),
           lost_return ? worse(quality, Quality::kInferred) : quality, at_.hop, cpu);
    }
    at_ns = until_ns;
  }
}

void Walk::runnable(const Piece& piece, Quality quality) {
  const Interval& interval = timeline_.thread(at_.thread).intervals[piece.index];
  if (interval.flags & model::kIntervalUnplaced) quality = worse(quality, Quality::kInferred);
  auto queues = timeline_.queues(interval, piece.begin_ns, piece.end_ns);
  for (model::QueuePiece queue; queues.next(queue);) {
    if (queue.on_its_way) {
      leaf(queue.begin_ns, queue.end_ns, Category::kEnqueue, {Who::Kind::kKernel, 0}, quality, at_.hop);
    } else {
      queued(queue, quality);
    }
  }
}

// On the queue of a CPU: whoever has the CPU is the cause.
void Walk::queued(const model::QueuePiece& queue, Quality quality) {
  const Who cpu{Who::Kind::kCpu, queue.cpu};
  auto occupants = timeline_.occupants(queue.cpu, queue.begin_ns, queue.end_ns);
  for (model::OccupantPiece piece; occupants.next(piece);) {
    if (piece.thread == model::kNoThread || piece.thread == at_.thread) {
      leaf(piece.begin_ns, piece.end_ns, Category::kUnknown, cpu, Quality::kUnknown, at_.hop, queue.cpu);
    } else if (piece.thread == model::kIdleThread) {
      const bool suspect = piece.end_ns - piece.begin_ns > kLongIdleNs || trace_.hides_strangers();
      const Quality known = suspect ? worse(quality, Quality::kInferred) : quality;
      but_interrupts(piece.begin_ns, piece.end_ns, queue.cpu, quality, [&](std::uint64_t begin_ns, std::uint64_t end_ns) {
        leaf(begin_ns, end_ns, Category::kWakeLatency, cpu, known, at_.hop, queue.cpu);
      });
    } else {
      const bool doubtful = timeline_.losses().any_in(queue.cpu, piece.begin_ns, piece.end_ns) ||
                            trace_.hides(timeline_.thread(piece.thread));
      const Quality known = doubtful ? worse(quality, Quality::kInferred) : quality;
      const auto occupied = [&](std::uint64_t begin_ns, std::uint64_t end_ns) {
        leaf(begin_ns, end_ns, Category::kContention, {Who::Kind::kThread, piece.thread}, known, at_.hop, queue.cpu);
      };
      if (is_softirqd(timeline_.thread(piece.thread), piece.begin_ns)) occupied(piece.begin_ns, piece.end_ns);
      else but_interrupts(piece.begin_ns, piece.end_ns, queue.cpu, known, occupied);
    }
  }
}

// By whoever sent the signal; a tracer is whoever let it go on.
void Walk::stopped(const Piece& piece, Quality quality) {
  const Thread& thread = timeline_.thread(at_.thread);
  const Interval& interval = thread.intervals[piece.index];
  const model::IntervalNote* note = thread.note_of(interval);
  Who who = self();
  if (note && note->other < model::kIdleThread) {
    who.id = note->other;
  } else if (interval.detail == KF_ST_TRACED && interval.wake != kNone &&
             timeline_.wake(interval.wake).waker < model::kIdleThread) {
    who.id = timeline_.wake(interval.wake).waker;
    quality = worse(quality, Quality::kInferred);
  }
  leaf(piece.begin_ns, piece.end_ns, Category::kStopped, who, quality, at_.hop);
}

void Walk::blocked(const Piece& piece, Quality quality) {
  const WaitEnd end = judge_.judge(at_.thread, piece.index);
  judged_ = end.interval;
  ended(piece, end, worse(quality, end.quality));
}

void Walk::ended(const Piece& piece, const WaitEnd& end, Quality quality) {
  if (piece.begin_ns >= piece.end_ns) return;
  switch (end.kind) {
    case WaitEnd::Kind::kThread:
      return follow_or_circle(end.waker, piece, quality);
    case WaitEnd::Kind::kWork:
      return worked(piece, end, quality);
    case WaitEnd::Kind::kSoftirqd:
      return softirqd(piece, end, quality);
    case WaitEnd::Kind::kDisk:
      return disk(piece, end, quality);
    case WaitEnd::Kind::kTimer:
      return timer(piece, end, quality, add_hop(piece.index, model::kNoThread));
    case WaitEnd::Kind::kLeaf:
      return leaf(piece.begin_ns, piece.end_ns, end.category, end.who, quality, add_hop(piece.index, model::kNoThread));
  }
}

void Walk::follow_or_circle(ThreadId next, const Piece& piece, Quality quality) {
  if (follow(next, piece.begin_ns, piece.end_ns, piece.index, quality)) return;
  ++out_.cycles;
  leaf(piece.begin_ns, piece.end_ns, Category::kUnknown, self(), Quality::kUnknown,
       add_hop(piece.index, model::kNoThread));
}

// Cut at the request's own times.
void Walk::disk(const Piece& piece, const WaitEnd& end, Quality quality) {
  const model::BlockRequest& request = timeline_.block_requests()[end.request];
  const auto within = [&piece](std::uint64_t t_ns, std::uint64_t least_ns) {
    return std::clamp(t_ns, least_ns, piece.end_ns);
  };
  const std::uint64_t queued_ns = within(request.queued_ns, piece.begin_ns);
  const std::uint64_t issued_ns = within(request.issued_ns, queued_ns);
  const std::uint64_t completed_ns = request.completed_ns == 0 ? piece.end_ns : within(request.completed_ns, issued_ns);
  const std::uint32_t hop = add_hop(piece.index, model::kNoThread);
  out_.hops[hop].request = end.request;
  const std::uint32_t op = request.op;
  before_submit({piece.begin_ns, queued_ns, piece.state, piece.index}, end, quality, hop);
  const bool guessed = request.issue_guessed || request.issued_ns == 0;  // what of it was queue, what service
  const Quality known = guessed ? worse(quality, Quality::kInferred) : quality;
  leaf(queued_ns, issued_ns, Category::kDiskQueue, end.who, known, hop, model::kNoCpu, op);
  leaf(issued_ns, completed_ns, Category::kDiskService, end.who, known, hop, model::kNoCpu, op);
  leaf(completed_ns, piece.end_ns, Category::kDiskCompletion, end.who, quality, hop, model::kNoCpu, op);
}

// Before it was queued, a request was being prepared: by another thread, where that is known, or held back by a
// cgroup's I/O limit until a kworker let it go.
void Walk::before_submit(const Piece& piece, const WaitEnd& end, Quality quality, std::uint32_t hop) {
  if (piece.begin_ns >= piece.end_ns) return;
  const model::BlockRequest& request = timeline_.block_requests()[end.request];
  const bool by_other = request.submitter < model::kIdleThread && request.submitter != at_.thread;
  const bool held_back = request.work != kNone && trace_.function_name(timeline_.works()[request.work].function) ==
                                                      "blk_throtl_dispatch_work_fn";
  if (by_other && held_back)
    return leaf(piece.begin_ns, piece.end_ns, Category::kDiskQueue, end.who, quality, hop, model::kNoCpu,
                request.op | kHeldBack);
  if (by_other && follow(request.submitter, piece.begin_ns, piece.end_ns, piece.index, quality)) return;
  leaf(piece.begin_ns, piece.end_ns, Category::kDiskBeforeSubmit, end.who, quality, hop, model::kNoCpu, request.op);
}

// A work item did it: until it was queued that is whoever queued it, then the delay until a kworker took it, then what
// the kworker did.
void Walk::worked(const Piece& piece, const WaitEnd& end, Quality quality) {
  const model::WorkRun& work = timeline_.works()[end.work];
  const bool known = work.queued.ts_ns != 0;
  const std::uint64_t started_ns = std::clamp(work.started_ns, piece.begin_ns, piece.end_ns);
  const std::uint64_t queued_ns = known ? std::clamp(work.queued.ts_ns, piece.begin_ns, started_ns) : piece.begin_ns;
  const auto first_hop = static_cast<std::uint32_t>(out_.hops.size());
  const WaitEnd queuing = judge_.judge_queuing(work);
  ended({piece.begin_ns, queued_ns, piece.state, piece.index}, queuing, worse(quality, queuing.quality));
  work_delay({queued_ns, started_ns, piece.state, piece.index}, end.work,
             known ? quality : worse(quality, Quality::kInferred));
  if (started_ns < piece.end_ns)
    follow_or_circle(work.worker, {started_ns, piece.end_ns, piece.state, piece.index}, quality);
  for (std::size_t hop = first_hop; hop < out_.hops.size(); ++hop) out_.hops[hop].work = end.work;
}

// Split by what the kworker did instead. An idle kworker sleeps as such: one that sleeps otherwise is in the midst of
// another item, and whatever that waits for is what this one waits for.
void Walk::work_delay(const Piece& piece, std::uint32_t work, Quality quality) {
  if (piece.begin_ns >= piece.end_ns) return;
  const std::uint32_t hop = add_hop(piece.index, model::kNoThread);
  const Who who{Who::Kind::kWork, timeline_.works()[work].first_of_function};
  const ThreadId worker = timeline_.works()[work].worker;
  auto cursor = timeline_.pieces(worker, piece.begin_ns, piece.end_ns);
  for (Piece meanwhile; cursor.next(meanwhile);) {
    const State state = meanwhile.state;
    const bool busy = state == State::kUnknown ||
                      (state == State::kBlocked && timeline_.thread(worker).intervals[meanwhile.index].detail != KF_ST_IDLE);
    const bool hidden = trace_.hides(timeline_.thread(worker));
    const Quality known = busy || hidden ? worse(quality, Quality::kInferred) : quality;
    if (busy && follow(worker, meanwhile.begin_ns, meanwhile.end_ns, piece.index, known)) continue;
    leaf(meanwhile.begin_ns, meanwhile.end_ns, Category::kWorkqueue, who, known, hop, model::kNoCpu,
         static_cast<std::uint32_t>(state));
  }
}

void Walk::softirqd(const Piece& piece, const WaitEnd& end, Quality quality) {
  const std::uint64_t taken_ns = std::clamp(end.deadline_ns, piece.begin_ns, piece.end_ns);
  const Piece before{piece.begin_ns, taken_ns, piece.state, piece.index};
  if (end.sender == model::kNoThread)
    leaf(before.begin_ns, before.end_ns, end.category, end.who, quality, add_hop(piece.index, model::kNoThread));
  else if (before.begin_ns < before.end_ns) follow_or_circle(end.sender, before, quality);
  if (taken_ns < piece.end_ns) follow_or_circle(end.waker, {taken_ns, piece.end_ns, piece.state, piece.index}, quality);
}

void Walk::timer(const Piece& piece, const WaitEnd& end, Quality quality, std::uint32_t hop) {
  const std::uint64_t due_ns =
      end.deadline_ns == 0 ? piece.end_ns : std::clamp(end.deadline_ns, piece.begin_ns, piece.end_ns);
  leaf(piece.begin_ns, due_ns, Category::kTimer, end.who, quality, hop);
  leaf(due_ns, piece.end_ns, Category::kTimerOvershoot, {Who::Kind::kKernel, 0}, quality, hop);
}

// Before its birth a thread was whatever its parent did.
void Walk::not_born(const Piece& piece) {
  const ThreadId parent = timeline_.thread(at_.thread).parent;
  if (parent < model::kIdleThread && follow(parent, piece.begin_ns, piece.end_ns, kNone, at_.quality)) return;
  leaf(piece.begin_ns, piece.end_ns, Category::kUnknown, self(), Quality::kUnknown, at_.hop);
}

bool Walk::follow(ThreadId next, std::uint64_t begin_ns, std::uint64_t end_ns, std::uint32_t interval,
                  Quality quality) {
  if (at_.depth >= kMaxDepth || on_chain(next)) return false;
  if (begin_ns >= end_ns) return true;
  out_.deepest = std::max(out_.deepest, at_.depth + 1);
  todo_.push_back({next, begin_ns, end_ns, add_hop(interval, next), at_.depth + 1, quality});
  return true;
}

bool Walk::on_chain(ThreadId id) const {
  if (id == at_.thread) return true;
  for (std::uint32_t hop = at_.hop; hop != kNone; hop = out_.hops[hop].parent)
    if (out_.hops[hop].thread == id) return true;
  return false;
}

std::uint32_t Walk::add_hop(std::uint32_t interval, ThreadId next) {
  out_.hops.push_back({at_.hop, at_.thread, interval, next});
  if (interval != kNone) out_.hops.back().judged = judged_;
  return static_cast<std::uint32_t>(out_.hops.size() - 1);
}

}  // namespace

std::string_view category_name(Category category) {
  constexpr std::string_view kNames[kCategories] = {"cpu",
                                                    "cpu:user",
                                                    "cpu:sys",
                                                    "irq",
                                                    "contention",
                                                    "wake-latency",
                                                    "enqueue",
                                                    "cpu-quota",
                                                    "disk:before-submit",
                                                    "disk:queue",
                                                    "disk:service",
                                                    "disk:completion",
                                                    "network",
                                                    "timer",
                                                    "timer-overshoot",
                                                    "workqueue",
                                                    "signal/stop",
                                                    "rcu",
                                                    "kernel-unattributed",
                                                    "still-blocked",
                                                    "unknown"};
  return kNames[static_cast<std::size_t>(category)];
}

std::string_view quality_name(Quality quality) {
  constexpr std::string_view kNames[] = {"exact", "inferred", "unknown"};
  return kNames[static_cast<std::size_t>(quality)];
}

Explanation explain(const model::Trace& trace, ThreadId thread, std::uint64_t begin_ns, std::uint64_t end_ns) {
  Explanation out;
  out.thread = thread;
  out.begin_ns = begin_ns;
  out.end_ns = std::max(begin_ns, end_ns);
  Walk(trace, out).run();
  return out;
}

}  // namespace kflight::analyze
