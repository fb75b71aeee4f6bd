// SPDX-License-Identifier: Apache-2.0
//
// wire.h: whatever a pack function takes, its unpack functions give back, up to the largest value each field is made
// for and without touching the fields beside it.
#include "kflight/wire.h"

#include <gtest/gtest.h>

#include <vector>

namespace {

constexpr kf_u32 kMaxTid = (1u << 22) - 1;
constexpr kf_u32 kMaxCpu = 8191;

TEST(Wire, CompactWordKeepsItsThreeParts) {
  for (const kf_u64 dt : {0ull, 1ull, KF_DT_MASK}) {
    for (const kf_u64 payload : {0ull, 1ull, (1ull << 40) - 1}) {
      const kf_u64 w = kf_word_compact(KF_EV_WAKEUP, dt, payload);
      EXPECT_EQ(kf_word_kind(w), unsigned{KF_EV_WAKEUP});
      EXPECT_EQ(kf_word_dt(w), dt);
      EXPECT_EQ(kf_word_payload(w), payload);
    }
  }
  EXPECT_EQ(kf_word_dt(kf_word_compact(KF_EV_SWITCH, KF_DT_MASK + 1, 0)), 0u)
      << "more than the field is cut, not spilled";
}

TEST(Wire, GenericWordKeepsItsFiveParts) {
  for (const kf_u64 kind : {0ull, 6ull, 255ull})
    for (const kf_u64 words : {1ull, 32ull, 63ull})
      for (const kf_u64 dt : {0ull, KF_DT_MASK})
        for (const kf_u64 payload : {0ull, (1ull << 26) - 1}) {
          const kf_u64 w = kf_word_generic(kind, words, dt, payload);
          EXPECT_EQ(kf_word_kind(w), unsigned{KF_EV_GENERIC});
          EXPECT_EQ(kf_generic_kind(w), kind);
          EXPECT_EQ(kf_generic_words(w), words);
          EXPECT_EQ(kf_generic_dt(w), dt);
          EXPECT_EQ(kf_generic_payload(w), payload);
        }
}

TEST(Wire, TimeAndCurrent) {
  for (const kf_u64 dt : {0ull, KF_DT_MASK + 1, (1ull << 60) - 1}) {
    EXPECT_EQ(kf_word_kind(kf_pack_time(dt)), unsigned{KF_EV_TIME});
    EXPECT_EQ(kf_unpack_time(kf_pack_time(dt)), dt);
  }
  EXPECT_EQ(kf_word_kind(kf_pack_current(kMaxTid)), unsigned{KF_EV_CURRENT});
  EXPECT_EQ(kf_unpack_current(kf_pack_current(kMaxTid)), kMaxTid);
  EXPECT_EQ(kf_unpack_current(kf_pack_current(0)), 0u);
}

TEST(Wire, TopWordsKeepOffsetAndAddress) {
  for (const kf_u32 offset : {0u, 1u, KF_STACK_TOP_WORDS - 1u})
    for (const kf_u64 address : {0ull, 0x7fff'ffff'ffffull, (1ull << 57) - 1}) {
      EXPECT_EQ(kf_top_offset_words(kf_pack_top(offset, address)), offset);
      EXPECT_EQ(kf_top_address(kf_pack_top(offset, address)), address);
    }
}

struct SysCase {
  kf_u32 nr, abi, args_taken;
  kf_u64 a0, a1, a2, a3;
  kf_u32 words;
};

TEST(Wire, SyscallInFlightRoundTrip) {
  const SysCase cases[] = {
      {0, KF_ABI_NATIVE, KF_ARGS_NONE, 0, 0, 0, 0, 1},
      {1022, KF_ABI_NATIVE, KF_ARGS_0, 3, 0, 0, 0, 1},
      {202, KF_ABI_NATIVE, KF_ARGS_0123, 0x7fff12345678, 128, 2, 0x7fff00000000, 3},
      {0, KF_ABI_NATIVE, KF_ARGS_0, (1ull << 48) - 1, 0, 0, 0, 1},  // the last pointer that needs no further word
      {0, KF_ABI_NATIVE, KF_ARGS_0, 1ull << 48, 0, 0, 0, 2},        // five-level paging: 57-bit pointers do
      {0, KF_ABI_NATIVE, KF_ARGS_012, 0x00ffffffffffffff, 0xffffffff, 0xffffffff, 0, 3},
      {257, KF_ABI_NATIVE, KF_ARGS_0123, 0xffffffffffffff9c, 1, 2, ~0ull, 4},  // AT_FDCWD
      {1023, KF_ABI_NATIVE, KF_ARGS_NONE, 0, 0, 0, 0, 2},                      // numbers that need the escape
      {1023, KF_ABI_NATIVE, KF_ARGS_0, 0, 0, 0, 0, 2},
      {0xffffffff, KF_ABI_NATIVE, KF_ARGS_0123, ~0ull, 7, 8, 9, 4},
      {512, KF_ABI_X32, KF_ARGS_0, 5, 0, 0, 0, 1},
      {4, KF_ABI_COMPAT, KF_ARGS_012, 1, 0x80000000, 12, 0, 2},
  };
  for (const auto& c : cases) {
    kf_u64 words[4] = {};
    ASSERT_EQ(kf_put_sys(words, c.nr, c.abi, c.args_taken, c.a0, c.a1, c.a2, c.a3), c.words) << c.nr;
    EXPECT_EQ(kf_sys_words(words[0]), c.words);
    kf_sys sys{};
    kf_get_sys(words, &sys);
    EXPECT_EQ(sys.nr, c.nr);
    EXPECT_EQ(sys.abi, c.abi);
    EXPECT_EQ(sys.args_taken, c.args_taken);
    EXPECT_EQ(sys.args[0], c.a0);
    EXPECT_EQ(sys.args[1], c.a1);
    EXPECT_EQ(sys.args[2], c.a2);
    EXPECT_EQ(sys.args[3], c.a3);
  }
}

TEST(Wire, ArgumentsThatAreNotTakenDoNotTravel) {
  kf_u64 words[4] = {};
  EXPECT_EQ(kf_put_sys(words, 1, KF_ABI_NATIVE, KF_ARGS_NONE, ~0ull, ~0ull, ~0ull, ~0ull), 1u);
  kf_sys sys{};
  kf_get_sys(words, &sys);
  EXPECT_EQ(sys.args[0] | sys.args[1] | sys.args[2] | sys.args[3], 0u);
}

TEST(Wire, MiddleArgumentsKeepTheirLowHalf) {
  kf_u64 words[4] = {};
  kf_put_sys(words, 1, KF_ABI_NATIVE, KF_ARGS_012, 0, ~0ull, 0xabcdef0123456789, 0);
  kf_sys sys{};
  kf_get_sys(words, &sys);
  EXPECT_EQ(sys.args[1], 0xffffffffu);
  EXPECT_EQ(sys.args[2], 0x23456789u);
}

TEST(Wire, SwitchFieldsDoNotTouchEachOther) {
  const struct {
    kf_u32 next, state, preempt, iowait, throttled, nsw, follows;
  } cases[] = {{kMaxTid, 0, 0, 0, 0, 0, 0}, {0, 15, 0, 0, 0, 0, 0},        {0, 0, 1, 0, 0, 0, 0},
               {0, 0, 0, 1, 0, 0, 0},       {0, 0, 0, 0, 1, 0, 0},         {0, 0, 0, 0, 0, 255, 0},
               {0, 0, 0, 0, 0, 0, 7},       {kMaxTid, 15, 1, 1, 1, 255, 7}};
  for (const auto& c : cases) {
    const kf_u64 w = kf_pack_switch(KF_DT_MASK, c.next, c.state, c.preempt, c.iowait, c.throttled, c.nsw, c.follows);
    EXPECT_EQ(kf_word_kind(w), unsigned{KF_EV_SWITCH});
    EXPECT_EQ(kf_word_dt(w), KF_DT_MASK);
    EXPECT_EQ(kf_switch_next(w), c.next);
    EXPECT_EQ(kf_switch_state(w), c.state);
    EXPECT_EQ(kf_switch_preempt(w), c.preempt);
    EXPECT_EQ(kf_switch_iowait(w), c.iowait);
    EXPECT_EQ(kf_switch_throttled(w), c.throttled);
    EXPECT_EQ(kf_switch_nsw(w), c.nsw);
    EXPECT_EQ(kf_switch_follows(w), c.follows);
  }
  EXPECT_EQ(kf_switch_nsw(kf_pack_switch(0, 0, 0, 0, 0, 0, 0x12345, 0)), 0x45u) << "the counter's low bits";
  EXPECT_EQ(kf_switch_follows(kf_pack_switch(0, 0, 0, 0, 0, 0, 0x12345, 0)), 0u);
}

TEST(Wire, PrioWord) { EXPECT_EQ(kf_pack_prio(1, 139, 2, 6), 0x06028b01u); }

TEST(Wire, StateCodes) {
  EXPECT_EQ(kf_state_code(0), KF_ST_RUNNING);
  EXPECT_EQ(kf_state_code(1), KF_ST_SLEEP);
  EXPECT_EQ(kf_state_code(2), KF_ST_DISK);
  EXPECT_EQ(kf_state_code(0x102), KF_ST_KILLABLE);
  EXPECT_EQ(kf_state_code(0x402), KF_ST_IDLE);
  EXPECT_EQ(kf_state_code(4), KF_ST_STOPPED);
  EXPECT_EQ(kf_state_code(8), KF_ST_TRACED);
  EXPECT_EQ(kf_state_code(0x80), KF_ST_DEAD);
  EXPECT_EQ(kf_state_code(0x1000), KF_ST_RTLOCK);
  EXPECT_EQ(kf_state_code(0x40), KF_ST_PARKED);
  EXPECT_EQ(kf_state_code(0x200), KF_ST_WAKING);
  EXPECT_EQ(kf_state_code(0x2001), KF_ST_SLEEP) << "freezable";
  EXPECT_EQ(kf_state_code(0x8000), KF_ST_RUNNING) << "frozen only";
  EXPECT_EQ(kf_state_code(0x100000), KF_ST_OTHER);
}

TEST(Wire, WakingFieldsDoNotTouchEachOther) {
  const kf_u64 w = kf_pack_waking(KF_DT_MASK, kMaxTid, KF_CTX_NMI, 0, kMaxCpu);
  EXPECT_EQ(kf_word_kind(w), unsigned{KF_EV_WAKING});
  EXPECT_EQ(kf_word_dt(w), KF_DT_MASK);
  EXPECT_EQ(kf_waking_wakee(w), kMaxTid);
  EXPECT_EQ(kf_waking_ctx(w), KF_CTX_NMI);
  EXPECT_EQ(kf_waking_merged(w), 0u);
  EXPECT_EQ(kf_waking_cpu(w), kMaxCpu);
  const kf_u64 w2 = kf_pack_waking2(KF_WAKEUP_DELAY_MAX, KF_WAKER_NO_SYS, 139, 31, 0x1ffff, 2);
  EXPECT_EQ(kf_waking2_delay(w2), KF_WAKEUP_DELAY_MAX);
  EXPECT_EQ(kf_waking2_waker_nr(w2), KF_WAKER_NO_SYS);
  EXPECT_EQ(kf_waking2_prio(w2), 139u);
  EXPECT_EQ(kf_waking2_cause(w2), 31u);
  EXPECT_EQ(kf_waking2_detail(w2), 0x1ffffu);
  EXPECT_EQ(kf_waking2_cause_words(w2), 2u);
}

TEST(Wire, MergingAWakeupReplacesCpuAndDelayOnly) {
  const kf_u64 w = kf_merge_wakeup(kf_pack_waking(77, kMaxTid, KF_CTX_HARDIRQ, 0, kMaxCpu), 3);
  EXPECT_EQ(kf_word_dt(w), 77u);
  EXPECT_EQ(kf_waking_wakee(w), kMaxTid);
  EXPECT_EQ(kf_waking_ctx(w), KF_CTX_HARDIRQ);
  EXPECT_EQ(kf_waking_merged(w), 1u);
  EXPECT_EQ(kf_waking_cpu(w), 3u);
  const kf_u64 w2 = kf_merge_delay(kf_pack_waking2(0xfffff, 5, 100, 2, 3, 1), 0x1234);
  EXPECT_EQ(kf_waking2_delay(w2), 0x1234u);
  EXPECT_EQ(kf_waking2_waker_nr(w2), 5u);
  EXPECT_EQ(kf_waking2_prio(w2), 100u);
  EXPECT_EQ(kf_waking2_cause_words(w2), 1u);
}

TEST(Wire, WakeupFieldsDoNotTouchEachOther) {
  for (const kf_u32 flag : {0u, 1u}) {
    const kf_u64 w = kf_pack_wakeup(KF_DT_MASK, kMaxTid, kMaxCpu, flag, 1 - flag);
    EXPECT_EQ(kf_word_dt(w), KF_DT_MASK);
    EXPECT_EQ(kf_wakeup_wakee(w), kMaxTid);
    EXPECT_EQ(kf_wakeup_cpu(w), kMaxCpu);
    EXPECT_EQ(kf_wakeup_new(w), flag);
    EXPECT_EQ(kf_wakeup_throttled(w), 1 - flag);
  }
}

struct SyscallCase {
  kf_u64 dur;
  kf_s64 ret;
  kf_u32 words, follows;
};

TEST(Wire, FinishedSyscallTakesTheSmallestForm) {
  const SyscallCase cases[] = {
      {0, 0, 1, 0},
      {(1 << 14) - 1, -2048, 1, 0},
      {(1 << 14) - 1, 2047, 1, 0},
      {1 << 14, 0, 2, KF_SYSCALL_LONG},
      {5, -2049, 2, KF_SYSCALL_LONG},
      {5, 2048, 2, KF_SYSCALL_LONG},
      {(1ull << 32) - 1, -(1ll << 31), 2, KF_SYSCALL_LONG},
      {(1ull << 32) - 1, (1ll << 31) - 1, 2, KF_SYSCALL_LONG},
      {1ull << 32, 0, 3, KF_SYSCALL_WIDE},
      {5, 1ll << 31, 3, KF_SYSCALL_WIDE},
      {5, -(1ll << 31) - 1, 3, KF_SYSCALL_WIDE},
      {KF_DUR_UNKNOWN, -4, 3, KF_SYSCALL_WIDE},
  };
  for (const auto& c : cases) {
    kf_u64 out[3] = {};
    ASSERT_EQ(kf_put_syscall(out, 9, 1022, c.dur, c.ret, 1, 0), c.words) << c.dur << " " << c.ret;
    EXPECT_EQ(kf_word_kind(out[0]), unsigned{KF_EV_SYSCALL});
    EXPECT_EQ(kf_word_dt(out[0]), 9u);
    EXPECT_EQ(kf_syscall_nr(out[0]), 1022u);
    EXPECT_EQ(kf_syscall_blocked(out[0]), 1u);
    EXPECT_EQ(kf_syscall_follows(out[0]), c.follows);
    if (c.words == 1) {
      EXPECT_EQ(kf_syscall_dur(out[0]), c.dur);
      EXPECT_EQ(kf_syscall_ret(out[0]), c.ret);
    } else if (c.words == 2) {
      EXPECT_EQ(out[1] & 0xffffffff, c.dur);
      EXPECT_EQ(static_cast<kf_s32>(out[1] >> 32), c.ret);
    } else {
      EXPECT_EQ(out[1], c.dur);
      EXPECT_EQ(static_cast<kf_s64>(out[2]), c.ret);
    }
  }
}

TEST(Wire, ArgsFlagIsIndependentOfTheForm) {
  kf_u64 out[3] = {};
  kf_put_syscall(out, 0, 3, 5, 0, 0, 1);
  EXPECT_EQ(kf_syscall_follows(out[0]), KF_SYSCALL_ARGS);
  kf_put_syscall(out, 0, 3, 1ull << 40, 0, 0, 1);
  EXPECT_EQ(kf_syscall_follows(out[0]), KF_SYSCALL_ARGS | KF_SYSCALL_WIDE);
}

TEST(Wire, LongestEventFits) {
  EXPECT_LE(8, KF_EVENT_WORDS_MAX) << "SWITCH with call, time and priorities";
  EXPECT_LE(KF_EXEC_WORDS_MIN + KF_FILENAME_BYTES / 8, KF_EVENT_WORDS_MAX);
  EXPECT_LE(KF_EVENT_WORDS_MAX, 63) << "the length field of generic kinds";
}

}  // namespace
