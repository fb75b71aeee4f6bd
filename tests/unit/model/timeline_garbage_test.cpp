// SPDX-License-Identifier: Apache-2.0
//
// Whatever a damaged dump decodes to: the Timeline's invariants hold and nothing is read out of bounds.
#include <gtest/gtest.h>

#include <random>

#include "model/timeline_builder.hpp"
#include "support/timeline_expect.hpp"

namespace kflight::test {
namespace {

class Garbage {
 public:
  explicit Garbage(std::uint64_t seed) : random_(seed) {}

  Event event(std::uint64_t ts_ns) {
    switch (number(19)) {
      case 0:
      case 1:
      case 2: {
        auto e = with_head<SwitchEvent>(ts_ns);
        e.next_tid = tid();
        e.prev_state = static_cast<std::uint8_t>(number(16));
        e.preempt = number(2);
        e.throttled = number(8) == 0;
        e.nsw = static_cast<std::uint8_t>(number(2) ? ++nsw_ : number(256));
        e.has_sys = number(2);
        e.sys.nr = static_cast<kf_u32>(number(600));
        e.enter_ns = number(2) ? random_() % (ts_ns + 10) : 0;
        return e;
      }
      case 3:
      case 4: {
        auto e = with_head<WakingEvent>(ts_ns);
        e.wakee = tid();
        e.ctx = static_cast<std::uint8_t>(number(4));
        e.has_wakeup = number(2);
        e.wakeup_ns = ts_ns + number(3000);
        e.target_cpu = cpu();
        e.cause = static_cast<std::uint8_t>(number(10));
        e.cause_detail = static_cast<std::uint32_t>(number(3));
        e.cause_args = {number(3), number(3)};
        return e;
      }
      case 5: {
        auto e = with_head<WakeupEvent>(ts_ns);
        e.wakee = tid();
        e.target_cpu = cpu();
        e.is_new = number(2);
        e.throttled = number(4) == 0;
        return e;
      }
      case 6: {
        auto e = with_head<MigrateEvent>(ts_ns);
        e.migrated_tid = tid();
        e.dest_cpu = cpu();
        return e;
      }
      case 7: {
        auto e = with_head<ForkEvent>(ts_ns);
        e.parent_tid = tid();
        e.child_tid = tid();
        return e;
      }
      case 8: {
        auto e = with_head<ExecEvent>(ts_ns);
        e.new_tid = tid();
        e.old_tid = tid();
        return e;
      }
      case 9: {
        auto e = with_head<SyscallEvent>(ts_ns);
        e.nr = static_cast<std::uint32_t>(number(600));
        e.enter_ns = random_() % (ts_ns + 10);
        return e;
      }
      case 10: {
        auto e = with_head<LossEvent>(ts_ns);
        e.from_ns = random_() % (ts_ns + 1);
        e.count = number(5);
        return e;
      }
      case 11: {
        auto e = with_head<BlockEvent>(ts_ns);
        e.phase = static_cast<std::uint8_t>(number(4));
        e.ctx = static_cast<std::uint8_t>(number(4));
        e.request = number(4);
        return e;
      }
      case 12: {
        auto e = with_head<WorkEvent>(ts_ns);
        e.function = number(3);
        e.started_ns = random_() % (ts_ns + 10);
        e.queued_ns = random_() % (ts_ns + 10);
        e.queuer_tid = tid();
        e.queue_cpu = static_cast<std::uint16_t>(number(40));
        e.cause = static_cast<std::uint8_t>(number(10));
        return e;
      }
      case 13: {
        auto e = with_head<SignalEvent>(ts_ns);
        e.target_tid = tid();
        e.target_tgid = tid();
        e.signal = static_cast<std::uint8_t>(number(30));
        e.to_process = number(2);
        return e;
      }
      case 14: {
        auto e = with_head<LockWaitEvent>(ts_ns);
        e.owner_tid = tid();
        e.lock_kind = static_cast<std::uint8_t>(number(4));
        return e;
      }
      case 15: {
        auto e = with_head<ThrottleEvent>(ts_ns);
        e.group = number(3);
        return e;
      }
      case 16: {
        auto e = with_head<RefillEvent>(ts_ns);
        e.group = number(3);
        return e;
      }
      case 17: {
        auto e = with_head<InterruptsEvent>(ts_ns);
        e.since_ns = ts_ns - std::min<std::uint64_t>(ts_ns, number(50'000));
        e.spent_ns = number(50'000);
        e.count = number(3);
        return e;
      }
      default: {
        auto e = with_head<SyscallOpenEvent>(ts_ns);
        e.sys.nr = static_cast<kf_u32>(number(600));
        return e;
      }
    }
  }

  kf_base_task base_task() {
    kf_base_task task{};
    task.tid = tid();
    task.known = static_cast<kf_u32>(number(16));
    for (kf_u64* time : {&task.fork_ns, &task.in_ns, &task.out_ns, &task.waking_ns, &task.wakeup_ns, &task.snapshot_ns})
      *time = number(2) ? number(3000) : 0;
    task.in_cpu = cpu();
    task.out_cpu = cpu();
    task.wakeup_cpu = cpu();
    task.out_state = static_cast<kf_u8>(number(16));
    task.out_flags = static_cast<kf_u8>(number(32));
    return task;
  }
  kf_base_lane base_lane() { return {cpu(), 1, tid(), number(2500), 0, 0, 0, 0}; }
  std::uint64_t number(std::uint64_t below) { return random_() % below; }

 private:
  std::uint32_t tid() {
    return number(50) ? static_cast<std::uint32_t>(number(8)) : static_cast<std::uint32_t>(random_());
  }
  std::uint16_t cpu() { return static_cast<std::uint16_t>(number(4)); }
  template <class E>
  E with_head(std::uint64_t ts_ns) {
    E e;
    static_cast<EventHead&>(e) = {ts_ns, tid(), cpu(), false};
    return e;
  }

  std::mt19937_64 random_;
  std::uint8_t nsw_ = 0;
};

TEST(TimelineGarbage, InvariantsHold) {
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    Garbage garbage(seed);
    std::vector<kf_base_task> tasks;
    std::vector<kf_base_lane> lanes;
    for (int i = 0; i < 6; ++i) tasks.push_back(garbage.base_task());
    for (int i = 0; i < 3; ++i) lanes.push_back(garbage.base_lane());
    model::TimelineBuilder builder({1'000, 100'000, tasks, lanes, {}, {}});
    for (std::uint64_t ts = garbage.number(2000); ts < 110'000; ts += garbage.number(900))
      builder.add(garbage.event(ts));
    const model::Timeline timeline = std::move(builder).finish();
    expect_partition(timeline);
    expect_cpus_agree(timeline);
    for (model::ThreadId id = 0; id < timeline.threads().size(); ++id) {
      for (const model::IntervalNote& note : timeline.thread(id).notes) EXPECT_LE(note.begin_ns, timeline.end_ns());
      for (std::uint64_t t = 0; t < 120'000; t += 7'001) timeline.call_at(timeline.thread(id), t);
    }
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace kflight::test
