// SPDX-License-Identifier: Apache-2.0
//
// perfetto_sched.cpp - what trace_processor does with events decides how they are written:
// - A CPU's first switch only tells it who runs; slices begin with the second. So a CPU begins with a switch to idle.
// - A thread has no state before its first switch. So threads that are off the CPU when the window begins get a stay of
//   no length at that instant, which leaves them in their state.
// - It takes the waker of a compact waking from the switches of the bundle's CPU. Where that is not the waker (the
//   waking had to be moved, events are missing) an ordinary event names it.
// - A waking counts only for a sleeper. One that came while the sleeper was still switching out goes behind that.
// A little over 400 lines: all of it is one walk over the Timeline in time order.
#include "export/perfetto_sched.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <queue>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "export/call_slices.hpp"
#include "export/ftrace_codes.hpp"
#include "export/ftrace_events.hpp"
#include "model/wake_cause.hpp"

namespace kflight::exports {

using model::Interval;
using model::kIdleThread;
using model::kNone;
using model::kNoThread;
using model::RunnableWhy;
using model::State;
using model::Thread;
using model::ThreadId;
using model::Timeline;
using model::Wake;

namespace {

// Nobody knows who had the CPU, or who woke: a thread that cannot exist stands for it, one per CPU.
constexpr std::uint32_t kFirstUnknownTid = KF_TID_MASK + 1;
constexpr std::string_view kUnknownComm = "(not recorded)";

class SchedWriter {
 public:
  SchedWriter(const model::Trace& trace, PacketOutput& out) : timeline_(trace.timeline()), out_(out) {}
  void run();

 private:
  // Where the next event comes from. Sources of one instant act in this order: a thread's end is the last of it.
  enum class Source : std::uint8_t { kCpu, kExec, kName, kCall, kState };
  struct Step {
    std::uint64_t ts_ns = 0;
    Source source = Source::kCpu;
    std::uint32_t index = 0;  // CPU or thread

    friend bool operator>(const Step& a, const Step& b) {
      return std::tie(a.ts_ns, a.source, a.index) > std::tie(b.ts_ns, b.source, b.index);
    }
  };
  struct Cpu {
    FtraceBundle bundle;
    ThreadId current = kNoThread;
    std::size_t next = 0;              // in its occupancy
    std::vector<std::uint64_t> holes;  // ends of stretches without its events
    std::size_t next_hole = 0;
  };
  struct Cursor {               // of a thread
    std::uint32_t left = 0;     // interval that began when it last left a CPU, or an earlier one
    std::uint32_t state = 0;    // next interval to tell of
    std::uint32_t name = 0;     // the one it has now
    std::uint32_t renamed = 1;  // next name to tell of
    std::uint16_t cpu = 0;
    bool shown = false;  // something was told of it
  };
  struct Calls {
    CallSlices slices;
    std::optional<CallSlice> now;
    bool entered = false;
  };

  void begin_cpus();
  void begin_threads();
  void find_group_ends();
  void add_holes();
  void go(const Step& step);
  void schedule(std::uint64_t ts_ns, Source source, std::uint32_t index);
  void schedule_cpu(std::uint32_t cpu);
  void schedule_state(ThreadId id);
  void schedule_name(ThreadId id);
  void schedule_call(ThreadId id);

  void switch_cpu(std::uint64_t ts_ns, std::uint16_t cpu);
  void change_state(std::uint64_t ts_ns, ThreadId id);
  void wake(std::uint64_t ts_ns, ThreadId id, std::uint32_t runnable);
  void new_task(std::uint64_t ts_ns, ThreadId id, const Wake& by);
  void exec(std::uint64_t ts_ns, ThreadId id);
  void rename(std::uint64_t ts_ns, ThreadId id);
  void call(std::uint64_t ts_ns, ThreadId id);

  std::uint64_t waking_ns(const Thread& thread, std::uint32_t runnable) const;
  std::uint32_t waking_flags(ThreadId id, std::uint32_t runnable, const Wake& wake) const;
  const Interval& interval_after_leaving(ThreadId id, std::uint64_t ts_ns);
  std::uint16_t cpu_count() const { return static_cast<std::uint16_t>(cpus_.size()); }  // at most 16384
  bool has_cpu(std::uint16_t cpu) const { return cpu < cpus_.size() && !timeline_.occupancy(cpu).empty(); }
  FtraceBundle& bundle(std::uint16_t cpu, std::uint64_t ts_ns);
  TaskRef task(ThreadId id, std::uint16_t cpu, std::uint64_t ts_ns, std::uint8_t prio = KF_DEFAULT_PRIO);
  std::uint32_t tid(ThreadId id, std::uint16_t cpu, std::uint64_t ts_ns) { return task(id, cpu, ts_ns).tid; }

