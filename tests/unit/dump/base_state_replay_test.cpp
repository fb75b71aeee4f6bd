// SPDX-License-Identifier: Apache-2.0
//
// What the base state is for: a dump that has lost its oldest chunks to eviction, replayed from the base facts, must
// show every thread in the very states that all events would have shown. A small scheduler makes up streams as the
// kernel would emit them (wakings that race with the switch-out included), a small state machine reads them both ways.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

#include "dump/base_state.hpp"
#include "dump/merge.hpp"
#include "support/chunk_builder.hpp"

namespace kflight::dump {
namespace {

using namespace test;

constexpr kf_u32 kCpus = 3, kThreads = 7;

// ---------------------------------------------------------------- the scheduler

class Scheduler {
 public:
  explicit Scheduler(std::uint64_t seed) : random_(seed) {
    for (kf_u32 cpu = 0; cpu < kCpus; ++cpu) lanes_.emplace_back(kf_u16(cpu));
  }

  // Chunks in the order in which they left their CPUs.
  std::vector<BuiltChunk> run(int steps) {
    for (int i = 0; i < steps; ++i) {
      now_ += 1 + pick(30);
      switch (pick(6)) {
        case 0:
        case 1:
          reschedule(pick(kCpus));
          break;
        case 2:
          prepare_to_sleep();
          break;
        case 3:
          wake();
          break;
        case 4:
          finish_wakeups();
          break;
        case 5:
          migrate();
          break;
      }
    }
    for (auto& lane : lanes_)
      if (!lane.empty()) sealed_.push_back(lane.build());
    return std::move(sealed_);
  }

 private:
  enum class Is { kBlocked, kWaking, kQueued, kRunning };
  struct Thread {
    Is is = Is::kBlocked;
    kf_u32 cpu = 0;
    bool about_to_sleep = false;
    bool woken_too_late = false;  // the waker came when it could no longer be kept from switching out
  };

  kf_u32 pick(std::size_t n) { return kf_u32(random_() % n); }
  Thread& thread(kf_u32 tid) { return threads_[tid - 1]; }
  ChunkBuilder& lane(kf_u32 cpu) {
    if (lanes_[cpu].word_count() > 8 + pick(20)) sealed_.push_back(lanes_[cpu].build());
    return lanes_[cpu].at(Nanos(now_));
  }

  void reschedule(kf_u32 cpu) {
    const kf_u32 prev = running_[cpu];
    kf_u32 next = 0;
    for (kf_u32 tid = 1; tid <= kThreads; ++tid)
      if (thread(tid).is == Is::kQueued && thread(tid).cpu == cpu && pick(2)) next = tid;
    if (next == prev) return;
    kf_u32 state = KF_ST_RUNNING;
    if (prev != 0) {
      Thread& t = thread(prev);
      if (t.about_to_sleep) state = KF_ST_SLEEP;
      t.is = !t.about_to_sleep ? Is::kQueued : t.woken_too_late ? Is::kWaking : Is::kBlocked;
      t.about_to_sleep = t.woken_too_late = false;
    }
    if (next != 0) thread(next).is = Is::kRunning;
    lane(cpu).switch_to(next, state);
    running_[cpu] = next;
  }
  void prepare_to_sleep() {
    if (const kf_u32 tid = running_[pick(kCpus)]) thread(tid).about_to_sleep = true;
  }
  void wake() {
    const kf_u32 tid = 1 + pick(kThreads), cpu = pick(kCpus);
    Thread& t = thread(tid);
    if (running_[cpu] == tid) return;
    if (t.is == Is::kRunning && t.about_to_sleep && !t.woken_too_late) {
      lane(cpu).waking(tid);
      if (pick(2))
        t.woken_too_late = true;
      else
        t.about_to_sleep = false;
    } else if (t.is == Is::kBlocked) {
      const bool merged = pick(2) != 0;
      t.is = merged ? Is::kQueued : Is::kWaking;
      t.cpu = pick(kCpus);
      merged ? lane(cpu).woken(tid, {.cpu = t.cpu}) : lane(cpu).waking(tid);
    }
  }
  void finish_wakeups() {
    for (kf_u32 tid = 1; tid <= kThreads; ++tid) {
      Thread& t = thread(tid);
      if (t.is != Is::kWaking) continue;
      t.is = Is::kQueued;
      t.cpu = pick(kCpus);
      lane(pick(kCpus)).wakeup(tid, t.cpu);
      now_ += 1;
    }
  }
  void migrate() {
    const kf_u32 tid = 1 + pick(kThreads);
    Thread& t = thread(tid);
    if (t.is != Is::kQueued) return;
    const kf_u32 from = std::exchange(t.cpu, pick(kCpus));
    lane(pick(kCpus)).migrate(tid, from, t.cpu);
  }

