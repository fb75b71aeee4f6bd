// SPDX-License-Identifier: Apache-2.0
//
// The invariants that speak of states: that they hold, what they say when they do not, and that nothing damaged makes
// them complain.
#include "analyze/timeline_check.hpp"

#include <gmock/gmock.h>

#include <algorithm>

#include "support/dump_builder.hpp"
#include "support/trace_builder.hpp"

namespace kflight::analyze {
namespace {

using namespace std::chrono_literals;
using test::ChunkBuilder;
using test::DumpBuilder;
using testing::HasSubstr;

CheckReport check_bytes(std::span<const std::byte> bytes, const CheckOptions& options = {}) {
  auto dump = Dump::from_bytes(bytes);
  EXPECT_TRUE(dump);
  return check_trace(model::Trace(*std::move(dump)), options);
}

const InvariantReport& find(const CheckReport& report, std::string_view name) {
  const auto found = std::ranges::find(report.invariants, name, &InvariantReport::name);
  EXPECT_NE(found, report.invariants.end()) << name;
  return *found;
}

// 5 forks 9, which queues for 100 us, runs for 1 ms, and sleeps from then on.
class KernelTimes : public testing::Test {
 protected:
  KernelTimes() {
    file.window(10us, 100ms).task(9, "nine", 50ms, 1, 11us);
    file.tasks.back().state = KF_ST_SLEEP;
    kernel().run_ns = 1'000'000;
    kernel().run_delay_ns = 100'000;
    kernel().run_count = 1;
    ChunkBuilder cpu{0, {.start = 10us, .cur_tid = 5}};
    cpu.after(1us).fork(5, 9, 9, {.start_ns = 11'000}).wakeup(9, 0);
    file.add(cpu.after(100us)
                 .switch_to(9, KF_ST_RUNNING, {.nsw = 1})
                 .after(1ms)
                 .switch_to(5, KF_ST_SLEEP, {.nsw = 1})
                 .build());
  }
  kf_task& kernel() { return file.tasks.back(); }
  InvariantReport report() { return find(check_bytes(file.file()), "kernel-times"); }

  DumpBuilder file;
};

TEST_F(KernelTimes, Agree) {
  const InvariantReport one = report();
  EXPECT_EQ(one.verdict, Verdict::kOk) << (one.evidence.empty() ? one.why_not : one.evidence[0].what);
  EXPECT_EQ(one.checked, 1u);
}

TEST_F(KernelTimes, MoreRunTimeThanSeen_IsViolated) {
  kernel().run_ns = 3'200'000;
  EXPECT_THAT(report().evidence.at(0).what,
              HasSubstr("ran or waited for a CPU 3.3 ms since its birth says the kernel, 1.1 ms"));
}

TEST_F(KernelTimes, LessRunTimeThanSeen_IsARemark) {
  kernel().run_ns = 900'000;
  EXPECT_EQ(report().verdict, Verdict::kOk);
  EXPECT_EQ(report().remarks.at(0).count, 100u);
}

TEST_F(KernelTimes, MoreTimeInTheQueueThanSeen_IsViolated) {
  kernel().run_delay_ns = 2'500'000;
  EXPECT_THAT(report().evidence.at(0).what, HasSubstr("waited for a CPU"));
  kernel().run_delay_ns = 1'500'000;
  kernel().run_ns = 400'000;
  EXPECT_THAT(report().evidence.at(0).what, HasSubstr("waited for a CPU 1.5 ms"));
}

// Between the kernel's look at its clock and ours a hypervisor ran something else.
TEST_F(KernelTimes, CpuTakenAwayAtASwitch_IsOk) {
  kernel().run_delay_ns = 900'000;
  EXPECT_EQ(report().verdict, Verdict::kOk);
}

// The kernel's clock stood still between the enqueue and the switch.
TEST_F(KernelTimes, WaitingCountedAsRunning_IsOk) {
  kernel().run_delay_ns = 0;
  kernel().run_ns = 1'100'000;
  EXPECT_EQ(report().verdict, Verdict::kOk);
}

// To the kernel whoever is out of CPU quota still waits for a CPU.
TEST_F(KernelTimes, OutOfQuotaCountsAsWaiting) {
  ChunkBuilder cpu{0, {.start = 2ms, .cur_tid = 5, .seq = 1, .events_before = 4}};
  file.add(cpu.woken(9)
               .after(1us)
               .switch_to(9, KF_ST_RUNNING, {.nsw = 2})
               .after(1us)
               .switch_to(5, KF_ST_RUNNING, {.preempt = true, .throttled = true, .nsw = 2})
               .after(20ms)
               .switch_to(9, KF_ST_RUNNING, {.nsw = 3})
               .after(1us)
               .switch_to(5, KF_ST_SLEEP, {.nsw = 3})
               .build());
  kernel().run_delay_ns += 20'000'000;
  kernel().run_count = kernel().nvcsw = 3;
  EXPECT_EQ(report().verdict, Verdict::kOk);
  EXPECT_EQ(report().checked, 1u);
}

TEST_F(KernelTimes, MoreTurnsThanSeen_IsViolated) {
  kernel().run_count = 2;
  EXPECT_THAT(report().evidence.at(0).what, HasSubstr("came to a CPU 2 times"));
}

TEST_F(KernelTimes, LossSinceTheBirth_IsExcused) {
  kernel().run_ns = 5'000'000;
  file.losses.push_back(
      {.kind = KF_LOSS_RECURSION, .lane = 0xffffffff, .from_ns = 20'000, .to_ns = 30'000, .count = 1});
  EXPECT_EQ(report().verdict, Verdict::kNotApplicable);
  EXPECT_EQ(report().excused, 1u);
}

TEST(TimelineCheck, ExplanationsCanBeLeftOut) {
  DumpBuilder file;
  ChunkBuilder cpu{0, {.start = 10us, .cur_tid = 5}};
  file.window(10us, 1ms).add(cpu.after(1us).switch_to(7, KF_ST_SLEEP, {.nsw = 1}).build());
  const auto bytes = file.file();
  EXPECT_EQ(find(check_bytes(bytes), "explanations").checked, 1000u);
  EXPECT_EQ(find(check_bytes(bytes, {.explanations = 7}), "explanations").checked, 7u);
  EXPECT_EQ(find(check_bytes(bytes, {.explanations = 0}), "explanations").verdict, Verdict::kNotApplicable);
}

// Two CPUs with threads that wake each other, in some chunks, as a file.
std::vector<std::byte> busy_file() {
  DumpBuilder file;
  ChunkBuilder cpus[] = {{0, {.start = 10us, .cur_tid = 5}}, {1, {.start = 10us, .cur_tid = 6}}};
  kf_u32 switches = 0;
  for (int chunk = 0; chunk < 8; ++chunk) {
    ++switches;
    for (kf_u32 c : {0u, 1u}) {
      const kf_u32 own = 5 + c;
      file.add(cpus[c]
                   .after(40us)
                   .switch_to(0, KF_ST_SLEEP, {.nsw = switches})
                   .after(30us)
                   .woken(own, {.cpu = c, .ctx = KF_CTX_HARDIRQ})
                   .after(3us)
                   .switch_to(own, KF_ST_RUNNING, {.nsw = switches})
                   .build());
    }
  }
  file.window(10us, 700us);
  return file.file();
}

TEST(TimelineCheck, DamagedFiles_OnlyTheFileIsViolated) {
  const auto whole = busy_file();
  EXPECT_FALSE(check_bytes(whole).violated());
  for (std::size_t at = sizeof(kf_dump_header); at < whole.size(); at += 5) {
    auto cut = whole;
    cut.resize(at);
    auto flipped = whole;
    flipped[at] ^= std::byte{0x10};
    for (const auto& bytes : {cut, flipped})
      for (const InvariantReport& one : check_bytes(bytes, {.explanations = 20}).invariants)
        EXPECT_TRUE(one.verdict != Verdict::kViolated || one.name == "file-complete")
            << one.name << " at " << at << ": " << one.evidence[0].what;
    if (HasFailure()) return;
  }
}

TEST(TimelineCheck, UnknownBecauseOfTheScope_IsNoViolation) {
  for (const char* scope : {"target", "system"}) {
    test::TraceBuilder t;
    t.runs(0, 7).runs(1, 8).named(7, "seven", KF_TASK_TARGET).named(8, "eight");
    t.at(10'000).cpu(0).switch_to(0, {.state = KF_ST_SLEEP}).at(50'000).cpu(1).waking(7).wakeup(7, 0);
    t.cpu(0).switch_to(7);
    DumpMeta meta;
    meta.config.scope = scope;
    const auto reports = check_timeline(model::Trace(t.timeline(1'000, 100'000), meta));
    const auto found = std::ranges::find(reports, "explanations", &InvariantReport::name);
    ASSERT_NE(found, reports.end());
    EXPECT_EQ(found->verdict, Verdict::kOk) << (found->evidence.empty() ? "" : found->evidence[0].what);
    EXPECT_EQ(found->remarks.empty(), meta.config.scope == "system");
  }
}

}  // namespace
}  // namespace kflight::analyze
