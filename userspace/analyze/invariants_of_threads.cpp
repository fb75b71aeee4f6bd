// SPDX-License-Identifier: Apache-2.0
//
// invariants_of_threads.cpp - each thread's own story: its switch-outs are numbered by the kernel (nvcsw + nivcsw, low
// 8 bits), a sleep ends with a waking, and the numbers meet the task snapshot taken at the dump.
#include <algorithm>
#include <charconv>

#include "analyze/invariants.hpp"
#include "analyze/tid_table.hpp"
#include "base/units.hpp"

namespace kflight::analyze {

namespace {

std::uint8_t distance(std::uint8_t from, std::uint8_t to) { return static_cast<std::uint8_t>(to - from); }

// ------------------------------------------------------------------ sequence numbers

class ThreadSequence final : public Invariant {
 public:
  ThreadSequence(const DumpSurvey& survey, Tally tally) : Invariant(survey, tally) {
    if (survey.base_may_lag) return;
    for (const kf_base_task& task : survey.dump.base_tasks())
      if (task.out_ns != 0) threads_[task.tid] = {task.out_ns, task.out_nsw, true};
  }

  // A new thread's counters begin at 0. The base state may be ahead of the CPU where it was forked. What was seen before
  // the window begins is no place to count from: while a recorder attaches, some CPUs already run its programs.
  void on_fork(const ForkEvent& e) override {
    Thread& thread = threads_[e.child_tid];
    if (!thread.known || e.ts_ns > thread.last_ns) thread = {e.ts_ns, 0, judged(e.ts_ns)};
  }

  void on_exit(const ExitEvent& e) override { threads_[e.exiting_tid].exiting = true; }

  void on_switch(const SwitchEvent& e) override {
    if (!survey_.judges(e.tid)) return;
    Thread& thread = threads_[e.tid];
    if (thread.known && e.ts_ns <= thread.last_ns) return;  // the base state is ahead of this CPU's first chunks
    if (thread.known) compare(thread, e);
    thread = {e.ts_ns, e.nsw, judged(e.ts_ns), thread.exiting};
  }

  void finish() override { tally_.remark("switch-outs lost, by the threads' own numbers", lost_); }

 private:
  struct Thread {
    std::uint64_t last_ns = 0;
    std::uint8_t nsw = 0;
    bool known = false;
    bool exiting = false;
  };

  void compare(const Thread& thread, const SwitchEvent& e) {
    tally_.checked();
    if (distance(thread.nsw, e.nsw) == 1) return;
    // After its exit a thread's id may be another one's, by an exec whose event comes later, or is lost.
    if (excused_by_loss(thread.last_ns, thread.exiting ? survey_.end_ns : e.ts_ns)) {
      lost_ += distance(thread.nsw, e.nsw) - 1u;
      return;
    }
    tally_.violate(e, e.tid, "switch-out number {} follows {}, {} earlier", e.nsw, thread.nsw,
                   format_duration(static_cast<std::int64_t>(e.ts_ns - thread.last_ns)));
  }

  TidTable<Thread> threads_;
  std::uint64_t lost_ = 0;
};

// ------------------------------------------------------------------ wake before run

// Until Linux 6.16 a switch could claim that a thread went to sleep although a pending signal kept it runnable.
bool signals_can_fake_a_sleep(std::string_view release) {
  unsigned major = 0, minor = 0;
  const auto dot = release.find('.');
  if (dot == release.npos) return true;
  std::from_chars(release.data(), release.data() + dot, major);
  std::from_chars(release.data() + dot + 1, release.data() + release.size(), minor);
  return major < 6 || (major == 6 && minor < 16);
}

class WakeBeforeRun final : public Invariant {
 public:
  WakeBeforeRun(const DumpSurvey& survey, Tally tally)
      : Invariant(survey, tally), fake_sleeps_(signals_can_fake_a_sleep(survey.dump.meta().host.kernel_release)),
        scope_target_(survey.dump.meta().config.scope == "target") {}

