// SPDX-License-Identifier: Apache-2.0
//
// The base state: which facts win, in whatever order chunks leave the window. (What those facts are good for, the same
// thread states as from all events, is base_state_replay_test.cpp's.) Over 400 lines: a case per kind of fact.
#include "dump/base_state.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string_view>
#include <vector>

#include "support/chunk_builder.hpp"

namespace kflight::dump {
namespace {

using namespace test;

void fold(BaseState& state, const BuiltChunk& chunk) { state.fold(chunk.head, chunk.words); }

BaseState folded(const std::vector<BuiltChunk>& chunks) {
  BaseState state;
  for (const auto& chunk : chunks) fold(state, chunk);
  return state;
}

kf_base_task task(const BaseState& state, std::uint32_t tid) {
  for (const auto& found : state.tasks())
    if (found.tid == tid) return found;
  ADD_FAILURE() << "no thread " << tid;
  return {};
}

std::string_view comm(const kf_base_task& task) { return {task.comm, ::strnlen(task.comm, sizeof task.comm)}; }

kf_task snapshot(std::uint32_t tid, kf_u64 ts_ns, kf_u64 start_ns = 50) {
  kf_task seen{};
  seen.tid = tid;
  seen.tgid = tid;
  seen.ts_ns = ts_ns;
  seen.start_ns = start_ns;
  seen.cpu = 3;
  seen.prio = 110;
  std::memcpy(seen.comm, "seen", 5);
  return seen;
}

TEST(BaseState, KeepsLastSwitchInAndOut) {
  const auto state =
      folded({ChunkBuilder(2, {.cur_tid = 5})
                  .at(1us)
                  .switch_to(6, KF_ST_DISK, {.iowait = true, .nsw = 9, .prio = kf_pack_prio(100, 130, 0, 0)})
                  .at(2us)
                  .switch_to(0, KF_ST_RUNNING, {.preempt = true})
                  .build()});
  const auto five = task(state, 5);
  EXPECT_EQ(five.out_ns, 1'000u);
  EXPECT_EQ(five.out_cpu, 2);
  EXPECT_EQ(five.out_state, KF_ST_DISK);
  EXPECT_EQ(five.out_flags, kOutIowait);
  EXPECT_EQ(five.out_nsw, 9);
  EXPECT_EQ(five.prio, 100);
  EXPECT_EQ(five.in_ns, 0u);
  EXPECT_EQ(five.switch_outs, 1u);
  const auto six = task(state, 6);
  EXPECT_EQ(six.in_ns, 1'000u);
  EXPECT_EQ(six.out_ns, 2'000u);
  EXPECT_EQ(six.out_flags, kOutPreempt);
  EXPECT_EQ(state.tasks().size(), 2u) << "the idle task is no thread";
}

TEST(BaseState, KeepsTheLastWakingWithItsCause) {
  const auto state = folded({ChunkBuilder(1, {.cur_tid = 8})
                                 .at(1us)
                                 .waking(5, {.ctx = KF_CTX_TASK})
                                 .at(3us)
                                 .woken(5, {.cpu = 3,
                                            .delay = 40ns,
                                            .ctx = KF_CTX_SOFTIRQ,
                                            .waker_nr = 44,
                                            .cause = 2,
                                            .detail = 7,
                                            .cause_args = {11, 12}})
                                 .build()});
  const auto five = task(state, 5);
  EXPECT_EQ(five.waking_ns, 3'000u);
  EXPECT_EQ(five.waking_cpu, 1);
  EXPECT_EQ(five.waker_tid, 8u);
  EXPECT_EQ(five.waking_ctx, KF_CTX_SOFTIRQ);
  EXPECT_EQ(five.waker_nr, 44);
  EXPECT_EQ(five.waking_cause, 2);
  EXPECT_EQ(five.cause_detail, 7u);
  EXPECT_EQ(five.cause_args[1], 12u);
  EXPECT_EQ(five.wakeup_ns, 3'040u);
  EXPECT_EQ(five.wakeup_cpu, 3);
}

TEST(BaseState, WakingOneselfIsNoWaking) {
  const auto state = folded({ChunkBuilder(0, {.cur_tid = 5}).at(1us).waking(5).wakeup(5, 0).waking(6).build()});
  EXPECT_EQ(state.tasks().size(), 1u);
}

TEST(BaseState, PlacementIsTheLastWakeupOrMigration) {
  ChunkBuilder lane(0);
  auto state = folded({lane.at(1us).wakeup(5, 2).build()});
  EXPECT_EQ(task(state, 5).wakeup_cpu, 2);
  fold(state, lane.at(2us).migrate(5, 2, 7).build());
  EXPECT_EQ(task(state, 5).wakeup_cpu, 7);
  EXPECT_EQ(task(state, 5).wakeup_ns, 2'000u);
}

TEST(BaseState, CallInFlightEndsWithItsSyscallEvent) {
  ChunkBuilder lane(0, {.cur_tid = 5});
  auto state =
      folded({lane.at(9us).switch_to(0, KF_ST_SLEEP, {.sys = call(202, {1, 2, 3}), .in_call_for = 4us}).build()});
  EXPECT_EQ(task(state, 5).call_enter_ns, 5'000u);
  EXPECT_EQ(task(state, 5).sys.nr, 202u);
  EXPECT_EQ(task(state, 5).out_flags, kOutHasSys);
  fold(state, lane.at(20us).switch_to(5).after(1us).syscall(202).build());
  EXPECT_EQ(task(state, 5).call_enter_ns, 0u);
  EXPECT_EQ(task(state, 5).out_flags, 0);
  fold(state, lane.at(30us).syscall_open(call(1, {7}), 2us).build());
  EXPECT_EQ(task(state, 5).call_enter_ns, 28'000u);
  EXPECT_EQ(task(state, 5).sys.args[0], 7u);
}

// A timed call's entry is told at its first switch-out only; its end is always an event.
TEST(BaseState, CallInFlightOutlivesLaterSwitchOuts) {
  ChunkBuilder lane(0, {.cur_tid = 5});
  auto state = folded({lane.at(9us).switch_to(0, KF_ST_SLEEP, {.sys = call(202, {1, 2}), .in_call_for = 4us}).build()});
  fold(state, lane.at(10us).switch_to(5).at(11us).switch_to(0, KF_ST_RUNNING, {.preempt = true}).build());
  EXPECT_EQ(task(state, 5).call_enter_ns, 5'000u);
  EXPECT_EQ(task(state, 5).out_flags, kOutHasSys | kOutPreempt);
  fold(state, lane.at(12us).switch_to(5).at(13us).switch_to(0, KF_ST_DISK, {.sys = call(202, {1, 2})}).build());
  EXPECT_EQ(task(state, 5).call_enter_ns, 5'000u);
  EXPECT_EQ(task(state, 5).sys.nr, 202u);
  fold(state, lane.at(14us).switch_to(5).at(15us).switch_to(0, KF_ST_DISK, {.sys = call(202, {3, 2})}).build());
  EXPECT_EQ(task(state, 5).call_enter_ns, 0u) << "another call, the end of the first was lost";
  EXPECT_EQ(task(state, 5).sys.args[0], 3u);
  fold(state, lane.at(16us).switch_to(5).at(17us).switch_to(0, KF_ST_RUNNING).build());
  EXPECT_EQ(task(state, 5).out_flags, 0) << "nothing says that it is still in it";
  EXPECT_EQ(task(state, 5).sys.nr, 0u);
}

TEST(BaseState, SleepOutsideOfCallsEndsTheCallInFlight) {
  ChunkBuilder lane(0, {.cur_tid = 5});
  const auto state =
      folded({lane.at(9us).switch_to(5, KF_ST_SLEEP, {.sys = call(202, {1}), .in_call_for = 4us}).build(),
              lane.at(10us).switch_to(0, KF_ST_DISK).build()});
  EXPECT_EQ(task(state, 5).call_enter_ns, 0u);
  EXPECT_EQ(task(state, 5).out_flags, 0);
}

// What one thread did on three CPUs; whatever the order in which their chunks leave.
TEST(BaseState, EntryOfACallIsFoundOutOfOrderAndItsEndWins) {
  const auto chunk_of = [](kf_u16 cpu, auto&&... what) {
    ChunkBuilder lane(cpu, {.cur_tid = 5});
    (what(lane), ...);
    return lane.build();
  };
  const auto entry = [](ChunkBuilder& lane) {
    lane.at(10us).switch_to(0, KF_ST_SLEEP, {.sys = call(202, {1}), .in_call_for = 4us});
  };
  const auto preempted = [](ChunkBuilder& lane) { lane.at(20us).switch_to(0, KF_ST_RUNNING, {.preempt = true}); };
  const auto end = [](ChunkBuilder& lane) { lane.at(20us).syscall(202); };
  const auto again = [](ChunkBuilder& lane) { lane.at(30us).switch_to(0, KF_ST_SLEEP, {.sys = call(202, {1})}); };
  const std::vector<BuiltChunk> same{chunk_of(0, entry), chunk_of(1, preempted), chunk_of(2, again)};
  const std::vector<BuiltChunk> ended{chunk_of(0, entry), chunk_of(1, end), chunk_of(2, again)};
  std::vector<std::size_t> order{0, 1, 2};
  do {
    const auto in_order = [&](const std::vector<BuiltChunk>& chunks) {
      return task(folded({chunks[order[0]], chunks[order[1]], chunks[order[2]]}), 5);
    };
    EXPECT_EQ(in_order(same).call_enter_ns, 6'000u) << order[0] << order[1] << order[2];
    EXPECT_EQ(in_order(ended).call_enter_ns, 0u) << order[0] << order[1] << order[2];
    EXPECT_EQ(in_order(ended).out_flags, kOutHasSys);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(BaseState, ForkGivesIdentity) {
  const auto state = folded({ChunkBuilder(1, {.cur_tid = 4})
                                 .at(1us)
                                 .fork(4, 9, 8, {.start_ns = 900, .cgroup_id = 77, .comm = "web"})
                                 .after(10ns)
                                 .rename(9, "worker")
                                 .build()});
  const auto child = task(state, 9);
  EXPECT_EQ(child.tgid, 8u);
  EXPECT_EQ(child.parent_tid, 4u);
  EXPECT_EQ(child.start_ns, 900u);
  EXPECT_EQ(child.cgroup_id, 77u);
  EXPECT_EQ(child.fork_ns, 1'000u);
  EXPECT_EQ(child.waking_cpu, 1);
  EXPECT_EQ(comm(child), "worker");
  EXPECT_EQ(child.known, KF_BASE_IDENTITY);
}

TEST(BaseState, ReusedTidStartsFresh) {
  ChunkBuilder lane(0, {.cur_tid = 9});
  auto state =
      folded({lane.at(1us).rename(9, "old").exit(9, true).switch_to(4, KF_ST_DEAD, {.sys = call(231)}).build()});
  EXPECT_EQ(task(state, 9).known, KF_BASE_EXITED | KF_BASE_GROUP_DEAD);
  fold(state, lane.at(2us).fork(4, 9, 9, {.start_ns = 1'900, .comm = "new"}).build());
  const auto fresh = task(state, 9);
  EXPECT_EQ(fresh.known, KF_BASE_IDENTITY);
  EXPECT_EQ(fresh.out_ns, 0u);
  EXPECT_EQ(fresh.out_flags, 0);
  EXPECT_EQ(fresh.switch_outs, 0u);
  EXPECT_EQ(comm(fresh), "new");
}

TEST(BaseState, ReuseWithALostForkIsSeenAtTheSwitchIn) {
  ChunkBuilder lane(0, {.cur_tid = 9});
  const auto state = folded({lane.at(1us).rename(9, "old").switch_to(4, KF_ST_DEAD).at(2us).switch_to(9).build()});
  EXPECT_EQ(task(state, 9).known, 0u);
  EXPECT_EQ(task(state, 9).in_ns, 2'000u);
  EXPECT_EQ(comm(task(state, 9)), "");
}

TEST(BaseState, ExecByAnotherThreadThanTheLeaderRenamesTheKey) {
  ChunkBuilder leader(0, {.cur_tid = 10}), thread(1, {.cur_tid = 0});
  const auto state = folded({leader.at(1us).fork(10, 11, 10, {.is_thread = true}).at(2us).rename(10, "app").build(),
                             thread.at(3us).switch_to(11).build(), leader.at(4us).switch_to(0, KF_ST_DEAD).build(),
                             thread.at(5us).current(10).exec(10, 11, "sh", "/bin/sh").build()});
  ASSERT_EQ(state.tasks().size(), 1u);
  EXPECT_EQ(state.thread_count(), 1u);
  const auto now = task(state, 10);
  EXPECT_EQ(now.in_ns, 3'000u);
  EXPECT_EQ(now.in_cpu, 1);
  EXPECT_EQ(now.out_ns, 0u) << "the leader's end is not this thread's";
  EXPECT_EQ(now.known & KF_BASE_EXITED, 0u);
  EXPECT_EQ(comm(now), "sh");
}

TEST(BaseState, EventsFromBeforeTheExecDoNotReviveTheOldTid) {
  const auto state = folded({ChunkBuilder(1).at(3us).switch_to(11).at(5us).current(10).exec(10, 11, "sh", "").build(),
                             ChunkBuilder(0, {.cur_tid = 11}).at(2us).switch_to(0).build()});
  EXPECT_EQ(state.thread_count(), 1u);
  EXPECT_EQ(task(state, 10).in_ns, 3'000u);
}

TEST(BaseState, SnapshotIsUsedUntilAnEventKnowsBetter) {
  BaseState state;
  auto seen = snapshot(5, 2'000);
  seen.state = KF_ST_SLEEP;
  seen.flags = KF_TASK_HAS_SYS | KF_TASK_ENTER_KNOWN;
  seen.nr = 35;
  seen.args[1] = ~0ull;
  seen.sys_enter_ns = 1'500;
  state.add_snapshot(seen);
  const auto before = task(state, 5);
  EXPECT_EQ(before.known, KF_BASE_SNAPSHOT | KF_BASE_IDENTITY);
  EXPECT_EQ(before.out_state, KF_ST_SLEEP);
  EXPECT_EQ(before.out_flags, kOutHasSys);
  EXPECT_EQ(before.call_enter_ns, 1'500u);
  EXPECT_EQ(before.sys.args[1], 0xffffffffu);
  EXPECT_EQ(before.snapshot_ns, 2'000u);
  EXPECT_EQ(comm(before), "seen");

  fold(state, ChunkBuilder(0, {.cur_tid = 1}).at(3us).woken(5).build());
  EXPECT_TRUE(task(state, 5).known & KF_BASE_SNAPSHOT) << "what happened later does not contradict it";
  EXPECT_EQ(task(state, 5).out_state, KF_ST_SLEEP);

  fold(state, ChunkBuilder(1, {.cur_tid = 5}).at(1us).switch_to(0, KF_ST_DISK).build());
  const auto after = task(state, 5);
  EXPECT_EQ(after.known, KF_BASE_IDENTITY);
  EXPECT_EQ(after.out_ns, 1'000u);
  EXPECT_EQ(after.out_state, KF_ST_DISK);
  EXPECT_EQ(after.out_flags, 0);
  EXPECT_EQ(after.call_enter_ns, 0u);
  EXPECT_EQ(after.waking_ns, 3'000u);
  EXPECT_EQ(comm(after), "seen");
}

TEST(BaseState, SnapshotOfAThreadWithEventsGivesIdentityOnly) {
  BaseState state;
  fold(state, ChunkBuilder(0, {.cur_tid = 5}).at(1us).switch_to(0, KF_ST_DISK).build());
  state.add_snapshot(snapshot(5, 2'000));
  const auto now = task(state, 5);
  EXPECT_EQ(now.known, KF_BASE_IDENTITY);
  EXPECT_EQ(now.tgid, 5u);
  EXPECT_EQ(now.start_ns, 50u);
  EXPECT_EQ(now.out_state, KF_ST_DISK);
  EXPECT_EQ(comm(now), "seen");
}

TEST(BaseState, SnapshotDoesNotRenameAThread) {
  BaseState state;
  fold(state, ChunkBuilder(0, {.cur_tid = 5}).at(1us).rename(5, "told").build());
  state.add_snapshot(snapshot(5, 2'000));
  EXPECT_EQ(comm(task(state, 5)), "told");
}

TEST(BaseState, SnapshotStates) {
  BaseState state;
  auto on_cpu = snapshot(1, 100);
  on_cpu.flags = KF_TASK_ON_CPU | KF_TASK_ON_RQ;
  auto preempted = snapshot(2, 100);
  preempted.flags = KF_TASK_ON_RQ;
  preempted.state = KF_ST_SLEEP;
  for (const auto& seen : {on_cpu, preempted}) state.add_snapshot(seen);
  EXPECT_EQ(task(state, 1).out_flags, kOutOnCpu);
  EXPECT_EQ(task(state, 1).in_cpu, 3);
  EXPECT_EQ(task(state, 2).out_flags, kOutPreempt);
}

TEST(BaseState, SnapshotOfALaterThreadOfTheTidReplacesTheOlder) {
  BaseState state;
  state.add_snapshot(snapshot(5, 2'000, 50));
  fold(state, ChunkBuilder(0, {.cur_tid = 5}).at(3us).switch_to(0, KF_ST_DEAD).build());
  state.add_snapshot(snapshot(5, 9'000, 8'000));
  EXPECT_EQ(task(state, 5).start_ns, 8'000u);
  EXPECT_EQ(task(state, 5).known, KF_BASE_SNAPSHOT | KF_BASE_IDENTITY);
  state.add_snapshot(snapshot(5, 2'500, 50));
  EXPECT_EQ(task(state, 5).start_ns, 8'000u);
}

TEST(BaseState, LanesSayWhereTheWindowBegins) {
  ChunkBuilder lane(3, {.cur_tid = 5, .seq = 8, .events_before = 100, .nested_before = 2});
  const auto state = folded({lane.at(1us).switch_to(6).at(2us).switch_to(7).build(),
                             ChunkBuilder(3, {.cur_tid = 9}).at(4us).nested(4).wakeup(1, 0).build(),
                             ChunkBuilder(5).at(1us).nested(0).wakeup(1, 0).build()});
  const auto lanes = state.lanes();
  ASSERT_EQ(lanes.size(), 2u);
  EXPECT_EQ(lanes[0].lane, 3);
  EXPECT_EQ(lanes[0].known, 1);
  EXPECT_EQ(lanes[0].cur_tid, 7u);
  EXPECT_EQ(lanes[0].through_ns, 2'000u);
  EXPECT_EQ(lanes[0].next_seq, 9u);
  EXPECT_EQ(lanes[0].events_through, 102u);
  EXPECT_EQ(lanes[0].nested_through, 5u);
  EXPECT_EQ(lanes[1].lane, 5);
  EXPECT_EQ(lanes[1].known, 0) << "none of its ordinary chunks is gone";
  EXPECT_EQ(lanes[1].nested_through, 1u);
}

TEST(BaseState, ForgetsTheDead) {
  ChunkBuilder lane(0, {.cur_tid = 1});
  auto state =
      folded({lane.at(1us).switch_to(2, KF_ST_DEAD).at(5us).switch_to(3, KF_ST_DEAD).at(6us).switch_to(4).build()});
  EXPECT_EQ(state.thread_count(), 4u);
  state.forget_exited(5'000);
  EXPECT_EQ(state.thread_count(), 3u);
  state.forget_exited(5'001);
  EXPECT_EQ(state.thread_count(), 2u);
  fold(state, lane.at(7us).switch_to(3).build());
  EXPECT_EQ(task(state, 4).out_ns, 7'000u) << "look-ups still find the rest";
  EXPECT_EQ(task(state, 3).out_ns, 6'000u);
}

TEST(BaseState, ManyThreadsAreFoundAgain) {
  BaseState state;
  ChunkBuilder lane(0);
  for (kf_u32 tid = 1; tid <= 20000; ++tid) {
    lane.after(10ns).wakeup(tid * 199, kf_u32(tid % 64));
    if (tid % 200 == 0) fold(state, lane.build());
  }
  const auto tasks = state.tasks();
  ASSERT_EQ(tasks.size(), 20000u);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    EXPECT_EQ(tasks[i].tid, (i + 1) * 199);
    EXPECT_EQ(tasks[i].wakeup_cpu, (i + 1) % 64);
  }
}

// Random streams on four CPUs; the chunks leave in two different orders that both keep each lane's own order.
TEST(BaseState, OrderOfLanesDoesNotMatter) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::vector<BuiltChunk>> lanes;
    for (kf_u16 cpu = 0; cpu < 4; ++cpu) {
      auto& chunks = lanes.emplace_back();
      ChunkBuilder lane(cpu);
      kf_u64 now = 1000 + cpu;
      const auto tid = [&] { return kf_u32(1 + random() % 6); };
      for (int c = 0; c < 3; ++c) {
        for (int i = 0; i < 12; ++i) {
          lane.at(Nanos(now += 4 * (1 + random() % 20)));
          switch (random() % 10) {
            case 0:
              lane.switch_to(tid(), KF_ST_SLEEP, {.sys = call(202, {random() % 2}), .in_call_for = 5ns});
              break;
            case 1:
              lane.switch_to(tid(), KF_ST_DISK);
              break;
            case 2:
              lane.woken(tid(), {.cpu = cpu});
              break;
            case 3:
              lane.waking(tid());
              break;
            case 4:
              lane.wakeup(tid(), cpu);
              break;
            case 5:
              lane.migrate(tid(), 0, 1 + cpu);
              break;
            case 6:
              lane.syscall(1);
              break;
            case 7:
              lane.rename(tid(), std::string_view("abcdefgh").substr(random() % 8));
              break;
            case 8:
              lane.switch_to(tid(), KF_ST_SLEEP, {.sys = call(202, {random() % 2})});
              break;
            case 9:
              lane.switch_to(tid(), KF_ST_RUNNING, {.preempt = true});
              break;
          }
        }
        chunks.push_back(lane.build());
      }
    }
    const auto fold_randomly = [&] {
      BaseState state;
      std::vector<std::size_t> next(lanes.size());
      for (std::size_t left = 12; left > 0;) {
        const std::size_t cpu = random() % 4;
        if (next[cpu] == lanes[cpu].size()) continue;
        fold(state, lanes[cpu][next[cpu]++]);
        --left;
      }
      return state.tasks();
    };
    const auto one = fold_randomly(), other = fold_randomly();
    ASSERT_EQ(one.size(), other.size());
    EXPECT_EQ(std::memcmp(one.data(), other.data(), one.size() * sizeof(kf_base_task)), 0);
  }
}

// Of a thread that waits since before the window its place is known; of one that has run since, nothing old is said.
TEST(BaseState, KeepsTheStackOfTheLastWait) {
  ChunkBuilder lane(0, {.cur_tid = 5});
  lane.at(1us).switch_to(6).stack(5, KF_STACK_BLOCK, 11, 12);
  lane.at(2us).switch_to(5).stack(6, KF_STACK_BLOCK, 13, 0);
  lane.at(3us).stack(5, KF_STACK_SAMPLE, 99, 99).at(4us).stack(5, KF_STACK_WAKER, 98, 98);
  auto state = folded({lane.build()});
  ASSERT_EQ(state.stacks().size(), 1u) << "5 runs";
  EXPECT_EQ(state.stacks()[0].tid, 6u);
  EXPECT_EQ(state.stacks()[0].out_ns, 2'000u);
  EXPECT_EQ(state.stacks()[0].kernel, 13u);
  EXPECT_EQ(state.stacks()[0].user, 0u);
  fold(state, lane.at(5us).switch_to(0).stack(5, KF_STACK_BLOCK, 21, 22).build());
  ASSERT_EQ(state.stacks().size(), 2u);
  EXPECT_EQ(state.stacks()[0].user, 22u);
  fold(state, lane.at(6us).switch_to(5).at(7us).switch_to(0, KF_ST_SLEEP).build());
  EXPECT_EQ(state.stacks().size(), 1u) << "the last wait of 5 has none";
}

}  // namespace
}  // namespace kflight::dump
