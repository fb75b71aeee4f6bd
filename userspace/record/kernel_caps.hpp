// SPDX-License-Identifier: Apache-2.0
//
// kernel_caps.hpp - what this kernel offers, read from its BTF: never from its version number, because distributions
// backport. Decides which programs load and which arguments they may read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kflight/result.hpp"

namespace kflight::record {

struct KernelCaps {
  bool switch_has_prev_state = false;  // sched_switch passes prev_state (5.18)
  bool has_task_pt_regs = false;       // bpf_task_pt_regs (5.15)
  bool has_throttled = false;          // task_struct.throttled (6.18)
  bool has_blocked_on = false;         // task_struct.blocked_on (6.18)
  bool has_throttle_count = false;     // cfs_rq.throttle_count: quotas before task_struct.throttled
  bool block_has_queue = false;        // block_rq_insert passes the queue first (until 5.10)
  bool has_rdonly_cast = false;        // bpf_rdonly_cast (6.2)
  bool has_compare_and_swap = false;   // atomic operations with a result (5.12)
  bool has_stacks = false;             // perf events are built in: they walk stacks and take samples
  bool has_preempt_count = false;      // a waker's context can be read
  std::int64_t preempt_count_delta = 0;  // see kf_config
  bool has_current_task = false;         // the running task is found without a helper call
  std::int64_t current_task_delta = 0;   // see kf_config
  std::vector<std::string> tracepoints;  // of those kflight knows, the ones this kernel has
  bool has_tracepoint(std::string_view name) const;
};

// Fails with kUnsupported when the kernel has no BTF.
Result<KernelCaps> read_kernel_caps();

// One line per feature that is missing: what, and what that means for a recording.
std::vector<std::string> missing_features(const KernelCaps& caps);

// One feature for `kflight doctor`.
struct Feature {
  std::string name;
  bool present = false;
  bool required = false;
  std::string meaning;  // what its lack means
};
std::vector<Feature> kernel_features(const KernelCaps& caps);

std::string libbpf_version();  // of the library in use: "v1.1"

}  // namespace kflight::record
