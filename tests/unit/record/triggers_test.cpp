// SPDX-License-Identifier: Apache-2.0
//
// triggers_test.cpp - each trigger through fire and not fire: what the kernel gets to judge, what is left to userspace,
// calls in flight, and which firings get a dump.
#include "record/triggers.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "record/trigger_policy.hpp"
#include "support/calls.hpp"

namespace kflight::record {
namespace {

using namespace std::chrono_literals;
using test::nr;

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;

TriggerSet compiled(std::initializer_list<std::string> texts) {
  std::vector<TriggerSpec> specs;
  for (const auto& text : texts) specs.push_back({text});
  auto set = TriggerSet::compile(specs);
  EXPECT_TRUE(set) << (set ? "" : set.error().what);
  return set ? *std::move(set) : TriggerSet{};
}

std::unique_ptr<kf_config> filled(const TriggerSet& set) {
  auto config = std::make_unique<kf_config>();
  set.fill(*config);
  return config;
}

// What matching_rules() of the BPF side does with the configuration.
std::uint32_t kernel_matches(const kf_config& config, std::uint32_t call, std::uint64_t duration_ns, std::int64_t ret) {
  std::uint32_t rules = 0;
  for (std::uint32_t i = 0; i < config.n_rules; ++i) {
    const auto& rule = config.rules[i];
    const bool applies = config.rules_of_nr[call] >> i & 1;
    const bool matches =
        duration_ns >= rule.min_ns && duration_ns < rule.max_ns && (!rule.match_ret || ret == rule.ret);
    rules |= static_cast<std::uint32_t>(applies && matches) << i;
  }
  return rules;
}

struct Call {
  std::string_view name;
  std::uint64_t duration_ns;
  std::int64_t ret = 0;
  std::array<std::uint64_t, 6> args = {};
};

// Kernel and userspace together.
std::optional<std::size_t> fires(const TriggerSet& set, const Call& call) {
  kf_ctl record{.type = KF_CTL_SYSCALL, .nr = nr(call.name), .ret = call.ret};
  std::copy(call.args.begin(), call.args.end(), record.args);
  record.rules = kernel_matches(*filled(set), record.nr, call.duration_ns, call.ret);
  const auto matches = set.match(record);
  return matches.empty() ? std::nullopt : std::optional(matches.front());
}

constexpr std::array<std::uint64_t, 6> kLockWait = {0x7f00, 128, 2, 0}, kTimedWait = {0x7f00, 128, 2, 0x7ffe};

TEST(TriggerSet, AnySlowCallButThoseThatWaitByPurpose) {
  const auto set = compiled({"syscall>50ms"});
  EXPECT_TRUE(fires(set, {"fsync", 50 * kMs}));
  EXPECT_FALSE(fires(set, {"fsync", 50 * kMs - 1}));
  EXPECT_TRUE(fires(set, {"recvfrom", 60 * kMs}));
  EXPECT_FALSE(fires(set, {"epoll_wait", 10 * kSecond}));
  EXPECT_FALSE(fires(set, {"clock_nanosleep", 10 * kSecond}));
  EXPECT_TRUE(fires(set, {"futex", 60 * kMs, 0, kLockWait}));
  EXPECT_FALSE(fires(set, {"futex", 60 * kMs, 0, kTimedWait}));
}

TEST(TriggerSet, NamedCallsFireWhateverTheyAre) {
  const auto set = compiled({"syscall:epoll_wait,futex>1s<10s"});
  EXPECT_TRUE(fires(set, {"epoll_wait", kSecond}));
  EXPECT_TRUE(fires(set, {"futex", 2 * kSecond, 0, kTimedWait}));
  EXPECT_FALSE(fires(set, {"futex", 10 * kSecond}));
  EXPECT_FALSE(fires(set, {"fsync", 2 * kSecond}));
}

TEST(TriggerSet, ErrorsMatchExactly) {
  const auto set = compiled({"syscall:read!EAGAIN", "syscall:write!ENOSPC>5ms"});
  EXPECT_EQ(fires(set, {"read", 1, -11}), 0u);
  EXPECT_FALSE(fires(set, {"read", 1, 11}));
  EXPECT_FALSE(fires(set, {"read", kSecond, 0}));
  EXPECT_EQ(fires(set, {"write", 5 * kMs, -28}), 1u);
  EXPECT_FALSE(fires(set, {"write", 4 * kMs, -28}));
}

TEST(TriggerSet, ARejectedFirstRuleDoesNotHideTheSecond) {
  const auto set = compiled({"syscall>50ms", "inflight>2s", "syscall:futex>100ms"});
  EXPECT_FALSE(fires(set, {"futex", 60 * kMs, 0, kTimedWait}));
  EXPECT_EQ(fires(set, {"futex", 200 * kMs, 0, kTimedWait}), 2u);
  EXPECT_EQ(fires(set, {"futex", 200 * kMs, 0, kLockWait}), 0u);
}

TEST(TriggerSet, WithoutTriggersTheKernelHasNoRules) {
  const auto set = compiled({});
  EXPECT_EQ(filled(set)->n_rules, 0u);
  EXPECT_FALSE(set.need_syscalls());
  EXPECT_EQ(set.scan_interval(), 0ns);
}

TEST(TriggerSet, RefusesWhatTheKernelSideCannotHold) {
  std::vector<TriggerSpec> specs;
  for (int i = 1; i <= KF_RULES_MAX + 1; ++i) specs.push_back({"syscall>" + std::to_string(i) + "ms"});
  const auto set = TriggerSet::compile(specs);
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().code, Errc::kUsage);
  EXPECT_TRUE(TriggerSet::compile(std::span(specs).first(KF_RULES_MAX)));
}

TEST(TriggerSet, RefusesTheSameTriggerTwiceAndBadOnes) {
  const auto twice = TriggerSet::compile(std::vector<TriggerSpec>{{"syscall>1s"}, {"syscall>1000ms"}});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().what, "trigger 'syscall>1s' is given twice; leave one out");
  EXPECT_FALSE(TriggerSet::compile(std::vector<TriggerSpec>{{"sycall>1s"}}));
}