  std::mt19937_64 random_;
  std::uint64_t now_ = 1000;
  std::vector<ChunkBuilder> lanes_;
  std::vector<BuiltChunk> sealed_;
  std::array<kf_u32, kCpus> running_{};
  std::array<Thread, kThreads> threads_{};
};

// ---------------------------------------------------------------- the reader

enum class State { kUnknown, kRunning, kQueued, kBlocked };

struct View {
  State state = State::kUnknown;
  std::uint32_t cpu = 0;
  std::uint64_t woken_ns = 0;  // of a queued thread: the waking that ended its sleep
  std::uint64_t early_ns = 0;  // a waking while it ran
  friend bool operator==(const View& a, const View& b) {
    return std::tie(a.state, a.cpu, a.woken_ns, a.early_ns) == std::tie(b.state, b.cpu, b.woken_ns, b.early_ns);
  }
};

struct Reader {
  std::map<std::uint32_t, View> threads;

  void out(std::uint32_t tid, std::uint32_t cpu, std::uint8_t state) {
    View& v = threads[tid];
    v.state = state == KF_ST_RUNNING ? State::kQueued : State::kBlocked;
    v.cpu = cpu;
    v.woken_ns = 0;
  }
  void in(std::uint32_t tid, std::uint32_t cpu) { threads[tid] = {State::kRunning, cpu, 0, 0}; }
  void waking(std::uint32_t tid, std::uint64_t ts_ns) {
    View& v = threads[tid];
    if (v.state == State::kRunning) v.early_ns = ts_ns;
    if (v.state != State::kBlocked && v.state != State::kUnknown) return;
    v.state = State::kQueued;
    v.woken_ns = ts_ns;
    v.early_ns = 0;
  }
  void placed(std::uint32_t tid, std::uint32_t cpu) {
    View& v = threads[tid];
    if (v.state == State::kBlocked) {
      v.state = State::kQueued;
      v.woken_ns = std::exchange(v.early_ns, 0);
    }
    if (v.state == State::kQueued) v.cpu = cpu;
  }
  void read(const Event& event) {
    visit(
        event,
        [&](const SwitchEvent& e) {
          if (e.tid) out(e.tid, e.cpu, e.prev_state);
          if (e.next_tid) in(e.next_tid, e.cpu);
        },
        [&](const WakingEvent& e) {
          waking(e.wakee, e.ts_ns);
          if (e.has_wakeup) placed(e.wakee, e.target_cpu);
        },
        [&](const WakeupEvent& e) { placed(e.wakee, e.target_cpu); },
        [&](const MigrateEvent& e) { placed(e.migrated_tid, e.dest_cpu); });
  }
};

using Step = std::tuple<std::uint64_t, int, std::function<void(Reader&)>>;

// The facts of a thread as the steps they stand for. Of a merged waking the placement has the same time: it comes
// second.
void add_facts(const kf_base_task& t, std::vector<Step>& steps) {
  if (t.out_ns) steps.push_back({t.out_ns, 0, [t](Reader& r) { r.out(t.tid, t.out_cpu, t.out_state); }});
  if (t.in_ns) steps.push_back({t.in_ns, 1, [t](Reader& r) { r.in(t.tid, t.in_cpu); }});
  if (t.waking_ns) steps.push_back({t.waking_ns, 0, [t](Reader& r) { r.waking(t.tid, t.waking_ns); }});
  if (t.wakeup_ns) steps.push_back({t.wakeup_ns, 1, [t](Reader& r) { r.placed(t.tid, t.wakeup_cpu); }});
}

// The threads after each moment later than from_ns.
std::map<std::uint64_t, std::map<std::uint32_t, View>> read(std::span<const BuiltChunk> chunks, const BaseState& base,
                                                            std::uint64_t from_ns) {
  std::vector<Step> steps;
  for (const auto& task : base.tasks()) add_facts(task, steps);
  std::vector<ChunkRef> refs;
  for (const auto& chunk : chunks) refs.push_back({&chunk.head, chunk.words});
  const auto lanes = base.lanes();
  Merger merger(refs, lanes);
  for (Event event; merger.next(event);) {
    EXPECT_FALSE(std::holds_alternative<LossEvent>(event));
    steps.push_back({head(event).ts_ns, 2, [event](Reader& r) { r.read(event); }});
  }
  std::stable_sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) {
    return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
  });
  Reader reader;
  std::map<std::uint64_t, std::map<std::uint32_t, View>> views;
  for (const auto& [ts_ns, order, apply] : steps) {
    apply(reader);
    views[std::max(ts_ns, from_ns)] = reader.threads;
  }
  return views;
}

TEST(BaseStateReplay, FactsAndTheRestShowTheStatesThatAllEventsShow) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 400; ++round) {
    const auto chunks = Scheduler(random()).run(400);
    const std::size_t evicted = random() % chunks.size();
    BaseState base;
    for (std::size_t i = 0; i < evicted; ++i) base.fold(chunks[i].head, chunks[i].words);
    std::uint64_t window_begin_ns = 0;
    for (const auto& lane : base.lanes()) window_begin_ns = std::max<std::uint64_t>(window_begin_ns, lane.through_ns);
    const auto all = read(chunks, BaseState(), window_begin_ns);
    const auto rest = read(std::span(chunks).subspan(evicted), base, window_begin_ns);
    ASSERT_TRUE(all == rest) << "round " << round << ", " << evicted << " of " << chunks.size() << " chunks evicted";
  }
}

}  // namespace
}  // namespace kflight::dump