  void on_switch(const SwitchEvent& e) override {
    if (survey_.judges(e.tid)) switched_out(threads_[e.tid], e);
    if (survey_.judges(e.next_tid)) switched_in(threads_[e.next_tid], e);
  }
  void on_waking(const WakingEvent& e) override { woken(e, e.wakee); }
  void on_wakeup(const WakeupEvent& e) override {
    if (!e.is_new && !scope_target_ && survey_.judges(e.wakee)) enqueued(threads_[e.wakee], e);
    woken(e, e.wakee);
  }
  void on_fork(const ForkEvent& e) override { threads_[e.child_tid] = {}; }

  void finish() override {
    tally_.remark("woken on the way to sleep", early_);
    tally_.remark("kept awake by a signal, it seems (the kernel is older than 6.16)", signals_);
  }

 private:
  struct Thread {
    std::uint64_t running_since_ns = 0;  // 0: before the first event
    std::uint64_t asleep_since_ns = 0;
    std::uint8_t state = KF_ST_RUNNING;
    bool asleep = false;
    bool woken = false;  // since it was switched out
    bool early = false;  // woken while still on its way to sleep: the waking may precede the switch-out
  };

  // The waking may meet it on its way to sleep, so all of its turn has to lie in the window.
  void switched_out(Thread& thread, const SwitchEvent& e) {
    const bool runnable = e.preempt || e.prev_state == KF_ST_RUNNING || e.prev_state == KF_ST_WAKING;
    thread.asleep = !runnable && e.prev_state != KF_ST_DEAD && judged(thread.running_since_ns);
    thread.asleep_since_ns = e.ts_ns;
    thread.state = e.prev_state;
    thread.woken = false;
  }

  void switched_in(Thread& thread, const SwitchEvent& e) {
    if (thread.asleep) {
      tally_.checked();
      if (!thread.woken) explain(thread, e);
    }
    thread.asleep = thread.woken = thread.early = false;
    thread.running_since_ns = e.ts_ns;
  }

  // The waking may be lost, also one that met the thread on its way to sleep, while it was still running.
  bool waking_may_be_lost(const Thread& thread, std::uint64_t ts_ns) {
    return excused_by_loss(std::max(thread.running_since_ns, survey_.begin_ns), ts_ns);
  }

  void explain(const Thread& thread, const SwitchEvent& e) {
    if (thread.early)
      ++early_;
    else if (waking_may_be_lost(thread, e.ts_ns))
      return;
    else if (fake_sleeps_ && (thread.state == KF_ST_SLEEP || thread.state == KF_ST_KILLABLE))
      ++signals_;
    else
      tally_.violate(e, e.next_tid, "runs after {} of sleep, and nobody woke it",
                     format_duration(static_cast<std::int64_t>(e.ts_ns - thread.asleep_since_ns)));
  }

  // The waking comes first; with --scope target it may be none of the target's.
  void enqueued(const Thread& thread, const WakeupEvent& e) {
    if (!thread.asleep || thread.woken || thread.early) return;
    if (!waking_may_be_lost(thread, e.ts_ns))
      tally_.violate(e, e.wakee, "is queued after {} of sleep, and nobody woke it",
                     format_duration(static_cast<std::int64_t>(e.ts_ns - thread.asleep_since_ns)));
  }

  // A task that wakes itself has not slept: the kernel only sets its state back.
  void woken(const EventHead& by, std::uint32_t wakee) {
    if (wakee == by.tid || !survey_.judges(wakee)) return;
    Thread& thread = threads_[wakee];
    (thread.asleep ? thread.woken : thread.early) = true;
  }

  const bool fake_sleeps_;
  const bool scope_target_;
  TidTable<Thread> threads_;
  std::uint64_t early_ = 0;
  std::uint64_t signals_ = 0;
};

// ------------------------------------------------------------------ counts against the snapshot

class SnapshotCounts final : public Invariant {
 public:
  SnapshotCounts(const DumpSurvey& survey, Tally tally) : Invariant(survey, tally) {
    for (const kf_task& task : survey.dump.tasks())
      if (task.tid != 0) threads_[task.tid].snapshot = &task;
    if (survey.base_may_lag) return;
    for (const kf_base_task& task : survey.dump.base_tasks())
      if (task.out_ns != 0) switched_out(threads_[task.tid], task.out_ns, task.out_nsw);
  }

