// SPDX-License-Identifier: Apache-2.0
//
// worked_example.hpp - the case docs and tests use: a client T reads a pipe until server S answers; S needs a mutex
// that H holds across an fsync; jbd2 writes for H to vda; hogs Z and Z' compete for CPUs 0 and 1. In microseconds after
// 1 ms:
//
//     T  runs to 1000, reads [1000,31000) until S writes, queues [31000,31200) behind Z, runs to 31500
//     S  woken by T at 900, queues behind M to 1200, runs to 2000, mutex [2000,22000) until H unlocks, queues behind Z'
//        to 26000, runs to 31000
//     H  runs to 2500, fsync [2500,20500) until jbd2 is done, waits for the idle CPU 2 to 20600, runs to 22000
//     J  woken at 2500, CPU 3 wakes up to 2600, runs to 3000, disk [3000,20300): queued 3000, issued 3100, done 20250;
//        CPU 3 wakes up to 20400, runs to 20500
#pragma once

#include "support/trace_builder.hpp"

namespace kflight::test {

struct WorkedExample {
  static constexpr std::uint32_t T = 100, S = 200, H = 300, J = 50, Z = 900, Z2 = 905, M = 901;
  static constexpr std::uint64_t kStartNs = 1'000'000;
  static constexpr std::uint64_t us(std::uint64_t t) { return kStartNs + t * 1000; }
  static constexpr std::uint64_t kVda = 254u << 20;

  static TraceBuilder trace() {
    constexpr std::uint64_t kMutex = 0x7f001040;
    TraceBuilder t;
    t.runs(0, T).runs(1, M).runs(2, H).runs(3, 0);
    t.sleeps(S, {.state = KF_ST_SLEEP, .call = "epoll_wait", .args = {5, 0, 64, ~0ULL}})
        .sleeps(J)
        .queued(Z, 0)
        .queued(Z2, 1);
    t.named(T, "T").named(S, "S").named(H, "H").named(J, "jbd2", KF_TASK_KTHREAD).named(Z, "Z").named(Z2, "Z'").named(M, "M");
    const std::uint32_t write =
        t.request({us(3000), us(3100), us(20250), model::kNoThread, static_cast<std::uint32_t>(kVda)});

    t.at(us(900)).cpu(0).waking(S).wakeup(S, 1);
    t.at(us(1000)).switch_to(Z, {.state = KF_ST_SLEEP, .call = "read", .enter_ns = us(1000), .args = {3}});
    t.at(us(1200)).cpu(1).switch_to(S, {.state = KF_ST_SLEEP, .call = "nanosleep"});
    t.at(us(2000)).switch_to(
        Z2, {.state = KF_ST_SLEEP, .call = "futex", .enter_ns = us(2000), .args = {kMutex, 128, 2, 0}});
    t.at(us(2500)).cpu(2).waking(J).wakeup(J, 3);
    t.switch_to(0, {.state = KF_ST_DISK, .call = "fsync", .enter_ns = us(2500), .args = {7}});
    t.at(us(2600)).cpu(3).switch_to(J);
    t.at(us(3000)).switch_to(0, {.state = KF_ST_DISK, .iowait = true});
    t.at(us(20300)).waking(J, {.ctx = KF_CTX_HARDIRQ, .cause = model::CauseKind::kBlock, .cause_ref = write});
    t.wakeup(J, 3);
    t.at(us(20400)).switch_to(J);
    t.at(us(20500)).waking(H).wakeup(H, 2).switch_to(0, {.state = KF_ST_SLEEP});
    t.at(us(20600)).cpu(2).switch_to(H).returns("fsync", us(2500), 0);
    t.at(us(22000)).waking(S).wakeup(S, 1);
    t.at(us(26000)).cpu(1).switch_to(S).returns("futex", us(2000), 0);
    t.at(us(31000)).waking(T).wakeup(T, 0);
    t.at(us(31200)).cpu(0).switch_to(T).returns("read", us(1000), 64);
    return t;
  }
};

}  // namespace kflight::test
