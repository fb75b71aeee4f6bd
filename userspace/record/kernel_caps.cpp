// SPDX-License-Identifier: Apache-2.0
#include "record/kernel_caps.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "base/errors.hpp"
#include "base/unique_fd.hpp"
#include "record/probes.hpp"

namespace kflight::record {
namespace {

struct BtfFree {
  void operator()(btf* handle) const noexcept { btf__free(handle); }
};
using Btf = std::unique_ptr<btf, BtfFree>;

// Number of arguments a tracepoint's handler takes, the leading private pointer left out; nullopt when there is none.
std::optional<std::uint32_t> tracepoint_arguments(const btf* kernel, std::string_view name) {
  const std::string type_name = fmt::format("btf_trace_{}", name);
  const int id = btf__find_by_name_kind(kernel, type_name.c_str(), BTF_KIND_TYPEDEF);
  if (id < 0) return std::nullopt;
  const btf_type* type = btf__type_by_id(kernel, static_cast<std::uint32_t>(id));
  const btf_type* pointer = btf__type_by_id(kernel, type->type);
  if (!pointer || !btf_is_ptr(pointer)) return std::nullopt;
  const btf_type* proto = btf__type_by_id(kernel, pointer->type);
  if (!proto || !btf_is_func_proto(proto)) return std::nullopt;
  return btf_vlen(proto) - 1u;
}

// The one feature BTF does not show: does a program with such an instruction load?
bool can_compare_and_swap() {
  const bpf_insn program[] = {
      {BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, -8, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_1, 0, 0, 1},
      {BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_10, BPF_REG_1, -8, BPF_CMPXCHG},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  const UniqueFd fd(bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "kf_probe", "GPL", program, std::size(program), nullptr));
  return static_cast<bool>(fd);
}

bool has_enumerator(const btf* kernel, const char* enum_name, std::string_view enumerator) {
  const int id = btf__find_by_name_kind(kernel, enum_name, BTF_KIND_ENUM);
  if (id < 0) return false;
  const btf_type* type = btf__type_by_id(kernel, static_cast<std::uint32_t>(id));
  const struct btf_enum* values = btf_enum(type);
  return std::any_of(values, values + btf_vlen(type),
                     [&](const struct btf_enum& value) { return enumerator == btf__name_by_offset(kernel, value.name_off); });
}

std::optional<std::uint32_t> member_offset(const btf* kernel, const char* structure, std::string_view member) {
  const int id = btf__find_by_name_kind(kernel, structure, BTF_KIND_STRUCT);
  if (id < 0) return std::nullopt;
  const btf_type* type = btf__type_by_id(kernel, static_cast<std::uint32_t>(id));
  for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
    const btf_member& m = btf_members(type)[i];
    if (member == btf__name_by_offset(kernel, m.name_off)) return btf_member_bit_offset(type, i) / 8;
  }
  return std::nullopt;
}

// Offset of a per-CPU variable within the per-CPU section.
std::optional<std::uint32_t> percpu_offset(const btf* kernel, std::string_view variable) {
  const int id = btf__find_by_name_kind(kernel, ".data..percpu", BTF_KIND_DATASEC);
  if (id < 0) return std::nullopt;
  const btf_type* section = btf__type_by_id(kernel, static_cast<std::uint32_t>(id));
  for (std::uint32_t i = 0; i < btf_vlen(section); ++i) {
    const btf_var_secinfo& info = btf_var_secinfos(section)[i];
    const btf_type* var = btf__type_by_id(kernel, info.type);
    if (variable == btf__name_by_offset(kernel, var->name_off)) return info.offset;
  }
  return std::nullopt;
}

// x86's hot per-CPU variables were members of pcpu_hot from 6.2 to 6.14.
std::optional<std::uint32_t> hot_offset(const btf* kernel, const char* variable, std::string_view member) {
  if (const auto own = percpu_offset(kernel, variable)) return own;
  const auto hot = percpu_offset(kernel, "pcpu_hot");
  const auto within = member_offset(kernel, "pcpu_hot", member);
  if (!hot || !within) return std::nullopt;
  return *hot + *within;
}

// How far per-CPU variables lie from a CPU's run queue, which BPF can reach.
void find_percpu_variables(const btf* kernel, KernelCaps& caps) {
#if defined(__x86_64__)
  const auto run_queue = percpu_offset(kernel, "runqueues");
  if (!run_queue || !member_offset(kernel, "cfs_rq", "rq")) return;
  const auto distance = [&](std::uint32_t offset) { return std::int64_t{offset} - std::int64_t{*run_queue}; };
  if (const auto count = hot_offset(kernel, "__preempt_count", "preempt_count")) {
    caps.has_preempt_count = true;
    caps.preempt_count_delta = distance(*count);
  }
  if (const auto task = hot_offset(kernel, "current_task", "current_task");
      task && member_offset(kernel, "rcuwait", "task") == 0) {
    caps.has_current_task = true;
    caps.current_task_delta = distance(*task);
  }
#else
  (void)kernel;
  (void)caps;
#endif
}

}  // namespace