  void on_fork(const ForkEvent& e) override {
    Thread& thread = threads_[e.child_tid];
    if (thread.known && e.ts_ns <= thread.last_ns) return;  // the base state is ahead, as above
    thread = {.snapshot = thread.snapshot, .start_ns = e.child_start_ns};
    switched_out(thread, e.ts_ns, 0);
  }

  void on_switch(const SwitchEvent& e) override {
    if (!survey_.judges(e.tid)) return;
    Thread& thread = threads_[e.tid];
    if (e.ts_ns > thread.last_ns) switched_out(thread, e.ts_ns, e.nsw);
  }

  void finish() override {
    threads_.for_each([this](std::uint32_t tid, Thread& thread) {
      if (thread.snapshot && survey_.judges(tid)) compare(tid, thread);
    });
    tally_.remark("threads never switched out while recorded", silent_);
    tally_.remark("threads too busy at the snapshot, or read after the window's end", undecided_);
    if (undecided_ > 0 && silent_ + undecided_ == seen_)
      tally_.not_applicable("the snapshot was taken after the window's end");
  }

 private:
  // Numbers of the last switch-out before and at the latest within the time the counters may have been read.
  struct Thread {
    const kf_task* snapshot = nullptr;
    std::uint64_t start_ns = 0;  // of the bearer of this tid, 0 when not seen being forked
    std::uint64_t last_ns = 0;
    std::uint32_t near = 0;  // switch-outs within that time
    std::uint8_t before = 0, latest = 0;
    bool known = false;
  };

  static void switched_out(Thread& thread, std::uint64_t ts_ns, std::uint8_t nsw) {
    if (!thread.snapshot || ts_ns > thread.snapshot->ts_ns + kReadAfterNs) return;
    if (ts_ns + kReadBeforeNs < thread.snapshot->ts_ns)
      thread.before = nsw;
    else {
      if (!thread.known) thread.before = static_cast<std::uint8_t>(nsw - 1);
      ++thread.near;
    }
    thread.latest = nsw;
    thread.last_ns = ts_ns;
    thread.known = true;
  }

  void compare(std::uint32_t tid, const Thread& thread) {
    const kf_task& task = *thread.snapshot;
    const auto counted = static_cast<std::uint8_t>(task.nvcsw + task.nivcsw);
    ++seen_;
    if (!thread.known) {
      ++silent_;
      return;
    }
    const bool other_bearer = thread.start_ns != 0 && thread.start_ns != task.start_ns;
    const bool at_the_end = task.ts_ns + kReadAfterNs > survey_.end_ns;
    const bool fits = distance(thread.before, counted) <= distance(thread.before, thread.latest);
    if (other_bearer || thread.near > KF_NSW_MASK || task.ts_ns > survey_.end_ns ||
        (!fits && at_the_end && few_more(thread, counted))) {
      ++undecided_;
      return;
    }
    tally_.checked();
    if (fits || excused_by_loss(thread.last_ns, task.ts_ns + kReadAfterNs)) return;
    tally_.violate(
        {.ts_ns = task.ts_ns,
         .cpu = task.cpu,
         .tid = tid,
         .what = fmt::format("the kernel counted {} context switches, number {} in 8 bits; the last one in the "
                             "dump has number {}",
                             task.nvcsw + task.nivcsw, counted, thread.latest)});
  }

  // It may have been switched out after the window's end and before its counters were read.
  static bool few_more(const Thread& thread, std::uint8_t counted) {
    constexpr std::uint8_t kFew = 16;
    return distance(thread.latest, counted) <= kFew;
  }

  TidTable<Thread> threads_;
  std::uint64_t seen_ = 0, silent_ = 0, undecided_ = 0;
};

}  // namespace

std::unique_ptr<Invariant> thread_sequence(const DumpSurvey& survey, Tally tally) {
  return std::make_unique<ThreadSequence>(survey, tally);
}

std::unique_ptr<Invariant> wake_before_run(const DumpSurvey& survey, Tally tally) {
  return std::make_unique<WakeBeforeRun>(survey, tally);
}

std::unique_ptr<Invariant> snapshot_counts(const DumpSurvey& survey, Tally tally) {
  if (survey.dump.tasks().empty()) {
    tally.not_applicable("the dump has no task snapshot");
    return nullptr;
  }
  return std::make_unique<SnapshotCounts>(survey, tally);
}

}  // namespace kflight::analyze