kf_open_call in_flight(std::string_view name, std::uint32_t tid, std::uint64_t enter_ns) {
  return {.tid = tid, .tgid = 1, .nr = nr(name), .abi = KF_ABI_NATIVE, .enter_ns = enter_ns};
}

const InflightScan::Complete kNothingToAdd = [](kf_open_call&) { return true; };

TEST(InflightScan, FiresOncePerCall) {
  const auto set = compiled({"syscall>1ms", "inflight>2s"});
  InflightScan scan(set);
  const std::vector calls = {in_flight("fsync", 5, 10 * kSecond)};
  EXPECT_TRUE(scan.scan(calls, 12 * kSecond - 1, kNothingToAdd).empty());
  const auto hits = scan.scan(calls, 12 * kSecond, kNothingToAdd);
  ASSERT_EQ(hits.size(), 1u);
  EXPECT_THAT(hits[0].triggers, testing::ElementsAre(1u));
  EXPECT_EQ(hits[0].call.tid, 5u);
  EXPECT_TRUE(scan.scan(calls, 13 * kSecond, kNothingToAdd).empty());
  const std::vector next = {in_flight("fsync", 5, 13 * kSecond)};
  EXPECT_EQ(scan.scan(next, 15 * kSecond, kNothingToAdd).size(), 1u);
}

TEST(InflightScan, EachTriggerHasItsTurn) {
  const auto set = compiled({"inflight>1s", "inflight>60s"});
  InflightScan scan(set);
  const std::vector calls = {in_flight("fsync", 5, 1)};
  const auto first = scan.scan(calls, 2 * kSecond, kNothingToAdd);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_THAT(first[0].triggers, testing::ElementsAre(0u));
  EXPECT_TRUE(scan.scan(calls, 59 * kSecond, kNothingToAdd).empty());
  const auto second = scan.scan(calls, 61 * kSecond, kNothingToAdd);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_THAT(second[0].triggers, testing::ElementsAre(1u));
  EXPECT_TRUE(scan.scan(calls, 99 * kSecond, kNothingToAdd).empty());
}

TEST(InflightScan, LeavesOutCallsThatWaitByPurpose) {
  const auto plain = compiled({"inflight>2s"}), named = compiled({"inflight:epoll_wait,futex>2s"});
  const std::vector calls = {in_flight("epoll_wait", 5, 1), in_flight("futex", 6, 1)};
  const auto timed = [](kf_open_call& call) {
    std::copy(kTimedWait.begin(), kTimedWait.end(), call.args);
    return true;
  };
  EXPECT_TRUE(InflightScan(plain).scan(calls, 9 * kSecond, timed).empty());
  EXPECT_EQ(InflightScan(plain).scan(calls, 9 * kSecond, kNothingToAdd).size(), 1u);
  EXPECT_EQ(InflightScan(named).scan(calls, 9 * kSecond, timed).size(), 2u);
}

