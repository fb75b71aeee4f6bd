// SPDX-License-Identifier: Apache-2.0
//
// timeline_builder.hpp - turns events into a Timeline: the rules of the thread state machine. Feed the events in the
// order Dump::events() gives them, then finish(). One pass, constant work per event; one thread builds.
//
// Input is untrusted: any sequence of events ends in a Timeline whose invariants hold; what does not fit is counted and
// the stretch it makes doubtful becomes kUnknown.
//
// The members are in four files: timeline_builder.cpp takes events in, watches who has each CPU and doubts what is hidden
// (on(), switch_off_until(), observe_current() to cpu_state(), doubt_hidden_threads(), doubt_unlisted_threads());
// state_rules.cpp has the states of threads and their lives (switch_out(), switch_in(), wake() to end_life(), alive() to
// keep()); handoff_rules.cpp what stands behind a wait (note_cause() to name_stoppers(), on() of requests, work items,
// signals, locks, quotas and interrupts); base_replay.cpp what is known from before the window and from the dump's
// snapshot (replay_base_until() to compare_switches()).
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kflight/event.hpp"
#include "model/base_facts.hpp"
#include "model/thread_table.hpp"
#include "model/timeline.hpp"
#include "model/trace_facts.hpp"

namespace kflight::model {

// Somebody makes a thread runnable; wake.enqueued_ns and queue_cpu when the enqueue is known as well.
struct WakeFact {
  std::uint32_t wakee = 0;
  std::uint16_t queue_cpu = kNoCpu;
  std::uint8_t wakee_prio = KF_DEFAULT_PRIO;
  std::uint32_t waker_tid = 0;
  Wake wake;
};

class TimelineBuilder {
 public:
  // What the views of `facts` point to must outlive the builder.
  explicit TimelineBuilder(const TraceFacts& facts);

  void add(const Event& event);
  void add(const WakeFact& fact);
  // The index that Wake::cause_ref of its completion refers to.
  std::uint32_t add(const BlockRequest& request);
  ThreadId thread_of(std::uint32_t tid) const { return tid == 0 ? kIdleThread : threads_.find(tid); }

  Timeline finish() &&;

 private:
  struct ThreadState {
    std::uint32_t open_call = kNone;
    std::uint32_t last_move = kNone;  // of the open runnable interval
    std::uint32_t after_out = 0;      // interval that began at the last switch-out
    std::int16_t last_nsw = -1;       // -1: none seen
    std::uint16_t last_cpu = kNoCpu;
    std::uint16_t early_queue_cpu = kNoCpu;
    std::uint8_t prio = KF_DEFAULT_PRIO;
    bool has_early = false;      // early: a waking that came while it still ran
    bool was_placed = false;     // something said on which CPU it was
    bool exiting = false;        // its exit event was seen
    bool has_note = false;       // note: of the interval its next switch-out begins
    std::uint32_t work = kNone;  // what this kworker executes, as far as it matters
    Wake early;
    IntervalNote note;
  };
  static constexpr std::uint32_t kNoTid = 0xffffffff;
  struct CpuState {
    bool known = false;
    std::uint32_t tid = kNoTid;  // current task
    std::uint64_t last_ns = 0;   // last event
    std::uint64_t hole_ns = 0;   // a loss began here, no event seen since; 0: none
    std::uint32_t turn = 0;      // counts events that are neither wakings nor wakeups
  };
  // A waking of late: the signal that brought it is told afterwards.
  struct RecentWake {
    std::uint64_t ts_ns = 0;
    ThreadId wakee = kNoThread;
    ThreadId waker = kNoThread;
    std::uint16_t cpu = kNoCpu;
    std::uint32_t turn = 0;  // of its CPU
  };
  struct StopSignal {
    std::uint64_t ts_ns = 0;
    ThreadId sender = kNoThread;
    std::uint32_t target_tid = 0, target_tgid = 0;
    std::uint8_t signal = 0;
    bool to_process = false;
  };

  // A thread's state as task snapshots tell it.
  struct Snapshot {
    std::uint64_t ts_ns = 0;
    std::uint64_t call_enter_ns = 0;
    std::uint8_t state = 0;  // KF_ST_*
    std::uint8_t prio = KF_DEFAULT_PRIO;
    std::uint16_t cpu = kNoCpu;
    bool on_cpu = false, iowait = false, has_sys = false;
    kf_sys sys{};
  };

  void on(const SwitchEvent& event);
  void on(const WakingEvent& event);
  void on(const WakeupEvent& event);
  void on(const MigrateEvent& event);
  void on(const ForkEvent& event);
  void on(const ExecEvent& event);
  void on(const ExitEvent& event);
  void on(const RenameEvent& event);
  void on(const SyscallEvent& event);
  void on(const SyscallOpenEvent& event);
  void on(const BlockEvent& event);
  void on(const WorkEvent& event);
  void on(const SignalEvent& event);
  void on(const LockWaitEvent& event);
  void on(const ThrottleEvent& event);
  void on(const RefillEvent& event);
  void on(const InterruptsEvent& event);
  void on(const LossEvent& event);
  void on(const StackEvent& event) { observe_current(event); }
  void on(const UnknownEvent& event) { observe_current(event); }

