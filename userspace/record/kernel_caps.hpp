// SPDX-License-Identifier: Apache-2.0
//
// kernel_caps.hpp - what this kernel offers, read from its BTF: never from its version number, because distributions
// backport. Decides which programs load and which arguments they may read. Every feature can be left out on request, so
// that a recording without it can be tried on a kernel that has it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kflight/result.hpp"

namespace kflight::record {

// The kernels scripts/vmtest.sh boots. Words for people: nothing is decided by them.
inline constexpr std::string_view kOldestTested = "5.10", kNewestTested = "7.3";

struct KernelCaps {
  bool switch_has_prev_state = false;  // sched_switch passes prev_state (5.18)
  bool has_task_pt_regs = false;       // bpf_task_pt_regs (5.15)
  bool has_throttled = false;          // task_struct.throttled (6.18)
  bool has_blocked_on = false;         // task_struct.blocked_on (6.18), and mutexes have an owner (not with PREEMPT_RT)
  bool has_rt_mutexes = false;         // all mutexes are rt_mutexes (PREEMPT_RT)
  bool softirqs_are_threads = false;   // PREEMPT_RT
  bool has_throttle_count = false;     // cfs_rq.throttle_count: quotas before task_struct.throttled
  bool block_has_queue = false;        // block_rq_insert passes the queue first (until 5.10)
  bool has_rdonly_cast = false;        // bpf_rdonly_cast (6.2)
  bool has_compare_and_swap = false;   // atomic operations with a result (5.12)
  bool preemptible = false;            // programs at system calls may be preempted (7.0), and can forbid it
  bool has_task_btf = false;           // bpf_get_current_task_btf (5.11)
  bool has_rt_mutex_owner = false;     // rt_mutex_base.owner, before 5.15 rt_mutex.owner
  bool has_stacks = false;             // perf events are built in: they walk stacks and take samples
  bool has_preempt_count = false;      // a waker's context can be read
  std::int64_t preempt_count_delta = 0;  // see kf_config
  std::uint32_t hardirq_shift = 16;      // 24 since 7.3
  bool has_current_task = false;         // the running task is found without a helper call
  std::int64_t current_task_delta = 0;   // see kf_config
  std::vector<std::string> tracepoints;  // of those kflight knows, the ones this kernel has
  std::vector<std::string> left_out;     // ids of features that are there and not to be used
  bool has_tracepoint(std::string_view name) const;
  // Kernels before 5.12 need an object of their own (KF_OLD_KERNEL in bpf/compat.bpf.h).
  bool is_old() const { return !has_compare_and_swap || !has_task_btf; }
};

// Fails with kUnsupported when the kernel has no BTF. `without`: ids of features (Feature::id) to take as absent; fails
// with kUsage when one is not known.
Result<KernelCaps> read_kernel_caps(const std::vector<std::string>& without = {});

// One line per feature that is missing: what, and what that means for a recording.
std::vector<std::string> missing_features(const KernelCaps& caps);

// One feature for `kflight doctor`.
struct Feature {
  std::string id;  // one word, for --without
  std::string name;
  bool present = false;
  bool required = false;
  std::string meaning;  // what its lack means
};
std::vector<Feature> kernel_features(const KernelCaps& caps);

std::string libbpf_version();  // of the library in use: "v1.1"

}  // namespace kflight::record
