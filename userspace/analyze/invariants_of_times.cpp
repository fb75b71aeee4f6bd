// SPDX-License-Identifier: Apache-2.0
//
// invariants_of_times.cpp - the kernel's own clocks (the fields of /proc/PID/schedstat in the snapshot at the dump)
// against the Timeline's sums. Only for threads born in the window, for there both begin at zero, and only for those
// that slept around the snapshot, for then the kernel's numbers are settled.
#include <unordered_map>

#include "analyze/invariants_of_states.hpp"
#include "base/units.hpp"

namespace kflight::analyze {

using model::Piece;
using model::State;
using model::Thread;
using model::ThreadId;
using model::Timeline;

namespace {

// The kernel reads its clock a little before a switch is announced or after.
constexpr std::uint64_t kPerTurnNs = 4'000;
// Once in a thread's life a hypervisor may have taken the CPU away between the two. It takes it seldom, for long, and
// anywhere; that it does so twice there is not to be expected.
constexpr std::uint64_t kAwayNs = 1'000'000;

struct Lived {
  std::uint64_t run_ns = 0;
  std::uint64_t queued_ns = 0;  // from the enqueue on, not from the waking; out of CPU quota it counts, too
  std::uint64_t turns = 0;      // on a CPU
};

Lived lived_until(const Timeline& timeline, ThreadId id, std::uint64_t until_ns) {
  Lived lived;
  const Thread& thread = timeline.thread(id);
  auto pieces = timeline.pieces(id, timeline.begin_ns(), until_ns);
  for (Piece piece; pieces.next(piece);) {
    if (piece.state == State::kRunning) {
      lived.run_ns += piece.length_ns();
      ++lived.turns;
    } else if (piece.state == State::kRunnable) {
      auto queues = timeline.queues(thread.intervals[piece.index], piece.begin_ns, piece.end_ns);
      for (model::QueuePiece queue; queues.next(queue);)
        if (!queue.on_its_way) lived.queued_ns += queue.end_ns - queue.begin_ns;
    } else if (piece.state == State::kThrottled) {
      lived.queued_ns += piece.length_ns();
    }
  }
  return lived;
}

bool slept_around(const Timeline& timeline, ThreadId id, std::uint64_t ts_ns) {
  const Piece piece = timeline.piece_at(id, ts_ns);
  if (piece.state != State::kBlocked) return false;
  const Thread& thread = timeline.thread(id);
  return thread.intervals[piece.index].begin_ns + kReadBeforeNs <= ts_ns &&
         ts_ns + kReadAfterNs <= timeline.interval_end_ns(thread, piece.index);
}

class Times {
 public:
  Times(const Timeline& timeline, Tally& tally) : timeline_(timeline), tally_(tally) {}

  void compare(ThreadId id, const kf_task& task) {
    const Thread& thread = timeline_.thread(id);
    if (timeline_.losses().any_in(thread.born_ns, task.ts_ns)) return tally_.excuse();
    const Lived lived = lived_until(timeline_, id, task.ts_ns);
    tally_.checked();
    // The kernel may take a switch for as early as the waking that led to it, and so for running what was waiting.
    const std::uint64_t kernel_ns = task.run_ns + task.run_delay_ns, our_ns = lived.run_ns + lived.queued_ns;
    if (kernel_ns > our_ns + tolerance(lived, kernel_ns))
      complain(task, "ran or waited for a CPU", kernel_ns, our_ns);
    else if (task.run_delay_ns > lived.queued_ns + tolerance(lived, task.run_delay_ns))
      complain(task, "waited for a CPU", task.run_delay_ns, lived.queued_ns);
    else if (our_ns > kernel_ns)
      uncounted_ns_ += our_ns - kernel_ns;
    // A thread that is woken before it has left its CPU is not always counted as queued, and so not as switched in.
    if (task.run_count > lived.turns)
      tally_.violate(moment(task.ts_ns, task.cpu), task.tid, "came to a CPU {} times says the kernel, {} times we",
                     task.run_count, lived.turns);
  }

  // What a hypervisor takes away and, on some kernels, interrupts are in our times but not in the kernel's.
  void finish() { tally_.remark("us that the kernel does not count: interrupts, hypervisor", uncounted_ns_ / 1000); }

 private:
  static std::uint64_t tolerance(const Lived& lived, std::uint64_t ns) {
    return kAwayNs + kPerTurnNs * (lived.turns + 1) + ns / 50;
  }
  void complain(const kf_task& task, std::string_view did, std::uint64_t kernel_ns, std::uint64_t our_ns) {
    const auto text = [](std::uint64_t ns) { return format_duration(static_cast<std::int64_t>(ns)); };
    tally_.violate(moment(task.ts_ns, task.cpu), task.tid, "{} {} since its birth says the kernel, {} say the events",
                   did, text(kernel_ns), text(our_ns));
  }

  const Timeline& timeline_;
  Tally& tally_;
  std::uint64_t uncounted_ns_ = 0;
};

}  // namespace

void kernel_times(const model::Trace& trace, Tally tally, const CheckOptions&) {
  if (trace.dump() == nullptr) return tally.not_applicable("there is no snapshot");
  const Timeline& timeline = trace.timeline();
  std::unordered_map<std::uint32_t, const kf_task*> snapshot;
  for (const kf_task& task : trace.dump()->tasks()) snapshot[task.tid] = &task;
  Times times(timeline, tally);
  for (ThreadId id = 0; id < timeline.threads().size(); ++id) {
    const Thread& thread = timeline.thread(id);
    const auto found = snapshot.find(thread.tid);
    if (thread.born_ns < timeline.begin_ns() || found == snapshot.end()) continue;
    const kf_task& task = *found->second;
    const bool settled = task.start_ns == thread.start_ns && thread.former_tid == 0 &&
                         task.ts_ns <= timeline.end_ns() && slept_around(timeline, id, task.ts_ns);
    if (settled) times.compare(id, task);
  }
  times.finish();
}

}  // namespace kflight::analyze
