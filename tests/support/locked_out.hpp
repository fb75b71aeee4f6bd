// SPDX-License-Identifier: Apache-2.0
//
// locked_out.hpp - a dump with stacks, and what explain says of it: a thread waits for another one that computes, with
// samples, and then sleeps in the kernel.
#pragma once

#include <string>

#include "analyze/explain_analysis.hpp"
#include "support/dump_builder.hpp"

namespace kflight::test {

inline constexpr kf_u32 kAsker = 10, kHolder = 11;
inline constexpr kf_u64 kAskerStack = 1, kHolderStack = 2, kKernelStack = 3, kComputing = 4, kElsewhere = 5;

// The asker waits for a lock; its holder computes for 2 ms, then sleeps in the kernel for 3 ms, then wakes the asker.
struct LockedOut {
  DumpBuilder file;

  explicit LockedOut(bool with_stacks, const std::string& program = "app") {
    ChunkBuilder lane(0, {.start = 1ms, .cur_tid = kAsker});
    lane.at(1ms).switch_to(kHolder, KF_ST_SLEEP, {.nsw = 1, .sys = call(202, {0x1000})});
    if (with_stacks) lane.stack(kAsker, KF_STACK_BLOCK, 0, kAskerStack);
    for (int i = 0; with_stacks && i < 10; ++i)
      lane.at(1100us + i * 100us).stack(kHolder, KF_STACK_SAMPLE, 0, i == 3 ? kElsewhere : kComputing);
    lane.at(3ms).switch_to(0, KF_ST_DISK, {.nsw = 1, .sys = call(87, {0})});
    if (with_stacks) lane.stack(kHolder, KF_STACK_BLOCK, kKernelStack, kHolderStack);
    lane.at(6ms).woken(kHolder, {.cpu = 0, .ctx = KF_CTX_HARDIRQ});
    lane.after(1us).switch_to(kHolder, KF_ST_RUNNING);
    lane.after(1us).woken(kAsker, {.cpu = 0});
    lane.after(1us).switch_to(kAsker, KF_ST_SLEEP, {.nsw = 2});
    lane.at(7ms).switch_to(0, KF_ST_SLEEP, {.nsw = 2});
    file.add(lane.build()).window(1ms, 8ms).task(kAsker, "asker", 8ms).task(kHolder, "holder", 8ms);
    file.tasks[1].tgid = kAsker;
    file.mapped_file(0, "/usr/bin/" + program, {});
    file.mappings.push_back({.tgid = kAsker, .file = 0, .begin = 0x1000, .end = 0x9000, .offset = 0x1000});
    file.stack(kAskerStack, kAsker, {0x1111})
        .stack(kHolderStack, kAsker, {0x2222})
        .stack(kComputing, kAsker, {0x3333})
        .stack(kElsewhere, kAsker, {0x4444})
        .stack(kKernelStack, 0, {0xffffffff81000010, 0xffffffff81000110});
    file.kernel_symbol(0xffffffff81000000, 0xffffffff81000100, "__schedule")
        .kernel_symbol(0xffffffff81000100, 0xffffffff81000200, "down_write");
  }

  analyze::Report report() {
    auto opened = Dump::from_bytes(bytes_ = file.file());
    EXPECT_TRUE(opened);
    const model::Trace trace(*std::move(opened));
    analyze::AnalysisOptions options;
    options.choice = {.tid = kAsker, .from_ns = 1'000'000, .to_ns = 6'500'000, .op = {}};
    auto answer = analyze::run_explain(trace, options);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().what);
    return answer ? *std::move(answer) : analyze::Report{};
  }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace kflight::test
