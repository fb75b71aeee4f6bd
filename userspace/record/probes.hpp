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
  kCauses,    // unless causes are off
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
    Probe{"kf_cpuhp_enter", "cpuhp_enter", ProbeUse::kAlways, false, "what a CPU on its way offline does last is missing without a word"},
    Probe{"kf_cpuhp_exit", "cpuhp_exit", ProbeUse::kAlways, false, "what a CPU on its way offline does last is missing without a word"},
    // The first wakings of a recording may lack their cause.
    Probe{"kf_irq_entry", "irq_handler_entry", ProbeUse::kCauses, false, "wakings by devices do not say which"},
    Probe{"kf_irq_exit", "irq_handler_exit", ProbeUse::kCauses, false, "wakings by devices do not say which"},
    Probe{"kf_softirq_entry", "softirq_entry", ProbeUse::kCauses, false, "wakings by softirqs do not say which"},
    Probe{"kf_softirq_exit", "softirq_exit", ProbeUse::kCauses, false, "wakings by softirqs do not say which"},
    Probe{"kf_hrtimer_entry", "hrtimer_expire_entry", ProbeUse::kCauses, false, "wakings by timers are told from other interrupts by the call they end"},
    Probe{"kf_hrtimer_exit", "hrtimer_expire_exit", ProbeUse::kCauses, false, "wakings by timers are told from other interrupts by the call they end"},
    Probe{"kf_timer_entry", "timer_expire_entry", ProbeUse::kCauses, false, "wakings by low-resolution timers look like other softirqs"},
    Probe{"kf_timer_exit", "timer_expire_exit", ProbeUse::kCauses, false, "wakings by low-resolution timers look like other softirqs"},
    Probe{"kf_block_insert", "block_rq_insert", ProbeUse::kCauses, false, "who asked a disk for something is known only where requests are not queued"},
    Probe{"kf_block_issue", "block_rq_issue", ProbeUse::kCauses, false, "a disk's queue and service are told apart only where it keeps statistics"},
    Probe{"kf_block_complete", "block_rq_complete", ProbeUse::kCauses, false, "the disk behind a wait is not named"},
    Probe{"kf_receive", "netif_receive_skb", ProbeUse::kCauses, false, "senders on this machine are told by their call only"},
    Probe{"kf_send_local", "netif_rx", ProbeUse::kCauses, false, "senders on this machine are told by their call only"},
    Probe{"kf_signal", "signal_generate", ProbeUse::kCauses, false, "who sent a signal is not known"},
    // The end first: whoever contended in between would keep its lock, and seem to wait for that from then on.
    Probe{"kf_lock_end", "contention_end", ProbeUse::kCauses, false, "who holds a rwsem of the kernel, before 6.18 a mutex, is known when he lets it go, not before"},
    Probe{"kf_lock_begin", "contention_begin", ProbeUse::kCauses, false, "who holds a rwsem of the kernel, before 6.18 a mutex, is known when he lets it go, not before"},
    Probe{"kf_work_queue", "workqueue_queue_work", ProbeUse::kCauses, false, "who gave a kworker its work is not known"},
    Probe{"kf_work_start", "workqueue_execute_start", ProbeUse::kCauses, false, "the work of a kworker is not named"},
    Probe{"kf_work_end", "workqueue_execute_end", ProbeUse::kCauses, false, "the work of a kworker is not named"},
    Probe{"kf_local_timer_entry", "local_timer_entry", ProbeUse::kCauses, false, "wakings by this vector have no cause"},
    Probe{"kf_local_timer_exit", "local_timer_exit", ProbeUse::kCauses, false, "wakings by this vector have no cause"},
    Probe{"kf_reschedule_entry", "reschedule_entry", ProbeUse::kCauses, false, "wakings by this vector have no cause"},
    Probe{"kf_reschedule_exit", "reschedule_exit", ProbeUse::kCauses, false, "wakings by this vector have no cause"},
    Probe{"kf_call_function_entry", "call_function_entry", ProbeUse::kCauses, false, "wakings by this vector have no cause"},
    Probe{"kf_call_function_exit", "call_function_exit", ProbeUse::kCauses, false, "wakings by this vector have no cause"},
    Probe{"kf_call_function_single_entry", "call_function_single_entry", ProbeUse::kCauses, false, "wakings by this vector have no cause"},
    Probe{"kf_call_function_single_exit", "call_function_single_exit", ProbeUse::kCauses, false, "wakings by this vector have no cause"},
    Probe{"kf_irq_work_entry", "irq_work_entry", ProbeUse::kCauses, false, "wakings by this vector have no cause"},
    Probe{"kf_irq_work_exit", "irq_work_exit", ProbeUse::kCauses, false, "wakings by this vector have no cause"},
    // The end is attached first: a call whose beginning alone was seen would go on for ever.
    Probe{"kf_sys_exit", "sys_exit", ProbeUse::kSyscalls, true, "syscalls cannot be timed"},
    Probe{"kf_sys_enter", "sys_enter", ProbeUse::kSyscalls, true, "syscalls cannot be timed"},
};

}  // namespace kflight::record
