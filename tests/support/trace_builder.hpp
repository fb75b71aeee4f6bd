// SPDX-License-Identifier: Apache-2.0
//
// trace_builder.hpp - writes a trace by hand for tests of the model:
//     TraceBuilder t;
//     t.runs(0, 7).at(1000).cpu(0).switch_to(8, {.state = KF_ST_SLEEP}).at(1500).waking(7).wakeup(7, 1);
//     Timeline timeline = t.timeline(0, 4000);
// It keeps track of the task on each CPU and of each thread's switch count, as the recorder does. No file, no chunks.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "model/timeline_builder.hpp"

namespace kflight::test {

struct SwitchSpec {
  std::uint8_t state = KF_ST_RUNNING;
  bool preempt = false;
  bool iowait = false;
  bool throttled = false;
  const char* call = nullptr;  // name of the system call it is in
  std::uint64_t enter_ns = 0;
  std::array<std::uint64_t, 4> args{};
  std::uint8_t prev_prio = KF_DEFAULT_PRIO;
  std::uint8_t next_prio = KF_DEFAULT_PRIO;
};

struct WakeSpec {
  std::uint8_t ctx = KF_CTX_TASK;
  const char* call = nullptr;  // the waker's
  model::CauseKind cause = model::CauseKind::kNotNoted;
  std::uint32_t cause_ref = model::kNone;
  std::uint64_t enqueued_ns = 0;  // with the enqueue merged into the waking, on queue_cpu
  std::uint16_t queue_cpu = model::kNoCpu;
};

struct BlockSpec {
  std::uint8_t op = 1;  // write
  std::uint8_t ctx = KF_CTX_TASK;
  std::uint32_t bytes = 4096;
  std::uint32_t dev = 254u << 20;
};

// How a work item was queued; at_ns 0: nobody saw it.
struct QueueSpec {
  std::uint64_t at_ns = 0;
  std::uint32_t by = 0;
  std::uint16_t cpu = 0;
  std::uint8_t ctx = KF_CTX_TASK;
  std::uint8_t cause = KF_CAUSE_NONE;
  std::uint32_t detail = 0;
  std::array<std::uint64_t, 2> args{};
};

class TraceBuilder {
 public:
  TraceBuilder& at(std::uint64_t ns) {
    now_ns_ = ns;
    return *this;
  }
  TraceBuilder& cpu(std::uint16_t cpu) {
    cpu_ = cpu;
    return *this;
  }
  // The task a CPU runs before its first event. Said to the Timeline as a fact from before the window.
  TraceBuilder& runs(std::uint16_t cpu, std::uint32_t tid);
  // A thread that sleeps when the window begins.
  TraceBuilder& sleeps(std::uint32_t tid, const SwitchSpec& spec = {.state = KF_ST_SLEEP});
  // A runnable one, on the queue of a CPU.
  TraceBuilder& queued(std::uint32_t tid, std::uint16_t cpu);
  // What the snapshot at the dump says of it; `flags` are KF_TASK_*.
  TraceBuilder& named(std::uint32_t tid, const char* comm, std::uint32_t flags = 0);

  TraceBuilder& switch_to(std::uint32_t next, const SwitchSpec& spec = {});
  TraceBuilder& waking(std::uint32_t tid, const WakeSpec& spec = {});
  TraceBuilder& wakeup(std::uint32_t tid, std::uint16_t target_cpu, bool is_new = false);
  TraceBuilder& migrate(std::uint32_t tid, std::uint16_t to);
  TraceBuilder& fork(std::uint32_t child, std::uint32_t child_tgid);
  TraceBuilder& exec(std::uint32_t new_tid, std::uint32_t old_tid, const char* comm);
  TraceBuilder& returns(const char* call, std::uint64_t enter_ns, std::int64_t ret);
  // What goes with the cause register. A waking whose cause travels on the wire, as bpf/cause.bpf.c notes it:
  TraceBuilder& caused_waking(std::uint32_t tid, std::uint8_t ctx, std::uint8_t cause, std::uint32_t detail,
                              std::array<std::uint64_t, 2> args = {});
  TraceBuilder& block(std::uint8_t phase, std::uint64_t request, const BlockSpec& spec = {});
  TraceBuilder& work(std::uint64_t function, std::uint64_t started_ns, const QueueSpec& queued);
  TraceBuilder& signal(std::uint32_t target, std::uint8_t number, std::uint32_t target_tgid = 0);
  TraceBuilder& lock_wait(std::uint32_t owner, std::uint8_t kind = KF_LOCK_MUTEX);
  TraceBuilder& throttle(std::uint64_t group);
  TraceBuilder& refill(std::uint64_t group, bool some_wait = false);
  TraceBuilder& interrupts(std::uint64_t since_ns, std::uint64_t spent_ns, std::uint32_t count = 1);
  TraceBuilder& loss(std::uint64_t from_ns, std::uint64_t count);
  std::uint32_t request(const model::BlockRequest& request);

  std::uint32_t current(std::uint16_t cpu) const;
  // Switch-outs happen but their events, and those of `cpu`'s current task, are lost.
  TraceBuilder& unseen_switch_to(std::uint32_t next);

  std::vector<Event>& events() { return events_; }
  std::vector<kf_base_task>& base_tasks() { return base_tasks_; }
  std::vector<kf_base_lane>& base_lanes() { return base_lanes_; }
  std::vector<kf_loss>& losses() { return losses_; }
  model::Timeline timeline(std::uint64_t begin_ns, std::uint64_t end_ns) const;

 private:
  template <class E>
  E event() const {
    E e;
    static_cast<EventHead&>(e) = {now_ns_, current(cpu_), cpu_, false};
    return e;
  }
  kf_base_task& base(std::uint32_t tid);

  struct Caused {  // a waking whose cause is given as the model has it
    std::size_t before_event;
    model::WakeFact fact;
  };

  std::uint64_t now_ns_ = 0;
  std::uint16_t cpu_ = 0;
  std::map<std::uint16_t, std::uint32_t> current_;
  std::map<std::uint32_t, std::uint8_t> switches_;
  std::vector<Event> events_;
  std::vector<Caused> caused_;
  std::vector<model::BlockRequest> requests_;
  std::vector<kf_base_task> base_tasks_;
  std::vector<kf_base_lane> base_lanes_;
  std::vector<kf_task> tasks_;
  std::vector<kf_loss> losses_;
};

kf_sys call_named(const char* name, const std::array<std::uint64_t, 4>& args = {});

}  // namespace kflight::test
