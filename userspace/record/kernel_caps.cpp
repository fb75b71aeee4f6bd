// SPDX-License-Identifier: Apache-2.0
#include "record/kernel_caps.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>

#include "base/errors.hpp"
#include "base/nearest_word.hpp"
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

// For what neither BTF nor a program that is tried shows.
int kernel_major() {
  utsname names{};
  return ::uname(&names) == 0 ? std::atoi(names.release) : 0;
}

bool has_enumerator(const btf* kernel, const char* enum_name, std::string_view enumerator) {
  const int id = btf__find_by_name_kind(kernel, enum_name, BTF_KIND_ENUM);
  if (id < 0) return false;
  const btf_type* type = btf__type_by_id(kernel, static_cast<std::uint32_t>(id));
  const struct btf_enum* values = btf_enum(type);
  return std::any_of(values, values + btf_vlen(type),
                     [&](const struct btf_enum& value) { return enumerator == btf__name_by_offset(kernel, value.name_off); });
}

// Members of anonymous structures and unions within count as the structure's own, as in C.
std::optional<std::uint32_t> member_offset(const btf* kernel, const btf_type* structure, std::string_view member) {
  for (std::uint32_t i = 0; i < btf_vlen(structure); ++i) {
    const btf_member& m = btf_members(structure)[i];
    const std::string_view name = btf__name_by_offset(kernel, m.name_off);
    const std::uint32_t offset = btf_member_bit_offset(structure, i) / 8;
    if (name == member) return offset;
    const btf_type* type = btf__type_by_id(kernel, m.type);
    if (!name.empty() || !type || !btf_is_composite(type)) continue;
    if (const auto within = member_offset(kernel, type, member)) return offset + *within;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> member_offset(const btf* kernel, const char* structure, std::string_view member) {
  const int id = btf__find_by_name_kind(kernel, structure, BTF_KIND_STRUCT);
  if (id < 0) return std::nullopt;
  return member_offset(kernel, btf__type_by_id(kernel, static_cast<std::uint32_t>(id)), member);
}

struct PercpuVariable {
  std::uint32_t offset = 0;  // within the per-CPU section
  std::uint32_t bytes = 0;
};

std::optional<PercpuVariable> percpu_variable(const btf* kernel, std::string_view variable) {
  const int id = btf__find_by_name_kind(kernel, ".data..percpu", BTF_KIND_DATASEC);
  if (id < 0) return std::nullopt;
  const btf_type* section = btf__type_by_id(kernel, static_cast<std::uint32_t>(id));
  for (std::uint32_t i = 0; i < btf_vlen(section); ++i) {
    const btf_var_secinfo& info = btf_var_secinfos(section)[i];
    const btf_type* var = btf__type_by_id(kernel, info.type);
    if (variable == btf__name_by_offset(kernel, var->name_off)) return PercpuVariable{info.offset, info.size};
  }
  return std::nullopt;
}

std::optional<std::uint32_t> percpu_offset(const btf* kernel, std::string_view variable) {
  const auto found = percpu_variable(kernel, variable);
  return found ? std::optional(found->offset) : std::nullopt;
}

// x86's hot per-CPU variables were members of pcpu_hot from 6.2 to 6.14.
std::optional<std::uint32_t> hot_offset(const btf* kernel, const char* variable, std::string_view member) {
  if (const auto own = percpu_offset(kernel, variable)) return own;
  const auto hot = percpu_offset(kernel, "pcpu_hot");
  const auto within = member_offset(kernel, "pcpu_hot", member);
  if (!hot || !within) return std::nullopt;
  return *hot + *within;
}

// Early pahole left per-CPU variables out of BTF, as in Debian's 5.10. The kernel's list of symbols has them, too, but it may
// be hidden.
std::optional<std::int64_t> preempt_count_delta_by_symbols() {
  std::ifstream kallsyms("/proc/kallsyms");
  std::int64_t run_queue = 0, preempt_count = 0;
  for (std::string line; std::getline(kallsyms, line);) {
    if (!line.ends_with(" runqueues") && !line.ends_with(" __preempt_count")) continue;
    (line.ends_with("s") ? run_queue : preempt_count) = std::strtoll(line.c_str(), nullptr, 16);
  }
  if (!run_queue || !preempt_count) return std::nullopt;
  return preempt_count - run_queue;
}

// How far per-CPU variables lie from a CPU's run queue, which BPF can reach.
void find_percpu_variables(const btf* kernel, KernelCaps& caps) {
#if defined(__x86_64__)
  if (!member_offset(kernel, "cfs_rq", "rq")) return;
  const auto run_queue = percpu_offset(kernel, "runqueues");
  if (!run_queue) {
    const auto delta = preempt_count_delta_by_symbols();
    caps.has_preempt_count = delta.has_value();
    caps.preempt_count_delta = delta.value_or(0);
    return;
  }
  const auto distance = [&](std::uint32_t offset) { return std::int64_t{offset} - std::int64_t{*run_queue}; };
  if (const auto count = hot_offset(kernel, "__preempt_count", "preempt_count")) {
    caps.has_preempt_count = true;
    caps.preempt_count_delta = distance(*count);
    const auto own = percpu_variable(kernel, "__preempt_count");
    if (own && own->bytes == 8) caps.hardirq_shift = 24;
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

// A feature that is no tracepoint.
struct Row {
  std::string_view id, name;
  bool (*present)(const KernelCaps&);
  void (*leave_out)(KernelCaps&);
  std::string_view meaning;  // what its lack means
};

template <auto kMember>
constexpr Row flag_row(std::string_view id, std::string_view name, std::string_view meaning) {
  return {id, name, [](const KernelCaps& caps) { return caps.*kMember; }, [](KernelCaps& caps) { caps.*kMember = false; },
          meaning};
}

constexpr std::string_view kMoreCalls = "an event takes more helper calls, so recording costs somewhat more";

constexpr Row kRows[] = {
    flag_row<&KernelCaps::has_task_pt_regs>(
        "task_pt_regs", "helper bpf_task_pt_regs (5.15)",
        "the syscall a thread blocks in is known for the target only, and only with --syscalls slow or all"),
    flag_row<&KernelCaps::switch_has_prev_state>(
        "prev_state", "sched_switch passes prev_state (5.18)",
        "the state is read a moment later; a thread woken in between shows as already waking"),
    flag_row<&KernelCaps::has_preempt_count>("preempt_count", "preempt count of a CPU",
                                             "wakings by interrupts look like wakings by the interrupted thread"),
    flag_row<&KernelCaps::has_stacks>("perf_events", "perf events (CONFIG_PERF_EVENTS)",
                                      "there are no stacks and no samples: where a program waited is not known"),
    {"quotas", "CPU quotas (cfs_rq.throttle_count)",
     [](const KernelCaps& caps) { return caps.has_throttled || caps.has_throttle_count; },
     [](KernelCaps& caps) { caps.has_throttled = caps.has_throttle_count = false; },
     "a thread out of CPU quota looks runnable"},
    {"blocked_on", "task_struct.blocked_on (6.18)",
     [](const KernelCaps& caps) { return caps.has_blocked_on || (caps.has_rt_mutexes && caps.has_rt_mutex_owner); },
     [](KernelCaps& caps) { caps.has_blocked_on = caps.has_rt_mutexes = false; },
     "which mutex of the kernel a thread waits for is told by contention_begin, where that is"},
    flag_row<&KernelCaps::has_rt_mutex_owner>("rt_mutex", "owner of an rt_mutex",
                                             "who holds a PI futex is known when he lets it go, not before"),
    flag_row<&KernelCaps::has_rdonly_cast>("rdonly_cast", "kernel function bpf_rdonly_cast (6.2)", kMoreCalls),
    flag_row<&KernelCaps::has_current_task>("current_task", "current_task of a CPU", kMoreCalls),
    flag_row<&KernelCaps::has_compare_and_swap>("compare_and_swap", "atomic operations in BPF (5.12)", kMoreCalls),
    flag_row<&KernelCaps::has_task_btf>("task_btf", "helper bpf_get_current_task_btf (5.11)", kMoreCalls),
};

Result<> leave_out(KernelCaps& caps, const std::string& id) {
  const auto row = std::ranges::find(kRows, id, &Row::id);
  const auto tracepoint = std::ranges::find(kProbes, id, &Probe::tracepoint);
  if (row == std::end(kRows) && tracepoint == kProbes.end()) {
    std::vector<std::string_view> ids;
    for (const Row& known : kRows) ids.push_back(known.id);
    for (const Probe& known : kProbes) ids.emplace_back(known.tracepoint);
    const std::string_view near = nearest_word(id, ids);
    return Error{Errc::kUsage, fmt::format("'{}' is no feature of a kernel that kflight knows{}; `kflight doctor --json` lists "
                                           "them (\"id\")", id, near.empty() ? "" : fmt::format(", did you mean '{}'?", near))};
  }
  if (row != std::end(kRows)) row->leave_out(caps);
  std::erase(caps.tracepoints, id);
  caps.left_out.push_back(id);
  return {};
}

}  // namespace

bool KernelCaps::has_tracepoint(std::string_view name) const {
  return std::find(tracepoints.begin(), tracepoints.end(), name) != tracepoints.end();
}

Result<KernelCaps> read_kernel_caps(const std::vector<std::string>& without) {
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
  caps.preemptible = kernel_major() >= 7 && btf__find_by_name_kind(kernel.get(), "bpf_preempt_disable", BTF_KIND_FUNC) > 0;
  caps.has_compare_and_swap = can_compare_and_swap();
  caps.has_throttled = member_offset(kernel.get(), "task_struct", "throttled").has_value();
  caps.has_stacks = ::access("/proc/sys/kernel/perf_event_max_stack", F_OK) == 0;
  caps.has_throttle_count = member_offset(kernel.get(), "cfs_rq", "throttle_count").has_value();
  caps.has_blocked_on = member_offset(kernel.get(), "task_struct", "blocked_on") && member_offset(kernel.get(), "mutex", "owner");
  caps.has_rt_mutexes = caps.softirqs_are_threads = member_offset(kernel.get(), "mutex", "rtmutex").has_value();
  caps.block_has_queue = tracepoint_arguments(kernel.get(), "block_rq_insert").value_or(0) >= 2;
  caps.has_task_btf = has_enumerator(kernel.get(), "bpf_func_id", "BPF_FUNC_get_current_task_btf");
  caps.has_rt_mutex_owner = member_offset(kernel.get(), "rt_mutex_base", "owner") || member_offset(kernel.get(), "rt_mutex", "owner");
  find_percpu_variables(kernel.get(), caps);
  for (const std::string& id : without) KF_TRY(leave_out(caps, id));
  // The object for old kernels has the current task's address only, nothing these could be asked with.
  if (caps.is_old()) caps.has_task_pt_regs = caps.has_rdonly_cast = caps.has_current_task = false;
  return caps;
}

std::vector<Feature> kernel_features(const KernelCaps& caps) {
  std::vector<Feature> features;
  features.reserve(kProbes.size() + std::size(kRows));
  for (const Probe& probe : kProbes)
    features.push_back({probe.tracepoint, fmt::format("tracepoint {}", probe.tracepoint),
                        caps.has_tracepoint(probe.tracepoint), probe.required, std::string(probe.lack)});
  for (const Row& row : kRows)
    features.push_back({std::string(row.id), std::string(row.name), row.present(caps), false, std::string(row.meaning)});
  return features;
}

std::vector<std::string> missing_features(const KernelCaps& caps) {
  std::vector<std::string> lines;
  for (const Feature& feature : kernel_features(caps)) {
    const bool asked = std::ranges::find(caps.left_out, feature.id) != caps.left_out.end();
    if (!feature.present)
      lines.push_back(fmt::format("no {}{}: {}", feature.name, asked ? " (left out on request)" : "", feature.meaning));
  }
  return lines;
}

std::string libbpf_version() { return libbpf_version_string(); }

}  // namespace kflight::record