TEST(InflightScan, CompletesOnlyOldCallsAndEachOnce) {
  const auto set = compiled({"inflight>2s"});
  InflightScan scan(set);
  int completed = 0;
  const auto complete = [&](kf_open_call& call) {
    ++completed;
    std::copy(kTimedWait.begin(), kTimedWait.end(), call.args);
    return true;
  };
  const std::vector calls = {in_flight("futex", 5, 1), in_flight("futex", 6, 9 * kSecond)};
  scan.scan(calls, 10 * kSecond, complete);
  scan.scan(calls, 10 * kSecond + kMs, complete);
  EXPECT_EQ(completed, 1);
}

TEST(InflightScan, ForgetsACallThatReturnedMeanwhile) {
  const auto set = compiled({"inflight>2s"});
  InflightScan scan(set);
  EXPECT_TRUE(
      scan.scan(std::vector{in_flight("fsync", 5, 1)}, 9 * kSecond, [](kf_open_call&) { return false; }).empty());
}

TEST(InflightScan, UsesTheLowerBoundWhenTheEntryWasNotSeen) {
  const auto set = compiled({"inflight>2s"});
  auto call = in_flight("fsync", 5, 0);
  EXPECT_TRUE(set.match(call, 9 * kSecond).empty());
  call.since_ns = 5 * kSecond;
  EXPECT_FALSE(set.match(call, 9 * kSecond).empty());
  call.since_ns = 10 * kSecond;
  EXPECT_TRUE(set.match(call, 9 * kSecond).empty());
}

TEST(TriggerSet, ACallMeetsEveryTriggerThatIsAboutIt) {
  const auto set = compiled({"syscall>10ms", "syscall:read>1ms", "syscall:fsync>5s"});
  kf_ctl record{.type = KF_CTL_SYSCALL, .nr = nr("fsync")};
  record.rules = kernel_matches(*filled(set), record.nr, 6 * kSecond, 0);
  EXPECT_THAT(set.match(record), testing::ElementsAre(0u, 2u));
}

TEST(TriggerSet, ScansAQuarterOfTheShortestBound) {
  EXPECT_EQ(compiled({"inflight>2s"}).scan_interval(), 500ms);
  EXPECT_EQ(compiled({"inflight>2s", "inflight:fsync>100ms"}).scan_interval(), 25ms);
  EXPECT_EQ(compiled({"inflight>1ms"}).scan_interval(), 5ms);
  EXPECT_EQ(compiled({"inflight>1h"}).scan_interval(), 1s);
}

TEST(TriggerPolicy, FiringsBeforeTheWritingBelongToThePendingDump) {
  TriggerPolicy policy({.cooldown = 30s});
  EXPECT_EQ(policy.fire(1 * kSecond, {"a"}), Verdict::kDump);
  EXPECT_EQ(policy.fire(1 * kSecond + 1, {"a"}), Verdict::kMerged);
  EXPECT_EQ(policy.fire(1 * kSecond + 2, {"b"}), Verdict::kMerged);
  policy.fire_more(5);
  EXPECT_EQ(policy.begin_writing(), 7u);
  EXPECT_EQ(policy.fire(2 * kSecond, {"a"}), Verdict::kCooldown);
  policy.finish(3 * kSecond, {"a"}, true);
  EXPECT_EQ(policy.fire(33 * kSecond - 1, {"a"}), Verdict::kCooldown);
  EXPECT_EQ(policy.fire(33 * kSecond, {"a"}), Verdict::kDump);
  EXPECT_EQ(policy.begin_writing(), 0u);
  const auto& counts = policy.counts();
  EXPECT_EQ(counts.fired, 11u);
  EXPECT_EQ(counts.merged, 7u);
  EXPECT_EQ(counts.suppressed, 2u);
  EXPECT_EQ(counts.dumps, 1u);
}

// A trigger that fires all the time must not keep the dumps of another from being written.
TEST(TriggerPolicy, CooldownIsThatOfOneTrigger) {
  TriggerPolicy policy({.cooldown = 30s});
  EXPECT_EQ(policy.fire(1, {"often"}), Verdict::kDump);
  policy.begin_writing();
  EXPECT_EQ(policy.fire(2, {"often"}), Verdict::kCooldown);
  EXPECT_EQ(policy.fire(2, {"rarely"}), Verdict::kDump);  // while the other one's is written
  policy.finish(3, {"often"}, true);
  EXPECT_EQ(policy.fire(4, {"often"}), Verdict::kMerged);
  EXPECT_EQ(policy.begin_writing(), 1u);
  policy.finish(10 * kSecond, {"rarely"}, true);
  EXPECT_EQ(policy.fire(31 * kSecond, {"rarely"}), Verdict::kCooldown);
  EXPECT_EQ(policy.fire(31 * kSecond, {"often"}), Verdict::kDump);
}

