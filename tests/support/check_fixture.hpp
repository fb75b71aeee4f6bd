// SPDX-License-Identifier: Apache-2.0
//
// check_fixture.hpp - for tests of `kflight check`: a dump of two CPUs that is being written down, and what is said of
// one invariant when it is checked. Each invariant is tried three times: it holds, it is broken, and the same break lies
// in a hole that the dump admits.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "analyze/check.hpp"
#include "support/dump_builder.hpp"

namespace kflight::test {

using analyze::check_dump;
using analyze::CheckReport;
using analyze::Evidence;
using analyze::InvariantReport;
using analyze::Verdict;

inline const InvariantReport& find(const CheckReport& report, std::string_view name) {
  for (const InvariantReport& one : report.invariants)
    if (one.name == name) return one;
  ADD_FAILURE() << "no invariant " << name;
  return report.invariants.front();
}

inline std::string said(const InvariantReport& report) {
  std::string out = fmt::format("{}: {} {} checked {} excused {}", report.name, verdict_name(report.verdict),
                                report.why_not, report.checked, report.excused);
  for (const Evidence& e : report.evidence) out += "\n  " + e.what;
  return out;
}

// A turn that begins in the window, of the thread that the CPU runs already: no waking of it can have come before.
inline ChunkBuilder& begin_turn(ChunkBuilder& cpu, kf_u32 tid, kf_u32 nsw = 255) {
  const SwitchOptions yields{.nsw = nsw};
  return cpu.after(200ns).switch_to(77, KF_ST_RUNNING, yields).after(200ns).switch_to(tid, KF_ST_RUNNING, yields);
}

class Check : public testing::Test {
 protected:
  // Checks the file as it is now. No other invariant than the expected ones may complain.
  InvariantReport check(std::string_view name, std::initializer_list<std::string_view> others = {}) {
    const CheckReport report = check_dump(file.dump());
    for (const InvariantReport& one : report.invariants) {
      const bool expected = one.name == name || std::ranges::find(others, one.name) != others.end();
      EXPECT_TRUE(expected || one.verdict != Verdict::kViolated) << said(one);
    }
    return find(report, name);
  }
  void expect_ok(std::string_view name) {
    const InvariantReport report = check(name);
    EXPECT_EQ(report.verdict, Verdict::kOk) << said(report);
    EXPECT_GT(report.checked, 0u);
  }
  void expect_violated(std::string_view name, std::string_view what,
                       std::initializer_list<std::string_view> others = {}) {
    const InvariantReport report = check(name, others);
    EXPECT_EQ(report.verdict, Verdict::kViolated) << said(report);
    ASSERT_FALSE(report.evidence.empty());
    EXPECT_THAT(report.evidence.front().what, testing::HasSubstr(what));
  }
  void expect_excused(std::string_view name, std::initializer_list<std::string_view> others = {}) {
    const InvariantReport report = check(name, others);
    EXPECT_NE(report.verdict, Verdict::kViolated) << said(report);
    EXPECT_GT(report.excused, 0u) << said(report);
  }
  // The recorder knows that it missed something somewhere between these times.
  void lose(Nanos from, Nanos to) {
    file.losses.push_back({.kind = KF_LOSS_RECURSION,
                           .lane = 0xffffffff,
                           .from_ns = kf_u64(from.count()),
                           .to_ns = kf_u64(to.count()),
                           .count = 1});
  }
  ChunkBuilder cpu0{0, {.start = 10us, .cur_tid = 5}};
  ChunkBuilder cpu1{1, {.start = 10us, .cur_tid = 6}};
  DumpBuilder file;

  void SetUp() override { file.window(10us, 10ms); }
};

}  // namespace kflight::test