  void open_behind_end(const SyscallOpenEvent& event);
  void replay_base_until(std::uint64_t ts_ns);
  void switch_off_until(std::uint64_t ts_ns);
  void replay(const BaseFact& fact);
  void replay_fork(const kf_base_task& task);
  void replay_switch_out(const kf_base_task& task);
  void replay_waking(const kf_base_task& task);
  void replay_current(const kf_base_lane& lane);
  void apply_snapshot(std::uint32_t tid, const Snapshot& snapshot);
  void learn_identity(const kf_base_task& task);
  void learn_from_dump_snapshot(const kf_task& task);
  void compare_switches(ThreadId id, const kf_task& task);

  void observe_current(const EventHead& head);
  void first_current(std::uint16_t cpu, std::uint32_t tid, std::uint64_t ts_ns);
  bool took_leaders_tid(std::uint16_t cpu, std::uint32_t tid, std::uint64_t ts_ns);
  void missed_switch(std::uint16_t cpu, std::uint32_t tid, std::uint64_t ts_ns);
  void note_unreported_loss(std::uint16_t cpu, std::uint64_t from_ns, std::uint64_t to_ns);
  void occupy(std::uint16_t cpu, ThreadId thread, std::uint64_t ts_ns);
  void displace(std::uint16_t cpu, ThreadId by, std::uint64_t ts_ns);
  void vacate(const Interval& running, std::uint64_t ts_ns);
  CpuState& cpu_state(std::uint16_t cpu);

  void switch_out(const SwitchEvent& event);
  void switch_in(std::uint32_t tid, std::uint16_t cpu, std::uint64_t ts_ns, std::uint8_t prio);
  void note_cause(Wake& wake, std::uint8_t cause, std::uint32_t detail, const std::array<std::uint64_t, 2>& args);
  void note_block_cause(Wake& wake, std::uint32_t detail, const std::array<std::uint64_t, 2>& args);
  void note_sender(Wake& wake, std::uint64_t sender_tid);
  std::uint64_t boottime(std::uint64_t monotonic_ns, std::uint64_t at_most_ns) const;
  std::uint32_t completed_request(const Wake& wake, std::uint32_t dev, std::uint64_t issued_ns) const;
  void keep_note(ThreadId id, const SwitchEvent& event);
  void throttled_without_note(ThreadId id);
  bool is_throttled_without_note(ThreadId id);
  void remember_wake(ThreadId wakee, const Wake& wake);
  void name_signal(const RecentWake& recent, std::uint8_t signal);
  void name_stoppers();
  void wake(const WakeFact& fact);
  void wake_sleeper(ThreadId id, const WakeFact& fact);
  void wake_early(ThreadId id);
  void enqueue(std::uint32_t tid, std::uint16_t cpu, std::uint64_t ts_ns);
  void place(ThreadId id, std::uint16_t cpu, std::uint64_t ts_ns);
  void lost_waking(ThreadId id, std::uint16_t cpu, std::uint64_t ts_ns);
  void fork(const ForkEvent& event);
  bool check_sequence(ThreadId id, std::uint8_t nsw);
  void forget_since_last_switch_out(ThreadId id);
  void doubt_no_wakes();
  void doubt_hidden_threads();
  void doubt_unlisted_threads();
  void doubt_undecided_sleeps();
  void end_life(ThreadId id, std::uint64_t ts_ns);

  ThreadId alive(std::uint32_t tid, std::uint64_t ts_ns);
  ThreadId alive_and_known(std::uint32_t tid, std::uint64_t ts_ns);
  ThreadState& state(ThreadId id);
  Interval& open(ThreadId id) { return threads_[id].intervals.back(); }
  void push(ThreadId id, const Interval& interval);
  void push_running(ThreadId id, std::uint16_t cpu, std::uint64_t ts_ns);
  std::uint32_t keep(const Wake& wake);

  TraceFacts facts_;
  Timeline out_;
  ThreadTable threads_{out_.memory_.get()};
  std::vector<ThreadState> states_;
  std::vector<CpuState> cpus_;
  std::vector<BaseFact> base_;
  std::vector<kf_loss> offline_;  // CPUs' ways offline that are yet to come, the first one last
  std::size_t next_base_ = 0;
  struct NoWake {
    ThreadId thread;
    std::uint32_t index;
    Interval sleep;  // what it is when the waking was lost
  };
  std::vector<NoWake> no_wakes_;  // intervals that are kNoWake unless events are missing
  std::unordered_map<std::uint64_t, std::uint32_t> requests_in_flight_;  // by address: index of the block request
  std::unordered_map<std::uint64_t, std::uint32_t> first_works_;         // by function: index of the first run
  std::vector<std::vector<std::uint32_t>> completed_;  // block requests by the CPU that completed them, in time order
  std::array<RecentWake, 16> recent_wakes_;            // a ring
  std::size_t recent_wake_ = 0;
  std::vector<StopSignal> stop_signals_;
  std::vector<std::pair<ThreadId, std::uint64_t>> stops_;  // and when
  std::unordered_map<std::uint64_t, std::vector<ThreadId>> throttled_;  // by group: who may be
  // Who may be, without a note of which group: by their cgroup where that is known, and those without a refill so far.
  std::unordered_map<std::uint64_t, std::vector<ThreadId>> throttled_unnoted_;
  std::vector<ThreadId> newly_unnoted_;
  std::unordered_map<std::uint64_t, std::uint64_t> quota_cgroups_;  // by group
};

}  // namespace kflight::model