bool KernelCaps::has_tracepoint(std::string_view name) const {
  return std::find(tracepoints.begin(), tracepoints.end(), name) != tracepoints.end();
}

Result<KernelCaps> read_kernel_caps() {
  const Btf kernel(btf__load_vmlinux_btf());
  if (!kernel) {
    const int error = errno;
    return Error{Errc::kUnsupported,
                 fmt::format("reading the kernel's type information (/sys/kernel/btf/vmlinux): {}; kflight needs a kernel "
                             "built with CONFIG_DEBUG_INFO_BTF=y, as distributions have since about 5.10",
                             errno_text(error))};
  }
  KernelCaps caps;
  for (const Probe& probe : kProbes)
    if (tracepoint_arguments(kernel.get(), probe.tracepoint)) caps.tracepoints.emplace_back(probe.tracepoint);
  caps.switch_has_prev_state = tracepoint_arguments(kernel.get(), "sched_switch").value_or(0) >= 4;
  caps.has_task_pt_regs = has_enumerator(kernel.get(), "bpf_func_id", "BPF_FUNC_task_pt_regs");
  caps.has_rdonly_cast = btf__find_by_name_kind(kernel.get(), "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;
  caps.has_compare_and_swap = can_compare_and_swap();
  caps.has_throttled = member_offset(kernel.get(), "task_struct", "throttled").has_value();
  caps.has_stacks = ::access("/proc/sys/kernel/perf_event_max_stack", F_OK) == 0;
  caps.has_throttle_count = member_offset(kernel.get(), "cfs_rq", "throttle_count").has_value();
  caps.has_blocked_on = member_offset(kernel.get(), "task_struct", "blocked_on").has_value();
  caps.block_has_queue = tracepoint_arguments(kernel.get(), "block_rq_insert").value_or(0) >= 2;
  find_percpu_variables(kernel.get(), caps);
  return caps;
}

std::vector<Feature> kernel_features(const KernelCaps& caps) {
  std::vector<Feature> features;
  for (const Probe& probe : kProbes)
    features.push_back({fmt::format("tracepoint {}", probe.tracepoint), caps.has_tracepoint(probe.tracepoint),
                        probe.required, std::string(probe.lack)});
  features.push_back({"helper bpf_task_pt_regs (5.15)", caps.has_task_pt_regs, false,
                      "the syscall a thread blocks in is known for the target only, and only with --syscalls slow or all"});
  features.push_back({"sched_switch passes prev_state (5.18)", caps.switch_has_prev_state, false,
                      "the state is read a moment later; a thread woken in between shows as already waking"});
  features.push_back({"preempt count of a CPU", caps.has_preempt_count, false,
                      "wakings by interrupts look like wakings by the interrupted thread"});
  features.push_back({"perf events (CONFIG_PERF_EVENTS)", caps.has_stacks, false,
                      "there are no stacks and no samples: where a program waited is not known"});
  features.push_back({"CPU quotas (cfs_rq.throttle_count)", caps.has_throttled || caps.has_throttle_count, false,
                      "a thread out of CPU quota looks runnable"});
  features.push_back({"task_struct.blocked_on (6.18)", caps.has_blocked_on, false,
                      "who holds a mutex of the kernel is known when he lets it go, not before"});
  return features;
}

std::vector<std::string> missing_features(const KernelCaps& caps) {
  std::vector<std::string> lines;
  for (const Feature& feature : kernel_features(caps))
    if (!feature.present) lines.push_back(fmt::format("no {}: {}", feature.name, feature.meaning));
  return lines;
}

std::string libbpf_version() { return libbpf_version_string(); }

}  // namespace kflight::record