TEST(TriggerPolicy, ACallThatMeetsSeveralTriggersIsOneFiringAndItsDumpIsTheirs) {
  TriggerPolicy policy({.cooldown = 30s});
  EXPECT_EQ(policy.fire(1, {"often"}), Verdict::kDump);
  policy.begin_writing();
  policy.finish(2, {"often"}, true);
  EXPECT_EQ(policy.fire(3, {"often", "rarely"}), Verdict::kDump);
  EXPECT_EQ(policy.begin_writing(), 0u);
  policy.finish(4, {"often", "rarely"}, true);
  EXPECT_EQ(policy.fire(5, {"rarely"}), Verdict::kCooldown);
  EXPECT_EQ(policy.counts().fired, 3u);
}

// The first of two dumps that are one trigger's does not end its wait for the second.
TEST(TriggerPolicy, WhileADumpOfATriggerIsOnItsWayItStartsNoOther) {
  TriggerPolicy policy({.cooldown = 1s});
  EXPECT_EQ(policy.fire(1, {"often"}), Verdict::kDump);
  policy.begin_writing();
  EXPECT_EQ(policy.fire(2, {"often", "rarely"}), Verdict::kDump);
  policy.begin_writing();
  policy.finish(3, {"often"}, true);
  EXPECT_FALSE(policy.is_free(5 * kSecond, "often"));
  policy.finish(6 * kSecond, {"often", "rarely"}, true);
  EXPECT_FALSE(policy.is_free(7 * kSecond - 1, "often"));
  EXPECT_TRUE(policy.is_free(7 * kSecond, "often"));
}

TEST(TriggerPolicy, FiringsTheKernelMergedGetWhatTheOneBeforeThemGot) {
  TriggerPolicy policy({.cooldown = 30s});
  EXPECT_EQ(policy.fire(1, {"a"}), Verdict::kDump);
  policy.fire_more(3);
  EXPECT_EQ(policy.begin_writing(), 3u);
  policy.fire_more(4);  // too late to be told with it
  policy.finish(2, {"a"}, true);
  policy.fire_more(5);
  EXPECT_EQ(policy.counts().fired, 13u);
  EXPECT_EQ(policy.counts().merged, 3u);
  EXPECT_EQ(policy.counts().suppressed, 9u);
  EXPECT_EQ(policy.fire(60 * kSecond, {"a"}), Verdict::kDump);
  EXPECT_EQ(policy.begin_writing(), 0u);
}

TEST(TriggerPolicy, NothingStartsADumpOnceItIsClosed) {
  TriggerPolicy policy({});
  EXPECT_EQ(policy.fire(1, {"a"}), Verdict::kDump);
  policy.close();
  EXPECT_EQ(policy.fire(2, {"a"}), Verdict::kMerged);
  EXPECT_EQ(policy.begin_writing(), 1u);
  policy.finish(3, {"a"}, true);
  EXPECT_EQ(policy.fire(4, {"a"}), Verdict::kEnough);
  EXPECT_FALSE(policy.exhausted());
}

TEST(TriggerPolicy, StopsAfterMaxDumpsButFailuresDoNotCount) {
  TriggerPolicy policy({.cooldown = 1s, .max_dumps = 1});
  EXPECT_EQ(policy.fire(0, {"a"}), Verdict::kDump);
  policy.begin_writing();
  policy.finish(0, {"a"}, false);
  EXPECT_FALSE(policy.exhausted());
  EXPECT_EQ(policy.fire(kSecond - 1, {"a"}), Verdict::kCooldown);
  EXPECT_EQ(policy.fire(kSecond, {"a"}), Verdict::kDump);
  policy.begin_writing();
  EXPECT_EQ(policy.fire(kSecond, {"b"}), Verdict::kEnough);  // the one that is written is the last
  policy.finish(kSecond, {"a"}, true);
  EXPECT_TRUE(policy.exhausted());
  EXPECT_EQ(policy.fire(100 * kSecond, {"a"}), Verdict::kEnough);
  EXPECT_EQ(policy.counts().failures, 1u);
}

}  // namespace
}  // namespace kflight::record
