// SPDX-License-Identifier: Apache-2.0
//
// trigger_spec_test.cpp - what the trigger grammar takes, and the exact words it refuses the rest with.
#include "record/trigger_spec.hpp"

#include <gtest/gtest.h>

#include <random>

#include "support/calls.hpp"

namespace kflight::record {
namespace {

using test::nr;

TriggerRule parsed(std::string_view text) {
  auto rule = parse_trigger(text);
  EXPECT_TRUE(rule) << (rule ? "" : rule.error().what);
  return rule ? *rule : TriggerRule{};
}

std::string refusal(std::string_view text) {
  const auto rule = parse_trigger(text);
  if (rule) return "accepted as " + to_text(*rule);
  EXPECT_EQ(rule.error().code, Errc::kUsage);
  return rule.error().what;
}

TEST(TriggerSpec, AnyCallSlowerThan) {
  const auto rule = parsed("syscall>50ms");
  EXPECT_EQ(rule.kind, TriggerKind::kSyscall);
  EXPECT_TRUE(rule.calls.empty());
  EXPECT_EQ(rule.min_ns, 50'000'000u);
  EXPECT_EQ(rule.max_ns, UINT64_MAX);
  EXPECT_FALSE(rule.error_number);
  EXPECT_TRUE(rule.leaves_out_waits());
}

TEST(TriggerSpec, NamedCalls) {
  const auto rule = parsed("syscall:fsync,pwrite64,fsync>20ms");
  EXPECT_EQ(rule.calls, (std::vector{nr("fsync"), nr("pwrite64")}));
  EXPECT_FALSE(rule.leaves_out_waits());
}

TEST(TriggerSpec, BothBounds) {
  const auto rule = parsed("syscall:futex>1s<10s");
  EXPECT_EQ(rule.min_ns, 1'000'000'000u);
  EXPECT_EQ(rule.max_ns, 10'000'000'000u);
}

TEST(TriggerSpec, Errors) {
  EXPECT_EQ(parsed("syscall:read!EAGAIN").error_number, 11u);
  EXPECT_EQ(parsed("syscall!ENOSPC").error_number, 28u);
  EXPECT_FALSE(parsed("syscall!ETIMEDOUT").leaves_out_waits());
  const auto both = parsed("syscall:read!EAGAIN>5ms");
  EXPECT_EQ(both.error_number, 11u);
  EXPECT_EQ(both.min_ns, 5'000'000u);
  EXPECT_EQ(parsed("syscall:read>5ms!EAGAIN").error_number, 11u);
}

TEST(TriggerSpec, InFlight) {
  const auto rule = parsed("inflight:fsync,fdatasync>2s");
  EXPECT_EQ(rule.kind, TriggerKind::kInflight);
  EXPECT_EQ(rule.min_ns, 2'000'000'000u);
  EXPECT_EQ(rule.calls.size(), 2u);
  EXPECT_TRUE(parsed("inflight>2s").leaves_out_waits());
}

TEST(TriggerSpec, CanonicalTextParsesToTheSameRule) {
  EXPECT_EQ(to_text(parsed("syscall>1500ms")), "syscall>1500ms");
  EXPECT_EQ(to_text(parsed("syscall>60000ms")), "syscall>60s");
  EXPECT_EQ(to_text(parsed("syscall:read>5ms!EWOULDBLOCK")), "syscall:read!EAGAIN>5ms");
  EXPECT_EQ(to_text(parsed("syscall:read,read>0s")), "syscall:read>0s");
  EXPECT_EQ(to_text(parsed("inflight>2s<1h")), "inflight>2s<3600s");
  for (const auto* text : {"syscall>7ns", "syscall:futex>1s<10s", "syscall!EIO", "syscall:read!EAGAIN<2ms"})
    EXPECT_EQ(to_text(parsed(text)), text);
}

struct Refusal {
  std::string_view text;
  std::string_view message;
};

class TriggerRefused : public testing::TestWithParam<Refusal> {};

TEST_P(TriggerRefused, WithPlaceReasonAndAdvice) { EXPECT_EQ(refusal(GetParam().text), GetParam().message); }

INSTANTIATE_TEST_SUITE_P(
    Texts, TriggerRefused,
    testing::Values(Refusal{"sycall>50ms",
                            "bad trigger, column 1: unknown trigger 'sycall'; did you mean 'syscall'?\n"
                            "  sycall>50ms\n"
                            "  ^~~~~~"},
                    Refusal{"latency>50ms",
                            "bad trigger, column 1: unknown trigger 'latency'; there are 'syscall' and 'inflight'\n"
                            "  latency>50ms\n"
                            "  ^~~~~~~"},
                    Refusal{"", "bad trigger, column 1: expected 'syscall' or 'inflight', found the end\n  \n  ^"},
                    Refusal{">5ms", "bad trigger, column 1: expected 'syscall' or 'inflight', found '>'\n  >5ms\n  ^"},
                    Refusal{"syscall",
                            "bad trigger, column 8: expected '>' and a duration, or '!' and an error: when to fire\n"
                            "  syscall\n"
                            "         ^"},
                    Refusal{"syscall:>5ms",
                            "bad trigger, column 9: expected the name of a system call, found '>'\n"
                            "  syscall:>5ms\n"
                            "          ^"},
                    Refusal{"syscall:fsync,>5ms",
                            "bad trigger, column 15: expected the name of a system call, found '>'\n"
                            "  syscall:fsync,>5ms\n"
                            "                ^"},
                    Refusal{"syscall:fsnyc>5ms",
                            "bad trigger, column 9: unknown system call 'fsnyc'; did you mean 'fsync'?\n"
                            "  syscall:fsnyc>5ms\n"
                            "          ^~~~~"},
                    Refusal{"syscall:read!EAGIAN",
                            "bad trigger, column 14: unknown error 'EAGIAN'; did you mean 'EAGAIN'?\n"
                            "  syscall:read!EAGIAN\n"
                            "               ^~~~~~"},
                    Refusal{"syscall:read!>5ms",
                            "bad trigger, column 14: expected the name of an error such as EAGAIN, found '>'\n"
                            "  syscall:read!>5ms\n"
                            "               ^"},
                    Refusal{"syscall >5ms",
                            "bad trigger, column 8: expected ':', '>', '<' or '!', found ' '\n"
                            "  syscall >5ms\n"
                            "         ^"},
                    Refusal{"syscall:read;5ms",
                            "bad trigger, column 13: expected ',', '>', '<' or '!', found ';'\n"
                            "  syscall:read;5ms\n"
                            "              ^"},
                    Refusal{"syscall!EIO;",
                            "bad trigger, column 12: expected '>', '<' or '!', found ';'\n"
                            "  syscall!EIO;\n"
                            "             ^"},
                    Refusal{"syscall>5ms>6ms",
                            "bad trigger, column 12: '>' is given twice\n"
                            "  syscall>5ms>6ms\n"
                            "             ^"},
                    Refusal{"syscall>5s<5s",
                            "bad trigger, column 1: the upper bound is not above the lower bound: it can never fire\n"
                            "  syscall>5s<5s\n"
                            "  ^~~~~~~~~~~~~"},
                    Refusal{"syscall<5s",
                            "bad trigger, column 11: expected '>' and a duration, or '!' and an error: when to fire\n"
                            "  syscall<5s\n"
                            "            ^"},
                    Refusal{"inflight!EIO",
                            "bad trigger, column 9: a call that is still in flight has no result yet\n"
                            "  inflight!EIO\n"
                            "          ^"},
                    Refusal{"inflight>5us",
                            "bad trigger, column 1: calls in flight are looked at every few ms; use 'syscall>' for "
                            "less than 1ms\n"
                            "  inflight>5us\n"
                            "  ^~~~~~~~~~~~"}));

TEST(TriggerRefusal, OfABadDurationNamesItsColumn) {
  const auto message = refusal("syscall:read>50<1s");
  EXPECT_EQ(message.find("bad trigger, column 14: "), 0u) << message;
  EXPECT_NE(message.find("the unit is missing"), std::string::npos) << message;
  EXPECT_TRUE(message.ends_with("\n  syscall:read>50<1s\n               ^~")) << message;
}

TEST(TriggerRefusal, NamesWordsThatAreNotAvailableYet) {
  for (const std::string text : {"runq>10ms", "offcpu>200ms", "dstate>100ms", "parked>30s", "exit", "exit!=0",
                                 "signal:SEGV,ABRT", "threads>500", "rate:syscall>100k/s", "psi:cpu.some>20%/1s",
                                 "baseline:syscall.p99>3sigma", "uprobe:/path/bin:symbol", "every:60s"}) {
    const auto word = text.substr(0, text.find_first_of(":>!"));
    EXPECT_NE(refusal(text).find("trigger '" + word + "' is not available in this version"), std::string::npos) << text;
  }
}

TEST(TriggerRefusal, UnderlinesTheRightPlaceBehindUnprintableText) {
  EXPECT_TRUE(refusal("syscall\x1b[2J>5ms").ends_with("\n  syscall\\x1b[2J>5ms\n         ^~~~"));
  EXPECT_TRUE(refusal("syscall>\xc3\xa9!EIX").ends_with("\n  syscall>\xc3\xa9!EIX\n          ^"));
}

TEST(TriggerRefusal, OfOverlongTextStaysShort) {
  EXPECT_LT(refusal("syscall:" + std::string(100'000, 'a') + ">5ms").size(), 200u);
}

TEST(TriggerSpec, NeverCrashesAndRoundTripsWhatItTakes) {
  constexpr std::string_view kPieces[] = {"syscall", "inflight", ":",      ",",    ">",     "<",    "!",
                                          "5ms",     "1s",       "EAGAIN", "read", "fsync", "\x01", "9"};
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string text = round % 2 ? "syscall" : "";
    for (auto pieces = random() % 8; pieces > 0; --pieces) text += kPieces[random() % std::size(kPieces)];
    const auto rule = parse_trigger(text);
    if (!rule) continue;
    const auto again = parse_trigger(to_text(*rule));
    ASSERT_TRUE(again) << text;
    EXPECT_EQ(to_text(*again), to_text(*rule)) << text;
  }
}

}  // namespace
}  // namespace kflight::record
