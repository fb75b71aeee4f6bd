// SPDX-License-Identifier: Apache-2.0
#include "support/trace_builder.hpp"

#include <algorithm>

#include "dump/syscalls.hpp"

namespace kflight::test {

kf_sys call_named(const char* name, const std::array<std::uint64_t, 4>& args) {
  kf_sys sys{};
  sys.nr = dump::syscall_nr(name).value();
  sys.args_taken = KF_ARGS_0123;
  std::copy(args.begin(), args.end(), sys.args);
  return sys;
}

kf_base_task& TraceBuilder::base(std::uint32_t tid) {
  for (kf_base_task& task : base_tasks_)
    if (task.tid == tid) return task;
  kf_base_task& task = base_tasks_.emplace_back();
  task.tid = tid;
  task.prio = KF_DEFAULT_PRIO;
  return task;
}

TraceBuilder& TraceBuilder::runs(std::uint16_t cpu, std::uint32_t tid) {
  current_[cpu] = tid;
  base_lanes_.push_back({cpu, 1, tid, 1, 0, 0, 0, 0});
  return *this;
}

TraceBuilder& TraceBuilder::sleeps(std::uint32_t tid, const SwitchSpec& spec) {
  kf_base_task& task = base(tid);
  task.out_ns = 1;
  task.out_state = spec.state;
  if (spec.iowait) task.out_flags |= 2;
  if (spec.call) {
    task.out_flags |= 8;
    task.sys = call_named(spec.call, spec.args);
    task.call_enter_ns = spec.enter_ns;
  }
  return *this;
}

TraceBuilder& TraceBuilder::queued(std::uint32_t tid, std::uint16_t cpu) {
  kf_base_task& task = base(tid);
  task.out_ns = 1;
  task.out_cpu = cpu;
  task.out_flags = 1;
  return *this;
}

TraceBuilder& TraceBuilder::named(std::uint32_t tid, const char* comm, std::uint32_t flags) {
  kf_task& task = tasks_.emplace_back();
  task.tid = task.tgid = tid;
  task.start_ns = 1;
  task.flags = flags;
  task.state = KF_ST_SLEEP;
  std::copy_n(Comm::from(comm).bytes.begin(), KF_COMM_BYTES, task.comm);
  return *this;
}

TraceBuilder& TraceBuilder::switch_to(std::uint32_t next, const SwitchSpec& spec) {
  auto e = event<SwitchEvent>();
  e.next_tid = next;
  e.prev_state = spec.state;
  e.preempt = spec.preempt;
  e.in_iowait = spec.iowait;
  e.throttled = spec.throttled;
  e.nsw = e.tid == 0 ? 0 : ++switches_[e.tid];
  e.prev_prio = spec.prev_prio;
  e.next_prio = spec.next_prio;
  if (spec.call) {
    e.has_sys = true;
    e.sys = call_named(spec.call, spec.args);
    e.enter_ns = spec.enter_ns;
  }
  events_.push_back(e);
  current_[cpu_] = next;
  return *this;
}

TraceBuilder& TraceBuilder::unseen_switch_to(std::uint32_t next) {
  if (current(cpu_) != 0) ++switches_[current(cpu_)];
  current_[cpu_] = next;
  return *this;
}

TraceBuilder& TraceBuilder::waking(std::uint32_t tid, const WakeSpec& spec) {
  auto e = event<WakingEvent>();
  e.wakee = tid;
  e.ctx = spec.ctx;
  e.has_wakeup = spec.enqueued_ns != 0;
  e.wakeup_ns = spec.enqueued_ns;
  e.target_cpu = spec.queue_cpu == model::kNoCpu ? 0 : spec.queue_cpu;
  if (spec.call) e.waker_nr = static_cast<std::uint16_t>(call_named(spec.call).nr);
  if (spec.cause == model::CauseKind::kNotNoted) {
    events_.push_back(e);
    return *this;
  }
  Caused& caused = caused_.emplace_back();
  caused.before_event = events_.size();
  caused.fact = {tid, e.target_cpu, KF_DEFAULT_PRIO, e.tid, {}};
  model::Wake& wake = caused.fact.wake;
  wake.ts_ns = now_ns_;
  wake.enqueued_ns = spec.enqueued_ns;
  wake.cpu = cpu_;
  wake.ctx = spec.ctx;
  wake.waker_nr = e.waker_nr;
  wake.cause = spec.cause;
  wake.cause_ref = spec.cause_ref;
  return *this;
}

TraceBuilder& TraceBuilder::wakeup(std::uint32_t tid, std::uint16_t target_cpu, bool is_new) {
  auto e = event<WakeupEvent>();
  e.wakee = tid;
  e.target_cpu = target_cpu;
  e.is_new = is_new;
  events_.push_back(e);
  return *this;
}

TraceBuilder& TraceBuilder::migrate(std::uint32_t tid, std::uint16_t to) {
  auto e = event<MigrateEvent>();
  e.migrated_tid = tid;
  e.dest_cpu = to;
  events_.push_back(e);
  return *this;
}

TraceBuilder& TraceBuilder::fork(std::uint32_t child, std::uint32_t child_tgid) {
  auto e = event<ForkEvent>();
  e.parent_tid = e.tid;
  e.child_tid = child;
  e.child_tgid = child_tgid;
  e.is_thread = child != child_tgid;
  e.child_start_ns = now_ns_;
  events_.push_back(e);
  switches_[child] = 0;
  return *this;
}

TraceBuilder& TraceBuilder::exec(std::uint32_t new_tid, std::uint32_t old_tid, const char* comm) {
  auto e = event<ExecEvent>();
  if (new_tid != old_tid) switches_[new_tid] = switches_[old_tid];  // the kernel counts those of the thread
  e.new_tid = new_tid;
  e.old_tid = old_tid;
  e.comm = Comm::from(comm);
  events_.push_back(e);
  if (current(cpu_) == old_tid) current_[cpu_] = new_tid;
  return *this;
}

TraceBuilder& TraceBuilder::returns(const char* call, std::uint64_t enter_ns, std::int64_t ret) {
  auto e = event<SyscallEvent>();
  e.nr = call_named(call).nr;
  e.enter_ns = enter_ns;
  e.ret = ret;
  events_.push_back(e);
  return *this;
}

TraceBuilder& TraceBuilder::caused_waking(std::uint32_t tid, std::uint8_t ctx, std::uint8_t cause, std::uint32_t detail,
                                          std::array<std::uint64_t, 2> args) {
  auto e = event<WakingEvent>();
  e.wakee = tid;
  e.ctx = ctx;
  e.cause = cause;
  e.cause_detail = detail;
  e.cause_words = 2;
  e.cause_args = args;
  events_.push_back(e);
  return *this;
}

TraceBuilder& TraceBuilder::block(std::uint8_t phase, std::uint64_t request, const BlockSpec& spec) {
  auto e = event<BlockEvent>();
  e.phase = phase;
  e.request = request;
  e.op = spec.op;
  e.ctx = spec.ctx;
  e.bytes = spec.bytes;
  e.dev = spec.dev;
  events_.push_back(e);
  return *this;
}

TraceBuilder& TraceBuilder::work(std::uint64_t function, std::uint64_t started_ns, const QueueSpec& queued) {
  auto e = event<WorkEvent>();
  e.function = function;
  e.started_ns = started_ns;
  e.queued_ns = queued.at_ns;
  e.queuer_tid = queued.by;
  e.queue_cpu = queued.cpu;
  e.ctx = queued.ctx;
  e.cause = queued.cause;
  e.cause_detail = queued.detail;
  e.cause_args = queued.args;
  events_.push_back(e);
  return *this;
}

TraceBuilder& TraceBuilder::signal(std::uint32_t target, std::uint8_t number, std::uint32_t target_tgid) {
  auto e = event<SignalEvent>();
  e.target_tid = target;
  e.target_tgid = target_tgid == 0 ? target : target_tgid;
  e.to_process = target_tgid != 0;
  e.signal = number;
  events_.push_back(e);
  return *this;
}

TraceBuilder& TraceBuilder::lock_wait(std::uint32_t owner, std::uint8_t kind) {
  auto e = event<LockWaitEvent>();
  e.owner_tid = owner;
  e.lock_kind = kind;
  e.lock = 0xffff888000001000;
  events_.push_back(e);
  return *this;
}

TraceBuilder& TraceBuilder::throttle(std::uint64_t group) {
  auto e = event<ThrottleEvent>();
  e.group = group;
  events_.push_back(e);
  return *this;
}

TraceBuilder& TraceBuilder::interrupts(std::uint64_t since_ns, std::uint64_t spent_ns, std::uint32_t count) {
  auto e = event<InterruptsEvent>();
  e.since_ns = since_ns;
  e.spent_ns = spent_ns;
  e.count = count;
  e.cause = KF_CAUSE_SOFTIRQ;
  e.cause_detail = 3;
  events_.push_back(e);
  return *this;
}

TraceBuilder& TraceBuilder::refill(std::uint64_t group, bool some_wait) {
  auto e = event<RefillEvent>();
  e.group = group;
  e.some_wait = some_wait;
  events_.push_back(e);
  return *this;
}

TraceBuilder& TraceBuilder::loss(std::uint64_t from_ns, std::uint64_t count) {
  auto e = event<LossEvent>();
  e.from_ns = from_ns;
  e.count = count;
  events_.push_back(e);
  return *this;
}

std::uint32_t TraceBuilder::request(const model::BlockRequest& request) {
  requests_.push_back(request);
  return static_cast<std::uint32_t>(requests_.size() - 1);
}

std::uint32_t TraceBuilder::current(std::uint16_t cpu) const {
  const auto it = current_.find(cpu);
  return it == current_.end() ? 0 : it->second;
}

model::Timeline TraceBuilder::timeline(std::uint64_t begin_ns, std::uint64_t end_ns) const {
  model::TraceFacts facts{begin_ns, end_ns, base_tasks_, base_lanes_, tasks_, losses_};
  model::TimelineBuilder builder(facts);
  for (const model::BlockRequest& request : requests_) builder.add(request);
  auto caused = caused_.begin();
  for (std::size_t i = 0; i <= events_.size(); ++i) {
    for (; caused != caused_.end() && caused->before_event == i; ++caused) builder.add(caused->fact);
    if (i < events_.size()) builder.add(events_[i]);
  }
  return std::move(builder).finish();
}

}  // namespace kflight::test
