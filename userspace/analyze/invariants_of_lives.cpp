// SPDX-License-Identifier: Apache-2.0
//
// invariants_of_lives.cpp - threads are conserved: whoever was born in the window is in the snapshot at its end or has
// exited, whoever is in the snapshot and started in the window was seen being born, and the dead stay dead.
#include <algorithm>

#include "analyze/invariants.hpp"
#include "analyze/tid_table.hpp"

namespace kflight::analyze {

namespace {

// A thread's start time is taken early in its creation, the fork event comes at its end.
constexpr std::uint64_t kBirthNs = 50'000'000;

class Lives final : public Invariant {
 public:
  Lives(const DumpSurvey& survey, Tally tally) : Invariant(survey, tally) {
    for (const kf_task& task : survey.dump.tasks()) {
      if (task.tid == 0) continue;
      threads_[task.tid].snapshot = &task;
      snapshot_end_ns_ = std::max<std::uint64_t>(snapshot_end_ns_, task.ts_ns);
      snapshot_begin_ns_ = std::min<std::uint64_t>(snapshot_begin_ns_, task.ts_ns);
    }
  }

  void on_fork(const ForkEvent& e) override {
    Thread& thread = threads_[e.child_tid];
    if (judged(e.ts_ns)) {
      ++born_;
      tally_.checked();
      if (thread.alive_ns != 0 && !thread.dead_ns && survey_.judges(e.child_tid) &&
          !excused_by_loss(thread.alive_ns, e.ts_ns))
        tally_.violate(e, e.child_tid, "is born, but a thread of this id was alive and has not ended");
    }
    thread = {.snapshot = thread.snapshot, .fork_ns = e.ts_ns, .start_ns = e.child_start_ns, .alive_ns = e.ts_ns};
  }

  // Some kernel threads (io_uring workers, vhost) are created without a fork event.
  void on_wakeup(const WakeupEvent& e) override {
    if (!e.is_new) return;
    Thread& thread = threads_[e.wakee];
    if (thread.dead_ns) thread = {.snapshot = thread.snapshot};
    thread.appeared_ns = thread.alive_ns = e.ts_ns;
  }

  void on_exit(const ExitEvent& e) override { threads_[e.exiting_tid].exit_ns = e.ts_ns; }

  void on_switch(const SwitchEvent& e) override {
    if (e.tid != 0) left(threads_[e.tid], e);
    if (e.next_tid != 0) came(threads_[e.next_tid], e);
  }

  void finish() override {
    const bool usable = snapshot_end_ns_ != 0 && snapshot_end_ns_ <= survey_.end_ns;
    threads_.for_each([&](std::uint32_t tid, Thread& thread) {
      if (!usable || !survey_.judges(tid)) return;
      if (thread.fork_ns >= survey_.begin_ns && thread.fork_ns < snapshot_begin_ns_) expect_accounted(tid, thread);
      if (thread.snapshot) expect_born(tid, thread);
      if (thread.snapshot && thread.dead_ns) expect_gone(tid, thread);
    });
    tally_.remark("born in the window", born_);
    tally_.remark("ended in the window", ended_);
    if (!usable) tally_.remark("no snapshot from within the window: births and ends are not compared with it", 1);
  }

 private:
  struct Thread {
    const kf_task* snapshot = nullptr;
    std::uint64_t fork_ns = 0;
    std::uint64_t start_ns = 0;     // with fork_ns
    std::uint64_t appeared_ns = 0;  // first wakeup
    std::uint64_t alive_ns = 0;     // last seen alive
    std::uint64_t exit_ns = 0;
    std::uint64_t dead_ns = 0;
  };

  void left(Thread& thread, const SwitchEvent& e) {
    if (judged(e.ts_ns)) thread.alive_ns = e.ts_ns;
    if (e.prev_state != KF_ST_DEAD) return;
    thread.dead_ns = e.ts_ns;
    if (judged(e.ts_ns)) ++ended_;
    if (judged(thread.fork_ns) && thread.exit_ns == 0 && survey_.judges(e.tid) &&
        !excused_by_loss(thread.fork_ns, e.ts_ns))
      tally_.violate(e, e.tid, "has ended without having exited");
  }

  void came(Thread& thread, const SwitchEvent& e) {
    if (thread.dead_ns && judged(thread.dead_ns) && survey_.judges(e.next_tid) &&
        !excused_by_loss(thread.dead_ns, e.ts_ns))
      tally_.violate(e, e.next_tid, "runs after its end, and no new thread got its id");
    if (thread.dead_ns) thread = {.snapshot = thread.snapshot};
    if (judged(e.ts_ns)) thread.alive_ns = e.ts_ns;
  }

  void expect_accounted(std::uint32_t tid, const Thread& thread) {
    tally_.checked();
    const bool there = thread.snapshot && thread.snapshot->start_ns == thread.start_ns;
    if (there || thread.exit_ns != 0 || thread.dead_ns || excused_by_loss(thread.fork_ns, snapshot_end_ns_) ||
        iter_missed())
      return;
    tally_.violate({.ts_ns = thread.fork_ns,
                    .tid = tid,
                    .what = "was born and has not exited, but is not in the snapshot at the dump"});
  }

  void expect_born(std::uint32_t tid, const Thread& thread) {
    const std::uint64_t start_ns = thread.snapshot->start_ns;
    if (start_ns < survey_.begin_ns || start_ns + kBirthNs > survey_.end_ns) return;
    tally_.checked();
    const bool seen = thread.start_ns == start_ns || thread.appeared_ns >= start_ns;
    if (seen || excused_by_loss(start_ns, survey_.end_ns)) return;
    tally_.violate({.ts_ns = start_ns, .tid = tid, .what = "started in the window, but nobody was seen creating it"});
  }

  void expect_gone(std::uint32_t tid, const Thread& thread) {
    const kf_task& task = *thread.snapshot;
    const bool same = thread.start_ns == 0 || thread.start_ns == task.start_ns;
    if (!same || task.state == KF_ST_DEAD || thread.dead_ns > task.ts_ns || task.start_ns > thread.dead_ns ||
        excused_by_loss(thread.dead_ns, task.ts_ns))
      return;
    tally_.violate(
        {.ts_ns = thread.dead_ns, .tid = tid, .what = "has ended, but the snapshot afterwards has it alive"});
  }

  bool iter_missed() const {
    return std::ranges::any_of(survey_.dump.losses(), [](const kf_loss& loss) { return loss.kind == KF_LOSS_ITER; });
  }

  TidTable<Thread> threads_;
  std::uint64_t snapshot_begin_ns_ = ~std::uint64_t{0};
  std::uint64_t snapshot_end_ns_ = 0;
  std::uint64_t born_ = 0, ended_ = 0;
};

}  // namespace

std::unique_ptr<Invariant> lives(const DumpSurvey& survey, Tally tally) {
  return std::make_unique<Lives>(survey, tally);
}

}  // namespace kflight::analyze
