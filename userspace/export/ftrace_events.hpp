// SPDX-License-Identifier: Apache-2.0
//
// ftrace_events.hpp - single trace events of the kernel as Perfetto messages, for what has no compact form. `pid` is
// the task an event happened in.
#pragma once

#include "export/perfetto_bundle.hpp"
#include "model/interval.hpp"

namespace kflight::exports {

void add_plain_waking(FtraceBundle& bundle, std::uint64_t ts_ns, std::uint32_t pid, const TaskRef& wakee,
                      std::uint16_t target_cpu);
// Tells waiting for a disk from other waiting in state D. After the waking.
void add_blocked_reason(FtraceBundle& bundle, std::uint64_t ts_ns, std::uint32_t sleeper, bool iowait);
void add_newtask(FtraceBundle& bundle, std::uint64_t ts_ns, std::uint32_t pid, const TaskRef& child, bool is_thread);
void add_rename(FtraceBundle& bundle, std::uint64_t ts_ns, std::uint32_t pid, std::string_view from,
                std::string_view to);
// The end of a thread: its tid may be another one's from then on.
void add_free(FtraceBundle& bundle, std::uint64_t ts_ns, const TaskRef& task);
// With those arguments that were taken.
void add_sys_enter(FtraceBundle& bundle, std::uint64_t ts_ns, std::uint32_t pid, const model::Call& call);
// With the result of a call that returned.
void add_sys_exit(FtraceBundle& bundle, std::uint64_t ts_ns, std::uint32_t pid, const model::Call& call);

}  // namespace kflight::exports