  const Timeline& timeline_;
  PacketOutput& out_;
  std::deque<Cpu> cpus_;
  std::vector<Cursor> cursors_;
  std::vector<std::uint64_t> group_ends_;  // by leader: when the last other thread of its process ended, 0 without one
  std::vector<std::optional<Calls>> calls_;
  std::priority_queue<Step, std::vector<Step>, std::greater<>> steps_;
};

void SchedWriter::run() {
  if (timeline_.cpus() == 0) return;
  for (std::uint16_t cpu = 0; cpu < timeline_.cpus(); ++cpu) cpus_.push_back({FtraceBundle(cpu, timeline_.begin_ns())});
  cursors_.resize(timeline_.threads().size());
  calls_.resize(timeline_.threads().size());
  add_holes();
  begin_cpus();
  begin_threads();
  while (!steps_.empty() && !out_.failed()) {
    const Step step = steps_.top();
    steps_.pop();
    go(step);
  }
  for (Cpu& cpu : cpus_) cpu.bundle.flush(out_);
}

void SchedWriter::add_holes() {
  for (const model::Loss& loss : timeline_.losses().all())
    if (loss.cpu < cpus_.size() && loss.to_ns > timeline_.begin_ns()) cpus_[loss.cpu].holes.push_back(loss.to_ns);
  for (Cpu& cpu : cpus_) std::sort(cpu.holes.begin(), cpu.holes.end());
}

// Idle first; then whoever is off the CPU passes over it for no time; then the one that has it.
void SchedWriter::begin_cpus() {
  const std::uint64_t begin_ns = timeline_.begin_ns();
  std::optional<std::uint16_t> first;
  for (std::uint16_t cpu = 0; cpu < cpu_count(); ++cpu) {
    if (!has_cpu(cpu)) continue;
    first = first.value_or(cpu);
    bundle(cpu, begin_ns).add_switch(begin_ns, kPrevRunning, task(kIdleThread, cpu, begin_ns));
  }
  if (!first) return;
  std::vector<std::uint32_t> left_in(cpus_.size(), kPrevRunning);
  for (ThreadId id = 0; id < cursors_.size(); ++id) {
    const Thread& thread = timeline_.thread(id);
    if (thread.intervals.empty() || thread.intervals.front().begin_ns > begin_ns) continue;
    const Interval& interval = thread.intervals.front();
    const std::uint16_t cpu = cursors_[id].cpu = has_cpu(interval.cpu) ? interval.cpu : *first;
    const bool off_cpu = interval.state == State::kRunnable || interval.state == State::kThrottled ||
                         interval.state == State::kBlocked || interval.state == State::kStopped;
    if (!off_cpu) continue;
    bundle(cpu, begin_ns).add_switch(begin_ns, left_in[cpu], task(id, cpu, begin_ns, interval.prio));
    left_in[cpu] = prev_state(interval);
  }
  for (std::uint16_t cpu = 0; cpu < cpu_count(); ++cpu) {
    if (!has_cpu(cpu)) continue;
    Cpu& c = cpus_[cpu];
    c.current = timeline_.occupancy(cpu).front().thread;
    c.next = 1;
    bundle(cpu, begin_ns).add_switch(begin_ns, left_in[cpu], task(c.current, cpu, begin_ns));
    if (c.current < kIdleThread) cursors_[c.current].cpu = cpu;
    schedule_cpu(cpu);
  }
}

// A leader is freed after all other threads of its process, and to Perfetto its end is the process's.
void SchedWriter::find_group_ends() {
  group_ends_.resize(cursors_.size());
  std::unordered_map<std::uint32_t, ThreadId> leaders;  // by process, the latest one
  for (ThreadId id = 0; id < cursors_.size(); ++id) {
    const Thread& thread = timeline_.thread(id);
    if (thread.former_tid != 0) continue;  // became the leader by an exec, which had freed the one before
    if (thread.tid == thread.tgid) leaders[thread.tgid] = id;
    const auto leader = leaders.find(thread.tgid);
    if (leader == leaders.end() || leader->second == id || thread.intervals.empty()) continue;
    const Interval& last = thread.intervals.back();
    const std::uint64_t end_ns = last.state == State::kExited ? last.begin_ns : std::numeric_limits<std::uint64_t>::max();
    group_ends_[leader->second] = std::max(group_ends_[leader->second], end_ns);
  }
}

void SchedWriter::begin_threads() {
  find_group_ends();
  for (ThreadId id = 0; id < cursors_.size(); ++id) {
    const Thread& thread = timeline_.thread(id);
    if (!thread.intervals.empty() && thread.intervals.front().begin_ns <= timeline_.begin_ns()) cursors_[id].state = 1;
    schedule_state(id);
    schedule_name(id);
    if (thread.former_tid != 0) schedule(thread.renamed_ns, Source::kExec, id);
    if (thread.calls.empty()) continue;
    calls_[id].emplace(Calls{CallSlices(timeline_, thread), {}, false});
    schedule_call(id);
  }
}

void SchedWriter::go(const Step& step) {
  switch (step.source) {
    case Source::kCpu:
      return switch_cpu(step.ts_ns, static_cast<std::uint16_t>(step.index));
    case Source::kExec:
      return exec(step.ts_ns, step.index);
    case Source::kState:
      return change_state(step.ts_ns, step.index);
    case Source::kName:
      return rename(step.ts_ns, step.index);
    case Source::kCall:
      return call(step.ts_ns, step.index);
  }
}

// ------------------------------------------------------------------ what comes next

void SchedWriter::schedule(std::uint64_t ts_ns, Source source, std::uint32_t index) {
  if (ts_ns <= timeline_.end_ns()) steps_.push({std::max(ts_ns, timeline_.begin_ns()), source, index});
}

void SchedWriter::schedule_cpu(std::uint32_t cpu) {
  const auto& row = timeline_.occupancy(static_cast<std::uint16_t>(cpu));
  if (cpus_[cpu].next < row.size()) schedule(row[cpus_[cpu].next].begin_ns, Source::kCpu, cpu);
}

// Of a thread's intervals only those that no switch tells of: its birth, its wakings, its end.
void SchedWriter::schedule_state(ThreadId id) {
  const Thread& thread = timeline_.thread(id);
  for (std::uint32_t& i = cursors_[id].state; i < thread.intervals.size(); ++i) {
    const Interval& interval = thread.intervals[i];
    if (interval.state == State::kExited)
      return schedule(std::max(interval.begin_ns, group_ends_[id]), Source::kState, id);
    if (interval.state == State::kRunnable && interval.wake != kNone)
      return schedule(waking_ns(thread, i), Source::kState, id);
  }
}

void SchedWriter::schedule_name(ThreadId id) {
  const auto& names = timeline_.thread(id).names;
  for (std::uint32_t& i = cursors_[id].renamed; i < names.size(); ++i)
    if (names[i].since_ns > timeline_.begin_ns()) return schedule(names[i].since_ns, Source::kName, id);
}

void SchedWriter::schedule_call(ThreadId id) {
  Calls& calls = *calls_[id];
  if (calls.now && !calls.entered) {
    calls.entered = true;
    if (calls.now->ends) schedule(calls.now->end_ns, Source::kCall, id);
    return;
  }
  calls.entered = false;
  do {
    calls.now = calls.slices.next();
  } while (calls.now && calls.now->call->abi == KF_ABI_COMPAT);  // Perfetto would name it by the 64-bit table
  if (calls.now) schedule(calls.now->begin_ns, Source::kCall, id);
}

// ------------------------------------------------------------------ what happens

void SchedWriter::switch_cpu(std::uint64_t ts_ns, std::uint16_t cpu) {
  Cpu& c = cpus_[cpu];
  const ThreadId prev = c.current, next = timeline_.occupancy(cpu)[c.next++].thread;
  std::uint32_t state = kPrevRunning;
  std::uint64_t switch_ns = ts_ns;
  if (prev < kIdleThread) {
    const Interval& after = interval_after_leaving(prev, ts_ns);
    state = prev_state(after);
    // Taken away by another CPU at the same instant, says a trace with holes: leave first.
    if (after.state == State::kRunning) switch_ns = std::max(ts_ns - 1, timeline_.begin_ns());
  }
  std::uint8_t prio = KF_DEFAULT_PRIO;
  if (next < kIdleThread) {
    prio = interval_after_leaving(next, ts_ns).prio;
    cursors_[next].cpu = cpu;
  }
  bundle(cpu, ts_ns).add_switch(switch_ns, state, task(next, cpu, ts_ns, prio));
  c.current = next;
  schedule_cpu(cpu);
}

void SchedWriter::change_state(std::uint64_t ts_ns, ThreadId id) {
  const Thread& thread = timeline_.thread(id);
  const std::uint32_t index = cursors_[id].state++;
  const Interval& interval = thread.intervals[index];
  if (interval.state == State::kExited) {
    // Without a switch-out of its own its tid may be another thread's from this instant on.
    const bool unseen = interval.flags & model::kIntervalInferred;
    const std::uint64_t end_ns = unseen ? std::max(ts_ns - 1, timeline_.begin_ns()) : ts_ns;
    const std::uint16_t cpu = cursors_[id].cpu;
    if (cursors_[id].shown) add_free(bundle(cpu, end_ns), end_ns, task(id, cpu, end_ns));
  } else if (interval.why() == RunnableWhy::kNew) {
    new_task(ts_ns, id, timeline_.wake(interval.wake));
  } else {
    wake(ts_ns, id, index);
  }
  schedule_state(id);
}

void SchedWriter::wake(std::uint64_t ts_ns, ThreadId id, std::uint32_t index) {
  const Thread& thread = timeline_.thread(id);
  const Interval& runnable = thread.intervals[index];
  const Wake& by = timeline_.wake(runnable.wake);
  const bool placed = has_cpu(by.cpu) && !(by.flags & model::kWakeLost);
  const std::uint16_t cpu = placed ? by.cpu : cursors_[id].cpu;
  const std::uint16_t target_cpu = runnable.cpu == model::kNoCpu ? cursors_[id].cpu : runnable.cpu;
  const std::uint32_t flags = waking_flags(id, index, by);
  const TaskRef wakee = task(id, cpu, ts_ns, runnable.prio);
  FtraceBundle& events = bundle(cpu, ts_ns);
  if (placed && (flags != 0 || cpus_[cpu].current == by.waker)) {
    events.add_waking(ts_ns, wakee, target_cpu, flags);
  } else {
    add_plain_waking(events, ts_ns, tid(placed ? by.waker : kNoThread, cpu, ts_ns), wakee, target_cpu);
  }
  if (index == 0) return;
  const Interval& blocked = thread.intervals[index - 1];
  if (blocked.state == State::kBlocked && prev_state(blocked) == kPrevDisk)
    add_blocked_reason(events, ts_ns, wakee.tid, blocked.flags & model::kIntervalIowait);
}

void SchedWriter::new_task(std::uint64_t ts_ns, ThreadId id, const Wake& by) {
  const Thread& thread = timeline_.thread(id);
  const std::uint16_t cpu = has_cpu(by.cpu) ? by.cpu : cursors_[id].cpu;
  const bool is_thread = thread.tgid != 0 && thread.tgid != thread.tid;
  cursors_[id].cpu = cpu;
  // A thread whose creator is not known at least belongs to its process.
  const std::uint32_t creator = thread.parent == kNoThread && is_thread ? thread.tgid : tid(thread.parent, cpu, ts_ns);
  const TaskRef child = task(id, cpu, ts_ns);
  add_newtask(bundle(cpu, ts_ns), ts_ns, creator, child, is_thread);
}

// A thread that was not the leader goes on under the leader's tid: to Perfetto another thread, which takes over the
// CPU and the call it is in. That becomes two slices, as a slice stays with its thread; the result is the second one's.
void SchedWriter::exec(std::uint64_t ts_ns, ThreadId id) {
  const std::uint16_t cpu = cursors_[id].cpu;
  FtraceBundle& events = bundle(cpu, ts_ns);
  const TaskRef after = task(id, cpu, ts_ns);
  if (has_cpu(cpu) && cpus_[cpu].current == id) events.add_switch(ts_ns, kPrevDead, after);
  TaskRef before = after;
  before.tid = timeline_.thread(id).former_tid;
  const model::Call* open = calls_[id] && calls_[id]->entered ? calls_[id]->now->call : nullptr;
  if (open) {
    model::Call so_far = *open;
    so_far.flags &= static_cast<std::uint8_t>(~model::kCallReturned);
    add_sys_exit(events, ts_ns, before.tid, so_far);
  }
  add_free(events, ts_ns, before);
  if (open) add_sys_enter(events, ts_ns, after.tid, *open);
}

void SchedWriter::rename(std::uint64_t ts_ns, ThreadId id) {
  const auto& names = timeline_.thread(id).names;
  const std::uint32_t index = cursors_[id].renamed++;
  const std::uint32_t own_tid = timeline_.thread(id).tid_at(ts_ns);
  add_rename(bundle(cursors_[id].cpu, ts_ns), ts_ns, own_tid, names[index - 1].comm.view(), names[index].comm.view());
  schedule_name(id);
}

void SchedWriter::call(std::uint64_t ts_ns, ThreadId id) {
  const Calls& calls = *calls_[id];
  const std::uint32_t own_tid = timeline_.thread(id).tid_at(ts_ns);
  const auto add = calls.entered ? add_sys_exit : add_sys_enter;
  add(bundle(cursors_[id].cpu, ts_ns), ts_ns, own_tid, *calls.now->call);
  schedule_call(id);
}

// ------------------------------------------------------------------ facts

std::uint64_t SchedWriter::waking_ns(const Thread& thread, std::uint32_t runnable) const {
  const std::uint64_t begin_ns = thread.intervals[runnable].begin_ns;
  const bool no_sleep = runnable > 0 && thread.intervals[runnable - 1].begin_ns == begin_ns;
  const bool fits = begin_ns + 1 < timeline_.interval_end_ns(thread, runnable);
  return no_sleep && fits ? begin_ns + 1 : begin_ns;
}

// An interrupt whose cause was the task it interrupted is no interrupt to Perfetto: its path then goes on there.
std::uint32_t SchedWriter::waking_flags(ThreadId id, std::uint32_t runnable, const Wake& wake) const {
  const Thread& thread = timeline_.thread(id);
  const bool by_task = runnable > 0 && model::is_network_wake(thread, thread.intervals[runnable - 1], wake) &&
                       model::network_sender(wake, id) == wake.waker;
  return by_task ? 0 : context_flags(wake.ctx);
}

// The interval that begins at ts_ns: of several the first, as a sleep may have no length.
const Interval& SchedWriter::interval_after_leaving(ThreadId id, std::uint64_t ts_ns) {
  const auto& intervals = timeline_.thread(id).intervals;
  std::uint32_t& at = cursors_[id].left;
  while (at + 1 < intervals.size() && intervals[at].begin_ns < ts_ns) ++at;
  return intervals[at];
}

FtraceBundle& SchedWriter::bundle(std::uint16_t cpu, std::uint64_t ts_ns) {
  Cpu& c = cpus_[cpu];
  if (c.bundle.is_full()) c.bundle.flush(out_);
  const std::size_t hole = c.next_hole;
  while (c.next_hole < c.holes.size() && c.holes[c.next_hole] <= ts_ns) ++c.next_hole;
  if (c.next_hole != hole) {
    c.bundle.flush(out_);
    c.bundle.mark_lost();
  }
  return c.bundle;
}

TaskRef SchedWriter::task(ThreadId id, std::uint16_t cpu, std::uint64_t ts_ns, std::uint8_t prio) {
  if (id == kIdleThread) return {0, KF_DEFAULT_PRIO, "swapper"};
  if (id == kNoThread) return {kFirstUnknownTid + cpu, KF_DEFAULT_PRIO, kUnknownComm};
  const Thread& thread = timeline_.thread(id);
  std::uint32_t& name = cursors_[id].name;
  cursors_[id].shown = true;
  while (name + 1 < thread.names.size() && thread.names[name + 1].since_ns <= ts_ns) ++name;
  return {thread.tid_at(ts_ns), prio, thread.names.empty() ? std::string_view{} : thread.names[name].comm.view()};
}

}  // namespace

void write_sched(const model::Trace& trace, PacketOutput& out) { SchedWriter(trace, out).run(); }

}  // namespace kflight::exports
