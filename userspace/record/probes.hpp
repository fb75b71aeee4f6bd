// SPDX-License-Identifier: Apache-2.0
//
// probes.hpp - every BPF program that is attached to a tracepoint, in one table: what it is attached to, when it is
// wanted, and what a recording loses on a kernel that lacks the tracepoint. A new program needs its line here.
#pragma once

#include <array>
#include <string_view>

namespace kflight::record {

enum class ProbeUse {
  kAlways,
  kSyscalls,  // only when the target's calls are timed (--syscalls slow or all)
};

struct Probe {
  const char* program;     // function name in bpf/
  const char* tracepoint;
  ProbeUse use;
  bool required;
  std::string_view lack;   // what a recording loses without it
};

inline constexpr std::array kProbes = {
    Probe{"kf_sched_process_fork", "sched_process_fork", ProbeUse::kAlways, true, "new threads stay nameless"},
    Probe{"kf_sched_process_exec", "sched_process_exec", ProbeUse::kAlways, false, "processes keep their old names"},
    Probe{"kf_sched_process_exit", "sched_process_exit", ProbeUse::kAlways, true, "ends of threads are not seen"},
    Probe{"kf_task_rename", "task_rename", ProbeUse::kAlways, false, "threads keep their old names"},
    Probe{"kf_sched_switch", "sched_switch", ProbeUse::kAlways, true, "nothing can be recorded"},
    Probe{"kf_sched_waking", "sched_waking", ProbeUse::kAlways, true, "nobody can say who woke whom"},
    Probe{"kf_sched_wakeup", "sched_wakeup", ProbeUse::kAlways, true, "the queue a thread waits on is not known"},
    Probe{"kf_sched_wakeup_new", "sched_wakeup_new", ProbeUse::kAlways, false,
          "the first wait of a new thread has no beginning"},
    Probe{"kf_sched_migrate_task", "sched_migrate_task", ProbeUse::kAlways, false,
          "moves of waiting threads between CPUs are not seen"},
    Probe{"kf_sys_enter", "sys_enter", ProbeUse::kSyscalls, true, "syscalls cannot be timed"},
    Probe{"kf_sys_exit", "sys_exit", ProbeUse::kSyscalls, true, "syscalls cannot be timed"},
};

}  // namespace kflight::record
