// SPDX-License-Identifier: Apache-2.0
//
// The cursor over one chunk: each kind comes back as it was put in, and no bytes whatever make it read past the words.
// About 400 lines: every kind has its case.
#include "dump/decoder.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "support/chunk_builder.hpp"

namespace kflight::dump {
namespace {

using namespace test;

std::vector<Event> decode(const BuiltChunk& chunk) {
  std::vector<Event> events;
  ChunkCursor cursor(chunk.head, chunk.words);
  for (Event event; cursor.next(event);) events.push_back(event);
  EXPECT_FALSE(cursor.damaged());
  EXPECT_EQ(cursor.decoded(), chunk.head.n_events);
  EXPECT_EQ(cursor.now_ns(), chunk.head.last_ns);
  return events;
}

template <class E>
E only(const BuiltChunk& chunk) {
  const auto events = decode(chunk);
  EXPECT_EQ(events.size(), 1u);
  return std::get<E>(events.at(0));
}

// The event that ends the chunk as damage, and how many came before it.
struct Broken {
  std::size_t events = 0, damage_word = 0;
  bool damaged = false;
};
Broken decode_broken(const kf_chunk& head, std::span<const kf_u64> words) {
  Broken out;
  ChunkCursor cursor(head, words);
  for (Event event; cursor.next(event);) ++out.events;
  Event again;
  EXPECT_FALSE(cursor.next(again)) << "the end stays the end";
  out.damaged = cursor.damaged();
  out.damage_word = cursor.damage_word();
  return out;
}

TEST(Decoder, HeadNamesTimeCpuAndRunningTask) {
  const auto events = decode(ChunkBuilder(3, {.cur_tid = 5})
                                 .at(10us)
                                 .waking(9)
                                 .after(200ns)
                                 .switch_to(7)
                                 .after(1ms)
                                 .wakeup(9, 2)
                                 .current(8)
                                 .after(5s)
                                 .waking(6)
                                 .build());
  ASSERT_EQ(events.size(), 4u);
  const std::uint64_t times[] = {10'000, 10'200, 1'010'200, 5'001'010'200};
  const std::uint32_t tids[] = {5, 5, 7, 8};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(head(events[i]).ts_ns, times[i]);
    EXPECT_EQ(head(events[i]).tid, tids[i]);
    EXPECT_EQ(head(events[i]).cpu, 3);
    EXPECT_FALSE(head(events[i]).nested);
  }
}

TEST(Decoder, LongestStepWithoutATimeWord) {
  const auto chunk = ChunkBuilder(0).at(1ns).wakeup(1, 0).after(Nanos(KF_DT_MASK)).wakeup(2, 0).build();
  EXPECT_EQ(chunk.words.size(), 2u);
  EXPECT_EQ(head(decode(chunk)[1]).ts_ns, 1 + KF_DT_MASK);
  const auto longer = ChunkBuilder(0).at(1ns).wakeup(1, 0).after(Nanos(KF_DT_MASK + 1)).wakeup(2, 0).build();
  EXPECT_EQ(longer.words.size(), 3u);
  EXPECT_EQ(head(decode(longer)[1]).ts_ns, 2 + KF_DT_MASK);
}

TEST(Decoder, NestedChunkMarksItsEvent) {
  const auto event = only<WakingEvent>(ChunkBuilder(1, {.cur_tid = 4}).at(7us).nested(12).waking(9).build());
  EXPECT_TRUE(event.nested);
  EXPECT_EQ(event.tid, 4u);
}

TEST(Decoder, SwitchWithEverything) {
  const auto e = only<SwitchEvent>(ChunkBuilder(0, {.cur_tid = 41})
                                       .at(1s)
                                       .switch_to(42, KF_ST_DISK,
                                                  {.preempt = true,
                                                   .iowait = true,
                                                   .throttled = true,
                                                   .nsw = 0x1ff,
                                                   .sys = call(202, {1, 2, 3, ~0ull}),
                                                   .in_call_for = 30us,
                                                   .prio = kf_pack_prio(98, 139, 1, 3)})
                                       .build());
  EXPECT_EQ(e.tid, 41u);
  EXPECT_EQ(e.next_tid, 42u);
  EXPECT_EQ(e.prev_state, KF_ST_DISK);
  EXPECT_TRUE(e.preempt && e.in_iowait && e.throttled && e.has_sys);
  EXPECT_EQ(e.nsw, 0xff);
  EXPECT_EQ(e.sys.nr, 202u);
  EXPECT_EQ(e.sys.args[3], ~0ull);
  EXPECT_EQ(e.enter_ns, 1'000'000'000u - 30'000);
  EXPECT_EQ(e.prev_prio, 98);
  EXPECT_EQ(e.next_prio, 139);
  EXPECT_EQ(e.prev_policy, 1);
  EXPECT_EQ(e.next_policy, 3);
}

TEST(Decoder, PlainSwitchHasDefaults) {
  const auto e = only<SwitchEvent>(ChunkBuilder(0).at(1s).switch_to(0, KF_ST_RUNNING).build());
  EXPECT_FALSE(e.preempt || e.in_iowait || e.throttled || e.has_sys);
  EXPECT_EQ(e.enter_ns, 0u);
  EXPECT_EQ(e.prev_prio, KF_DEFAULT_PRIO);
  EXPECT_EQ(e.next_prio, KF_DEFAULT_PRIO);
}

TEST(Decoder, WakingAloneAndMerged) {
  const WakingOptions options{.cpu = 8191,
                              .delay = 700ns,
                              .ctx = KF_CTX_SOFTIRQ,
                              .waker_nr = 44,
                              .prio = 100,
                              .cause = 9,
                              .detail = 0x1abcd,
                              .cause_args = {11, 22}};
  for (const bool merged : {false, true}) {
    ChunkBuilder lane(0);
    const auto e =
        only<WakingEvent>((merged ? lane.at(5us).woken(77, options) : lane.at(5us).waking(77, options)).build());
    EXPECT_EQ(e.wakee, 77u);
    EXPECT_EQ(e.ctx, KF_CTX_SOFTIRQ);
    EXPECT_EQ(e.wakee_prio, 100);
    EXPECT_EQ(e.target_cpu, 8191);
    EXPECT_EQ(e.has_wakeup, merged);
    EXPECT_EQ(e.wakeup_ns, merged ? 5'700u : 0u);
    EXPECT_EQ(e.waker_nr, 44);
    EXPECT_EQ(e.cause, 9);
    EXPECT_EQ(e.cause_detail, 0x1abcdu);
    EXPECT_EQ(e.cause_words, 2);
    EXPECT_EQ(e.cause_args[0], 11u);
    EXPECT_EQ(e.cause_args[1], 22u);
  }
}

TEST(Decoder, WakeupBits) {
  const auto e = only<WakeupEvent>(ChunkBuilder(0).at(1us).wakeup(KF_TID_MASK, 8191, true, true).build());
  EXPECT_EQ(e.wakee, KF_TID_MASK);
  EXPECT_EQ(e.target_cpu, 8191);
  EXPECT_TRUE(e.is_new && e.throttled);
}

TEST(Decoder, BlockRequest) {
  const auto e = only<BlockEvent>(
      ChunkBuilder(2, {.cur_tid = 6})
          .at(1us)
          .block(KF_BLOCK_COMPLETE, 9, 0xffff888012345678, 0xffffffff, 1ULL << 40, 0xfff, 0xfffff, KF_CTX_SOFTIRQ)
          .build());
  EXPECT_EQ(e.phase, KF_BLOCK_COMPLETE);
  EXPECT_EQ(e.op, 9);
  EXPECT_EQ(e.ctx, KF_CTX_SOFTIRQ);
  EXPECT_FALSE(e.failed);
  EXPECT_EQ(e.request, 0xffff888012345678u);
  EXPECT_EQ(e.bytes, 0xffffffffu);
  EXPECT_EQ(e.dev, 0xffffffffu);
  EXPECT_EQ(e.sector, 1ULL << 40);
  EXPECT_EQ(e.tid, 6u);
}

TEST(Decoder, WorkItem) {
  const auto e =
      only<WorkEvent>(ChunkBuilder(0, {.cur_tid = 6}).at(1s).work(0xffffffff81000000, 3us, 5us, 77, 9).build());
  EXPECT_EQ(e.function, 0xffffffff81000000u);
  EXPECT_EQ(e.started_ns, 1'000'000'000u - 3'000);
  EXPECT_EQ(e.queued_ns, 1'000'000'000u - 5'000);
  EXPECT_EQ(e.queuer_tid, 77u);
  EXPECT_EQ(e.queue_cpu, 9);
  EXPECT_EQ(e.queuer_nr, KF_WAKER_NO_SYS);
  EXPECT_EQ(e.cause, KF_CAUSE_BLOCK);
  EXPECT_EQ(e.cause_detail, 7u);
  EXPECT_EQ(e.cause_args[1], 12u);
}

TEST(Decoder, WorkItemThatNobodySawQueued) {
  const auto e = only<WorkEvent>(ChunkBuilder(0).at(1s).generic(KF_GEN_WORK, 5, {1, 2, 3, 4, 5, 6}).build());
  EXPECT_EQ(e.queued_ns, 0u);
  EXPECT_EQ(e.queuer_tid, 0u);
  EXPECT_EQ(e.cause, KF_CAUSE_NONE);
}

TEST(Decoder, SignalLockAndQuota) {
  const auto signal = only<SignalEvent>(ChunkBuilder(0).at(1us).signal(100, 10, 90).build());
  EXPECT_EQ(signal.target_tid, 100u);
  EXPECT_EQ(signal.target_tgid, 90u);
  EXPECT_EQ(signal.signal, 10);
  EXPECT_TRUE(signal.to_process);
  const auto lock = only<LockWaitEvent>(ChunkBuilder(0).at(1us).lock_wait(100, 0xffff888000000010).build());
  EXPECT_EQ(lock.owner_tid, 100u);
  EXPECT_EQ(lock.lock_kind, KF_LOCK_MUTEX);
  EXPECT_EQ(lock.lock, 0xffff888000000010u);
  EXPECT_EQ(only<ThrottleEvent>(ChunkBuilder(0).at(1us).throttle(5, 6).build()).cgroup_id, 6u);
  EXPECT_TRUE(only<RefillEvent>(ChunkBuilder(0).at(1us).refill(5, true).build()).some_wait);
}

TEST(Decoder, Interrupts) {
  const auto one = only<InterruptsEvent>(ChunkBuilder(0, {.cur_tid = 6}).at(90us).interrupts(30us, 30us, 1).build());
  EXPECT_EQ(one.tid, 6u);
  EXPECT_EQ(one.since_ns, 60'000u);
  EXPECT_EQ(one.spent_ns, 30'000u);
  EXPECT_EQ(one.count, 1u);
  EXPECT_EQ(one.cause, KF_CAUSE_SOFTIRQ);
  EXPECT_EQ(one.cause_detail, 3u);
  const auto irq = only<InterruptsEvent>(ChunkBuilder(0).at(9ms).interrupts(4ms, 21us, 7, KF_CAUSE_IRQ, 65535).build());
  EXPECT_EQ(irq.count, 7u);
  EXPECT_EQ(irq.cause, KF_CAUSE_IRQ);
  EXPECT_EQ(irq.cause_detail, 65535u);
}

TEST(Decoder, InterruptsOfDamagedFiles_TakeNoLongerThanTheyCan) {
  const auto e = only<InterruptsEvent>(ChunkBuilder(0).at(9us).interrupts(50us, 80us, 2).build());
  EXPECT_EQ(e.since_ns, 0u);
  EXPECT_EQ(e.spent_ns, 9'000u);
}

TEST(Decoder, SyscallEnterIsExitMinusDuration) {
  for (const std::uint64_t took : {1ull, 16383ull, 16384ull, 0xffffffffull, 0x100000000ull}) {
    const auto chunk = ChunkBuilder(0, {.cur_tid = 6}).at(100s).syscall(17, -11, {.took = Nanos(took)}).build();
    const auto e = only<SyscallEvent>(chunk);
    EXPECT_EQ(e.tid, 6u);
    EXPECT_EQ(e.nr, 17u);
    EXPECT_EQ(e.ret, -11);
    EXPECT_EQ(e.enter_ns, e.ts_ns - took);
    EXPECT_FALSE(e.has_args || e.was_switched_out);
  }
}

TEST(Decoder, SyscallResultsOfAnySize) {
  for (const std::int64_t ret : {0ll, -2048ll, 2047ll, -2049ll, 2048ll, -(1ll << 31), (1ll << 31), (1ll << 31) - 1,
                                 -(1ll << 31) - 1, 0x7f1234567000ll}) {
    EXPECT_EQ(only<SyscallEvent>(ChunkBuilder(0).at(1s).syscall(9, ret).build()).ret, ret);
  }
}

TEST(Decoder, SyscallWithUnseenEntryHasNoEnterTime) {
  const auto e = only<SyscallEvent>(ChunkBuilder(0).at(1s).syscall(56, 0, {.entry_unknown = true}).build());
  EXPECT_EQ(e.enter_ns, 0u);
}

TEST(Decoder, SyscallArgumentsNameNumberAndAbi) {
  const auto sys = call(1100, {0xff12345678abcdef, 5}, KF_ABI_X32);
  const auto e = only<SyscallEvent>(ChunkBuilder(0).at(1s).syscall(1100, 3, {.blocked = true, .args = sys}).build());
  EXPECT_TRUE(e.has_args && e.was_switched_out);
  EXPECT_EQ(e.nr, 1100u);
  EXPECT_EQ(e.abi, KF_ABI_X32);
  EXPECT_EQ(e.sys.args[0], 0xff12345678abcdefu);
  EXPECT_EQ(e.sys.args[1], 5u);
}

TEST(Decoder, GenericKinds) {
  ChunkBuilder lane(2, {.cur_tid = 10});
  const auto chunk = lane.at(1s)
                         .migrate(11, 8000, 3)
                         .fork(10, 12, 10, {.is_thread = true, .start_ns = 99, .cgroup_id = 7, .comm = "pool"})
                         .exec(13, 14, "a name that is too long", "/bin/true")
                         .exit(15, true, 0x8b)
                         .rename(16, "new")
                         .syscall_open(call(0, {3}), 5ms)
                         .build();
  const auto events = decode(chunk);
  const auto& migrate = std::get<MigrateEvent>(events.at(0));
  EXPECT_EQ(migrate.migrated_tid, 11u);
  EXPECT_EQ(migrate.orig_cpu, 8000);
  EXPECT_EQ(migrate.dest_cpu, 3);
  const auto& fork = std::get<ForkEvent>(events.at(1));
  EXPECT_EQ(fork.parent_tid, 10u);
  EXPECT_EQ(fork.child_tid, 12u);
  EXPECT_EQ(fork.child_tgid, 10u);
  EXPECT_TRUE(fork.is_thread);
  EXPECT_EQ(fork.child_start_ns, 99u);
  EXPECT_EQ(fork.cgroup_id, 7u);
  EXPECT_EQ(fork.comm.view(), "pool");
  const auto& exec = std::get<ExecEvent>(events.at(2));
  EXPECT_EQ(exec.new_tid, 13u);
  EXPECT_EQ(exec.old_tid, 14u);
  EXPECT_EQ(exec.comm.view(), "a name that is ");
  EXPECT_EQ(exec.filename, "/bin/true");
  const auto& exit = std::get<ExitEvent>(events.at(3));
  EXPECT_EQ(exit.exiting_tid, 15u);
  EXPECT_TRUE(exit.group_dead);
  EXPECT_EQ(exit.exit_code, 0x8bu);
  EXPECT_EQ(std::get<RenameEvent>(events.at(4)).comm.view(), "new");
  const auto& open = std::get<SyscallOpenEvent>(events.at(5));
  EXPECT_EQ(open.enter_ns, open.ts_ns - 5'000'000);
  EXPECT_EQ(open.sys.args[0], 3u);
}

TEST(Decoder, Stacks) {
  const auto events = decode(ChunkBuilder(0, {.cur_tid = 7})
                                 .at(1us)
                                 .stack(KF_TID_MASK, KF_STACK_SAMPLE, ~0ull, 1, KF_STACK_LOST_USER)
                                 .stack(5, KF_STACK_WAKER, 2, 3, KF_STACK_LOST_KERNEL)
                                 .build());
  const auto& sample = std::get<StackEvent>(events.at(0));
  EXPECT_EQ(sample.tid, 7u);
  EXPECT_EQ(sample.stack_tid, KF_TID_MASK);
  EXPECT_EQ(sample.role, KF_STACK_SAMPLE);
  EXPECT_EQ(sample.kernel_stack, ~0ull);
  EXPECT_EQ(sample.user_stack, 1u);
  EXPECT_TRUE(sample.user_lost && !sample.kernel_lost);
  const auto& waker = std::get<StackEvent>(events.at(1));
  EXPECT_EQ(waker.stack_tid, 5u);
  EXPECT_EQ(waker.role, KF_STACK_WAKER);
  EXPECT_TRUE(waker.kernel_lost && !waker.user_lost);
}

TEST(Decoder, ExecWithEmptyFileName) {
  const auto chunk = ChunkBuilder(0).at(1s).exec(1, 1, "x", "").build();
  EXPECT_TRUE(only<ExecEvent>(chunk).filename.empty());
}

TEST(Decoder, UnknownGenericKindIsSteppedOver) {
  const auto events = decode(ChunkBuilder(0).at(1us).generic(200, 5, {1, 2, 3}).after(10ns).wakeup(4, 0).build());
  const auto& unknown = std::get<UnknownEvent>(events.at(0));
  EXPECT_EQ(unknown.generic_kind, 200);
  EXPECT_EQ(unknown.words, 4);
  EXPECT_EQ(std::get<WakeupEvent>(events.at(1)).ts_ns, 1'010u);
}

TEST(Decoder, GenericKindThatGrewIsStillRead) {
  const auto events = decode(ChunkBuilder(0).at(1us).generic(KF_GEN_EXIT, 9, {1, 0xfeed}).wakeup(4, 0).build());
  EXPECT_EQ(std::get<ExitEvent>(events.at(0)).exiting_tid, 9u);
  EXPECT_TRUE(std::holds_alternative<WakeupEvent>(events.at(1)));
}

TEST(Decoder, GenericKindThatContradictsItselfIsUnknown) {
  const auto too_short = decode(ChunkBuilder(0).at(1us).generic(KF_GEN_FORK, 9, {1}).build());
  EXPECT_EQ(std::get<UnknownEvent>(too_short.at(0)).generic_kind, KF_GEN_FORK);
  const auto long_name = decode(ChunkBuilder(0).at(1us).generic(KF_GEN_EXEC, 9, {9ull << 32, 0, 0, 0}).build());
  EXPECT_TRUE(std::holds_alternative<UnknownEvent>(long_name.at(0)));
  const auto open_call = decode(ChunkBuilder(0).at(1us).generic(KF_GEN_SYSCALL_OPEN, 0, {1, 7ull << 12}).build());
  EXPECT_TRUE(std::holds_alternative<UnknownEvent>(open_call.at(0)));
}

TEST(Decoder, UnknownCompactKindEndsTheChunk) {
  for (const kf_u64 kind : {0, 7, 8, 14}) {
    const auto chunk = ChunkBuilder(0).at(1us).wakeup(1, 0).raw(kind).wakeup(2, 0).build();
    const auto broken = decode_broken(chunk.head, chunk.words);
    EXPECT_TRUE(broken.damaged);
    EXPECT_EQ(broken.events, 1u);
    EXPECT_EQ(broken.damage_word, 1u);
  }
}

TEST(Decoder, GenericOfNoLengthEndsTheChunk) {
  const auto chunk = ChunkBuilder(0).at(1us).raw(kf_word_generic(KF_GEN_EXIT, 0, 0, 0)).wakeup(2, 0).build();
  EXPECT_TRUE(decode_broken(chunk.head, chunk.words).damaged);
}

TEST(Decoder, EventCutShortAtEveryWord) {
  const auto chunk =
      ChunkBuilder(0)
          .at(1us)
          .switch_to(1, KF_ST_SLEEP,
                     {.sys = call(202, {~0ull, 2, 3, 4}), .in_call_for = 9us, .prio = kf_pack_prio(1, 2, 3, 4)})
          .waking(2, {.cause_args = {1, 2}})
          .syscall(1, 1ll << 40, {.args = call(1, {~0ull, 2, 3, 4})})
          .fork(1, 2, 3)
          .build();
  for (std::size_t keep = 0; keep < chunk.words.size(); ++keep) {
    const std::vector<kf_u64> words(chunk.words.begin(), chunk.words.begin() + std::ptrdiff_t(keep));
    const auto broken = decode_broken(chunk.head, words);
    EXPECT_TRUE(broken.damaged) << keep;
    EXPECT_LT(broken.events, 4u);
    EXPECT_LE(broken.damage_word, keep);
  }
}

TEST(Decoder, NeverReadsMoreThanTheHeaderSays) {
  auto chunk = ChunkBuilder(0).at(1us).wakeup(1, 0).wakeup(2, 0).build();
  chunk.head.n_words = 1;
  const auto broken = decode_broken(chunk.head, chunk.words);
  EXPECT_EQ(broken.events, 1u);
  EXPECT_FALSE(broken.damaged);
}

TEST(Decoder, EmptyChunkHasNoEvents) {
  const kf_chunk head{};
  EXPECT_FALSE(decode_broken(head, {}).damaged);
}

TEST(Decoder, TimeBeforeTheClockBeganIsUnknown) {
  EXPECT_EQ(only<SyscallEvent>(ChunkBuilder(0).at(5ns).syscall(1, 0, {.took = 6ns}).build()).enter_ns, 0u);
}

// Readers have tables by thread and by CPU, with numbers of their own for none.
TEST(Decoder, NumbersStayInTheRangeOfTheKernels) {
  auto chunk = ChunkBuilder(0, {.cur_tid = 1}).at(1us).wakeup(1, 0).build();
  chunk.head.cur_tid = ~0u;
  EXPECT_EQ(only<WakeupEvent>(chunk).tid, KF_TID_MASK);
  const auto moved = only<MigrateEvent>(ChunkBuilder(0).at(1us).generic(KF_GEN_MIGRATE, 1, {~0ull}).build());
  EXPECT_EQ(moved.orig_cpu, KF_CPU_MASK);
  EXPECT_EQ(moved.dest_cpu, KF_CPU_MASK);
  EXPECT_EQ(only<ForkEvent>(ChunkBuilder(0).at(1us).fork(~0u, 2, 3).build()).parent_tid, KF_TID_MASK);
  EXPECT_EQ(only<ExecEvent>(ChunkBuilder(0).at(1us).exec(1, ~0u, "x", "").build()).old_tid, KF_TID_MASK);
}

// Words are copied into exactly sized heap blocks, so that the address sanitizer sees a read of one word too many.
TEST(Decoder, GarbageNeverReadsOutside) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::vector<kf_u64> words(random() % 24);
    for (auto& w : words) w = (random() & ~15ull) | (random() % 2 ? KF_EV_GENERIC : random() % 16);
    kf_chunk head{};
    head.base_ns = random();
    head.n_words = kf_u16(words.size() + random() % 2);
    ChunkCursor cursor(head, words);
    std::size_t events = 0;
    for (Event event; cursor.next(event); ++events)
      visit(event, [](const ExecEvent& e) { EXPECT_LE(e.filename.size(), 24 * sizeof(kf_u64)); });
    EXPECT_LE(events, words.size());
  }
}

}  // namespace
}  // namespace kflight::dump
