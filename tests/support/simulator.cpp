// SPDX-License-Identifier: Apache-2.0
#include "support/simulator.hpp"

#include <algorithm>

namespace kflight::test {

using model::State;

Simulator::Simulator(std::uint64_t seed, std::uint64_t end_us) : random_(seed), end_us_(end_us) {
  cpus_.resize(pick(1, 4));
  const std::uint32_t threads = pick(3, 11);
  for (std::uint32_t tid = 1; tid <= threads; ++tid) threads_[tid].script = random_script();
}

std::uint32_t Simulator::pick(std::uint32_t low, std::uint32_t high) {
  return low + static_cast<std::uint32_t>(random_() % (high - low + 1));
}

bool Simulator::chance(double p) { return static_cast<double>(random_() >> 11) * 0x1p-53 < p; }

std::uint32_t Simulator::short_delay() {
  constexpr std::uint32_t kDelays[] = {0, 0, 1, 3};
  return kDelays[random_() % 4];
}

std::vector<Simulator::Step> Simulator::random_script() {
  std::vector<Step> script;
  for (std::uint32_t i = pick(2, 5); i > 0; --i) {
    const std::uint32_t kind = pick(0, 99);
    if (kind < 30) {
      script.push_back({Op::kCompute, pick(1, 120)});
    } else if (kind < 45) {
      script.push_back({Op::kSleep, pick(5, 200)});
    } else if (kind < 60) {
      script.push_back({Op::kDisk, pick(5, 150)});
    } else if (kind < 85) {
      const std::uint32_t lock = pick(0, 2), inside = pick(0, 2);
      script.push_back({Op::kLock, lock});
      script.push_back(inside == 0   ? Step{Op::kCompute, pick(1, 60)}
                       : inside == 1 ? Step{Op::kSleep, pick(5, 80)}
                                     : Step{Op::kDisk, pick(5, 60)});
      script.push_back({Op::kUnlock, lock});
    } else if (kind < 93) {
      script.push_back({Op::kSend, pick(0, 2)});
      script.push_back({Op::kCompute, 3});
    } else {
      script.push_back({Op::kReceive, pick(0, 2)});
    }
  }
  script.push_back({Op::kCompute, pick(1, 20)});
  return script;
}

std::uint64_t Simulator::stamp() {
  within_us_ = now_us_ == last_us_ ? within_us_ + 1 : 0;
  last_us_ = now_us_;
  return now_us_ * 1000 + within_us_;
}

void Simulator::emit(SimEvent event) {
  event.ts_ns = stamp();
  events_.push_back(event);
}

void Simulator::plan(Planned planned, std::uint64_t after_us) {
  planned.at_us = now_us_ + after_us;
  planned.order = ++order_;
  planned_.push(planned);
}

bool Simulator::on_cpu(std::uint32_t tid) const {
  return std::any_of(cpus_.begin(), cpus_.end(), [tid](const Cpu& cpu) { return cpu.current == tid; });
}

void Simulator::run() {
  for (const auto& [tid, task] : threads_) wake(tid, 0, {});
  while (!planned_.empty() && planned_.top().at_us < end_us_) {
    const Planned planned = planned_.top();
    planned_.pop();
    now_us_ = planned.at_us;
    perform(planned);
  }
}

void Simulator::perform(const Planned& planned) {
  Cpu& cpu = cpus_[planned.cpu];
  switch (planned.due) {
    case Due::kEnqueue:
      return enqueue(planned.tid);
    case Due::kReschedule:
      cpu.reschedules = false;
      if (cpu.current == 0) switch_task(planned.cpu, SimWait::kNothing);
      return;
    case Due::kSlice:
      if (planned.turn == cpu.turn) slice_over(planned.cpu, planned.value);
      return;
    case Due::kBlock:
      if (planned.turn == cpu.turn) switch_task(planned.cpu, planned.wait);
      return;
    case Due::kTimer:
    case Due::kDisk:
      return wake(planned.tid, 0, planned.request);
  }
}

void Simulator::wake(std::uint32_t tid, std::uint16_t waker_cpu, SimEvent how) {
  how.kind = SimKind::kWaking;
  how.cpu = waker_cpu;
  how.current = cpus_[waker_cpu].current;
  how.tid = tid;
  emit(how);
  if (on_cpu(tid)) {
    threads_[tid].woken_early = true;
    return;
  }
  truth_[tid].push_back({events_.back().ts_ns, State::kRunnable});
  Planned enqueue_later{};
  enqueue_later.due = Due::kEnqueue;
  enqueue_later.tid = tid;
  plan(enqueue_later, short_delay());
}

void Simulator::enqueue(std::uint32_t tid) {
  const auto target = static_cast<std::uint16_t>(pick(0, static_cast<std::uint32_t>(cpus_.size()) - 1));
  SimEvent event;
  event.kind = SimKind::kWakeup;
  event.cpu = static_cast<std::uint16_t>(pick(0, static_cast<std::uint32_t>(cpus_.size()) - 1));
  event.current = cpus_[event.cpu].current;
  event.tid = tid;
  event.target = target;
  emit(event);
  Cpu& cpu = cpus_[target];
  cpu.queue.push_back(tid);
  if (cpu.current != 0 || cpu.reschedules) return;
  cpu.reschedules = true;
  Planned reschedule{};
  reschedule.due = Due::kReschedule;
  reschedule.cpu = target;
  plan(reschedule, pick(1, 4));
}

std::uint32_t Simulator::next_task(std::uint16_t cpu) {
  std::deque<std::uint32_t>& own = cpus_[cpu].queue;
  if (!own.empty()) {
    const std::uint32_t tid = own.front();
    own.pop_front();
    return tid;
  }
  for (std::uint32_t other = 0; other < cpus_.size(); ++other) {
    std::deque<std::uint32_t>& queue = cpus_[other].queue;
    if (other == cpu || queue.empty() || !chance(0.5)) continue;
    const std::uint32_t tid = queue.back();
    queue.pop_back();
    SimEvent event;
    event.kind = SimKind::kMigrate;
    event.cpu = cpu;
    event.current = cpus_[cpu].current;
    event.tid = tid;
    event.target = cpu;
    emit(event);
    return tid;
  }
  return 0;
}

void Simulator::switch_task(std::uint16_t index, SimWait wait) {
  Cpu& cpu = cpus_[index];
  const std::uint32_t before = cpu.current, next = next_task(index);
  if (before == 0 && next == 0) return;
  ++cpu.turn;
  SimEvent event;
  event.kind = SimKind::kSwitch;
  event.cpu = index;
  event.current = before;
  event.tid = next;
  event.wait = wait;
  event.nsw = before == 0 ? 0 : ++threads_[before].switches;
  cpu.current = next;
  emit(event);
  const std::uint64_t now_ns = events_.back().ts_ns;
  if (before != 0) {
    Task& task = threads_[before];
    const bool runnable = wait == SimWait::kNothing || task.woken_early;
    truth_[before].push_back({now_ns, runnable ? State::kRunnable : State::kBlocked});
    if (task.woken_early) {
      task.woken_early = false;
      Planned enqueue_later{};
      enqueue_later.due = Due::kEnqueue;
      enqueue_later.tid = before;
      plan(enqueue_later, pick(0, 2));
    }
  }
  if (next == 0) return;
  truth_[next].push_back({now_ns, State::kRunning});
  run_script(index);
}

void Simulator::slice_over(std::uint16_t index, std::uint32_t ran_us) {
  Cpu& cpu = cpus_[index];
  const std::uint32_t tid = cpu.current;
  threads_[tid].left_us -= ran_us;
  if (chance(0.05)) {  // somebody wakes a thread that does not sleep
    SimEvent event;
    event.kind = SimKind::kWaking;
    event.cpu = index;
    event.current = tid;
    event.tid = tid;
    event.source = SimSource::kTimer;
    emit(event);
  }
  if (!cpu.queue.empty() && chance(0.6)) {
    cpu.queue.push_back(tid);
    switch_task(index, SimWait::kNothing);
  } else {
    run_script(index);
  }
}

// Runs the current task's script until a step takes time.
void Simulator::run_script(std::uint16_t index) {
  Cpu& cpu = cpus_[index];
  Task& task = threads_[cpu.current];
  for (;;) {
    if (task.left_us != 0) {
      Planned slice{};
      slice.due = Due::kSlice;
      slice.cpu = index;
      slice.turn = cpu.turn;
      slice.value = std::min(task.left_us, 40u);
      return plan(slice, slice.value);
    }
    const Step step = task.script[task.at++ % task.script.size()];
    if (perform_step(index, step)) return;
  }
}

// True when the task is about to block.
bool Simulator::perform_step(std::uint16_t index, const Step& step) {
  const std::uint32_t tid = cpus_[index].current;
  Task& task = threads_[tid];
  Planned wake_later{};
  wake_later.tid = tid;
  switch (step.op) {
    case Op::kCompute:
      task.left_us = step.value;
      return false;
    case Op::kSleep:
      wake_later.due = Due::kTimer;
      wake_later.request.source = SimSource::kTimer;
      plan(wake_later, step.value);
      block_soon(index, SimWait::kSleep);
      return true;
    case Op::kDisk: {
      const std::uint32_t queue_us = pick(0, 5), completion_us = pick(0, 3);
      wake_later.due = Due::kDisk;
      wake_later.request.source = SimSource::kDisk;
      wake_later.request.queued_ns = now_us_ * 1000;
      wake_later.request.issued_ns = (now_us_ + queue_us) * 1000;
      wake_later.request.completed_ns = (now_us_ + queue_us + step.value) * 1000;
      plan(wake_later, queue_us + step.value + completion_us);
      block_soon(index, SimWait::kDisk);
      return true;
    }
    case Op::kLock: {
      Lock& lock = locks_[step.value];
      if (lock.owner != 0) {
        lock.waiters.push_back(tid);
        block_soon(index, SimWait::kFutex);
        return true;
      }
      lock.owner = tid;
      break;
    }
    case Op::kUnlock: {
      Lock& lock = locks_[step.value];
      if (lock.owner != tid) break;
      lock.owner = 0;
      if (lock.waiters.empty()) break;
      lock.owner = lock.waiters.front();
      lock.waiters.pop_front();
      wake(lock.owner, index, {});
      break;
    }
    case Op::kSend: {
      Channel& channel = channels_[step.value];
      if (channel.receivers.empty()) {
        ++channel.messages;
        break;
      }
      const std::uint32_t receiver = channel.receivers.front();
      channel.receivers.pop_front();
      wake(receiver, index, {});
      break;
    }
    case Op::kReceive: {
      Channel& channel = channels_[step.value];
      if (channel.messages == 0) {
        channel.receivers.push_back(tid);
        block_soon(index, SimWait::kPipe);
        return true;
      }
      --channel.messages;
      break;
    }
  }
  task.left_us = 1;
  return false;
}

void Simulator::block_soon(std::uint16_t index, SimWait wait) {
  Planned block{};
  block.due = Due::kBlock;
  block.cpu = index;
  block.turn = cpus_[index].turn;
  block.wait = wait;
  plan(block, short_delay());
}

}  // namespace kflight::test
