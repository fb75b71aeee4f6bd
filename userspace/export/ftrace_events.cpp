// SPDX-License-Identifier: Apache-2.0
#include "export/ftrace_events.hpp"

#include <span>

#include "base/escape.hpp"

namespace kflight::exports {

namespace {

using FtraceMessage = pf::Message<pf::FtraceEvent>;
constexpr std::uint32_t kCloneThread = 0x10000;

}  // namespace

void add_plain_waking(FtraceBundle& bundle, std::uint64_t ts_ns, std::uint32_t pid, const TaskRef& wakee,
                      std::uint16_t target_cpu) {
  bundle.add_event(ts_ns, pid, [&](FtraceMessage& event) {
    pf::Message<pf::SchedWaking> waking(event, pf::FtraceEvent::kSchedWaking);
    waking.add_string(pf::SchedWaking::kComm, escape_for_terminal(wakee.comm));
    waking.add_uint32(pf::SchedWaking::kPid, wakee.tid);
    waking.add_uint32(pf::SchedWaking::kPrio, wakee.prio);
    waking.add_uint32(pf::SchedWaking::kSuccess, 1);
    waking.add_uint32(pf::SchedWaking::kTargetCpu, target_cpu);
  });
}

void add_blocked_reason(FtraceBundle& bundle, std::uint64_t ts_ns, std::uint32_t sleeper, bool iowait) {
  bundle.add_event(ts_ns, sleeper, [&](FtraceMessage& event) {
    pf::Message<pf::SchedBlockedReason> reason(event, pf::FtraceEvent::kSchedBlockedReason);
    reason.add_uint32(pf::SchedBlockedReason::kPid, sleeper);
    reason.add_uint32(pf::SchedBlockedReason::kIoWait, iowait ? 1 : 0);
  });
}

void add_newtask(FtraceBundle& bundle, std::uint64_t ts_ns, std::uint32_t pid, const TaskRef& child, bool is_thread) {
  bundle.add_event(ts_ns, pid, [&](FtraceMessage& event) {
    pf::Message<pf::TaskNewtask> newtask(event, pf::FtraceEvent::kTaskNewtask);
    newtask.add_uint32(pf::TaskNewtask::kPid, child.tid);
    newtask.add_string(pf::TaskNewtask::kComm, escape_for_terminal(child.comm));
    newtask.add_uint64(pf::TaskNewtask::kCloneFlags, is_thread ? kCloneThread : 0);
  });
}

void add_rename(FtraceBundle& bundle, std::uint64_t ts_ns, std::uint32_t pid, std::string_view from,
                std::string_view to) {
  bundle.add_event(ts_ns, pid, [&](FtraceMessage& event) {
    pf::Message<pf::TaskRename> renamed(event, pf::FtraceEvent::kTaskRename);
    renamed.add_uint32(pf::TaskRename::kPid, pid);
    renamed.add_string(pf::TaskRename::kOldcomm, escape_for_terminal(from));
    renamed.add_string(pf::TaskRename::kNewcomm, escape_for_terminal(to));
  });
}

void add_free(FtraceBundle& bundle, std::uint64_t ts_ns, const TaskRef& task) {
  bundle.add_event(ts_ns, 0, [&](FtraceMessage& event) {
    pf::Message<pf::SchedProcessFree> freed(event, pf::FtraceEvent::kSchedProcessFree);
    freed.add_string(pf::SchedProcessFree::kComm, escape_for_terminal(task.comm));
    freed.add_uint32(pf::SchedProcessFree::kPid, task.tid);
    freed.add_uint32(pf::SchedProcessFree::kPrio, task.prio);
  });
}

void add_sys_enter(FtraceBundle& bundle, std::uint64_t ts_ns, std::uint32_t pid, const model::Call& call) {
  bundle.add_event(ts_ns, pid, [&](FtraceMessage& event) {
    pf::Message<pf::SysEnter> enter(event, pf::FtraceEvent::kSysEnter);
    enter.add_int64(pf::SysEnter::kId, call.nr);
    constexpr std::size_t kTaken[] = {0, 1, 3, 4};  // by KF_ARGS_*
    const std::uint64_t args[] = {call.arg0, call.arg1, call.arg2, call.arg3};
    for (const std::uint64_t arg : std::span(args).first(kTaken[call.args_taken & 3]))
      enter.add_uint64(pf::SysEnter::kArgs, arg);
  });
}

void add_sys_exit(FtraceBundle& bundle, std::uint64_t ts_ns, std::uint32_t pid, const model::Call& call) {
  bundle.add_event(ts_ns, pid, [&](FtraceMessage& event) {
    pf::Message<pf::SysExit> exit(event, pf::FtraceEvent::kSysExit);
    exit.add_int64(pf::SysExit::kId, call.nr);
    if (call.returned()) exit.add_int64(pf::SysExit::kRet, call.ret);
  });
}

}  // namespace kflight::exports
