// SPDX-License-Identifier: Apache-2.0
//
// simulator.hpp - a small scheduler that makes traces whose truth is known: threads with scripts of computing,
// sleeping, disk requests, locks and messages on a few CPUs, with migration, wakings that overtake the sleeper's
// switch-out and wakings of threads that are awake. Deterministic for a seed. Times are strictly increasing ns.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <queue>
#include <random>
#include <vector>

#include "model/timeline_builder.hpp"

namespace kflight::test {

enum class SimKind : std::uint8_t { kWaking, kWakeup, kMigrate, kSwitch };
enum class SimSource : std::uint8_t { kTask, kTimer, kDisk, kIrq };
enum class SimWait : std::uint8_t { kNothing, kSleep, kDisk, kFutex, kPipe };

struct SimEvent {
  std::uint64_t ts_ns = 0;
  SimKind kind = SimKind::kSwitch;
  std::uint16_t cpu = 0;      // the lane: where it happened
  std::uint32_t current = 0;  // task on that CPU, 0 idle; of a switch the one that leaves
  std::uint32_t tid = 0;      // wakee, migrated thread, next task
  std::uint16_t target = 0;   // queue
  SimSource source = SimSource::kTask;
  SimWait wait = SimWait::kNothing;  // switch: what it blocks in; nothing: it stays runnable
  bool preempt = false;              // switch: it stays runnable whatever it was about to wait for
  std::uint8_t nsw = 0;
  std::uint64_t queued_ns = 0, issued_ns = 0, completed_ns = 0;  // of the disk request that ends the wait
};

// What happened, in order: made by a Simulator, or taken from a real recording.
struct SimRun {
  std::vector<SimEvent> events;
  std::uint16_t cpus = 0;
  std::uint64_t end_ns = 0;
  std::map<std::uint32_t, std::uint16_t> running;  // threads that ran from the beginning, where that is told, and their CPUs
};

struct SimState {
  std::uint64_t since_ns = 0;
  model::State state = model::State::kUnknown;
};

class Simulator {
 public:
  // `end_us` of simulated time; CPUs, threads and their scripts follow from the seed.
  Simulator(std::uint64_t seed, std::uint64_t end_us);
  void run();

  const std::vector<SimEvent>& events() const { return events_; }
  SimRun happened() const { return {events_, cpus(), end_ns()}; }
  const std::map<std::uint32_t, std::vector<SimState>>& truth() const { return truth_; }
  std::uint64_t end_ns() const { return end_us_ * 1000; }
  std::size_t threads() const { return threads_.size(); }
  std::uint16_t cpus() const { return static_cast<std::uint16_t>(cpus_.size()); }

 private:
  enum class Op : std::uint8_t { kCompute, kSleep, kDisk, kLock, kUnlock, kSend, kReceive };
  struct Step {
    Op op;
    std::uint32_t value;
  };
  struct Task {
    std::vector<Step> script;
    std::size_t at = 0;
    std::uint32_t left_us = 0;  // of the computing it is at
    bool woken_early = false;
    std::uint8_t switches = 0;
  };
  struct Cpu {
    std::uint32_t current = 0;
    std::deque<std::uint32_t> queue;
    std::uint32_t turn = 0;  // grows with every switch: what was planned for an earlier turn is void
    bool reschedules = false;
  };
  struct Lock {
    std::uint32_t owner = 0;
    std::deque<std::uint32_t> waiters;
  };
  struct Channel {
    std::uint32_t messages = 0;
    std::deque<std::uint32_t> receivers;
  };
  enum class Due : std::uint8_t { kEnqueue, kReschedule, kSlice, kBlock, kTimer, kDisk };
  struct Planned {
    std::uint64_t at_us;
    std::uint64_t order;
    Due due;
    std::uint16_t cpu;
    std::uint32_t tid, turn, value;
    SimEvent request;  // disk: times
    SimWait wait;
    bool operator<(const Planned& o) const { return at_us != o.at_us ? at_us > o.at_us : order > o.order; }
  };

  std::uint32_t pick(std::uint32_t low, std::uint32_t high);
  bool chance(double p);
  std::uint32_t short_delay();  // 0, 0, 1 or 3 us
  std::vector<Step> random_script();
  std::uint64_t stamp();
  void emit(SimEvent event);
  void plan(Planned planned, std::uint64_t after_us);
  void perform(const Planned& planned);
  void wake(std::uint32_t tid, std::uint16_t waker_cpu, SimEvent how);
  void enqueue(std::uint32_t tid);
  void switch_task(std::uint16_t cpu, SimWait wait);
  std::uint32_t next_task(std::uint16_t cpu);
  void slice_over(std::uint16_t cpu, std::uint32_t ran_us);
  void run_script(std::uint16_t cpu);
  bool perform_step(std::uint16_t cpu, const Step& step);
  void block_soon(std::uint16_t cpu, SimWait wait);
  bool on_cpu(std::uint32_t tid) const;

  std::mt19937_64 random_;
  std::uint64_t end_us_;
  std::uint64_t now_us_ = 0, last_us_ = ~0ULL;
  std::uint32_t within_us_ = 0;
  std::uint64_t order_ = 0;
  std::vector<Cpu> cpus_;
  std::map<std::uint32_t, Task> threads_;
  std::map<std::uint32_t, Lock> locks_;
  std::map<std::uint32_t, Channel> channels_;
  std::priority_queue<Planned> planned_;
  std::vector<SimEvent> events_;
  std::map<std::uint32_t, std::vector<SimState>> truth_;
};

// What a recorder would have kept of a simulated run.
struct RecordOptions {
  std::uint64_t seed = 1;      // of the choices below
  std::uint64_t begin_ns = 0;  // earlier events are folded into base facts
  bool merge_wakeups = true;   // about half of the wakeups become part of their waking
  double lost_stretches = 0;   // chance per event that a stretch of its lane's events begins to be lost, and reported
  double lost_silently = 0;    // chance per event to be missing without a word
};

struct Recording {
  model::Timeline timeline;
  std::uint64_t lost_events = 0;
};

Recording record(const SimRun& run, const RecordOptions& options = {});
inline Recording record(const Simulator& run, const RecordOptions& options = {}) {
  return record(run.happened(), options);
}

}  // namespace kflight::test
