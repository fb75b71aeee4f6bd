// SPDX-License-Identifier: Apache-2.0
//
// simulator_record.cpp - from a simulated run to a Timeline, the way a recorder sees one: wakeups merged into their
// wakings, the part before the window folded into base facts by the recorder's own code, stretches of a CPU's events
// lost. Causes go in as facts beside the events, for the wire has no room for them yet.
#include <algorithm>
#include <chrono>
#include <optional>
#include <set>

#include "dump/base_state.hpp"
#include "support/chunk_builder.hpp"
#include "support/simulator.hpp"
#include "support/trace_builder.hpp"

namespace kflight::test {

namespace {

const char* call_of(SimWait wait) {
  switch (wait) {
    case SimWait::kSleep:
      return "nanosleep";
    case SimWait::kDisk:
      return "fsync";
    case SimWait::kFutex:
      return "futex";
    case SimWait::kPipe:
      return "read";
    default:
      return nullptr;
  }
}

std::uint8_t state_of(SimWait wait) {
  return wait == SimWait::kNothing ? KF_ST_RUNNING : wait == SimWait::kDisk ? KF_ST_DISK : KF_ST_SLEEP;
}

// A simulated event and what became of it on its way into the recording.
struct Seen {
  SimEvent event;
  std::uint64_t merged_ns = 0;  // waking: the wakeup that is part of it
  std::uint16_t merged_cpu = 0;
};

// About half of the wakeups whose waking is the last thing that concerned the wakee become part of it.
std::vector<Seen> merge_wakeups(const std::vector<SimEvent>& events, bool merge, std::mt19937_64& random) {
  std::vector<Seen> out;
  std::map<std::uint32_t, std::size_t> last_waking;
  for (const SimEvent& event : events) {
    if (event.kind == SimKind::kWakeup && merge && random() % 2) {
      if (const auto it = last_waking.find(event.tid); it != last_waking.end()) {
        out[it->second].merged_ns = event.ts_ns;
        out[it->second].merged_cpu = event.target;
        last_waking.erase(it);
        continue;
      }
    }
    last_waking.erase(event.tid);  // but not a switch-out: the waking may have come before it
    if (event.kind == SimKind::kWaking) last_waking[event.tid] = out.size();
    out.push_back({event});
  }
  return out;
}

void put(ChunkBuilder& lane, const Seen& seen) {
  const SimEvent& event = seen.event;
  lane.at(Nanos(event.ts_ns));
  const kf_u32 ctx = event.source == SimSource::kTask ? KF_CTX_TASK : KF_CTX_HARDIRQ;
  switch (event.kind) {
    case SimKind::kSwitch: {
      SwitchOptions options;
      options.preempt = event.preempt;
      options.nsw = event.nsw;
      if (const char* name = call_of(event.wait)) options.sys = call_named(name);
      lane.switch_to(event.tid, state_of(event.wait), options);
      break;
    }
    case SimKind::kWaking:
      if (seen.merged_ns != 0) {
        lane.woken(event.tid, {.cpu = seen.merged_cpu, .delay = Nanos(seen.merged_ns - event.ts_ns), .ctx = ctx});
      } else {
        lane.waking(event.tid, {.ctx = ctx});
      }
      break;
    case SimKind::kWakeup:
      lane.wakeup(event.tid, event.target);
      break;
    case SimKind::kMigrate:
      lane.migrate(event.tid, 0, event.target);
      break;
  }
}

void fold(dump::BaseState& base, std::vector<Seen>& events, std::uint64_t before_ns, std::uint16_t cpus) {
  for (std::uint16_t cpu = 0; cpu < cpus; ++cpu) {
    std::optional<ChunkBuilder> lane;
    for (const Seen& seen : events) {
      if (seen.event.cpu != cpu || seen.event.ts_ns >= before_ns) continue;
      if (!lane) lane.emplace(cpu, ChunkBuilder::Start{Nanos(seen.event.ts_ns), seen.event.current});
      put(*lane, seen);
      if (lane->word_count() < 400) continue;
      const BuiltChunk full = lane->build();
      base.fold(full.head, full.words);
    }
    if (!lane || lane->empty()) continue;
    const BuiltChunk rest = lane->build();
    base.fold(rest.head, rest.words);
  }
  std::erase_if(events, [before_ns](const Seen& seen) { return seen.event.ts_ns < before_ns; });
}

void feed(model::TimelineBuilder& builder, const Seen& seen) {
  const SimEvent& event = seen.event;
  const EventHead head{event.ts_ns, event.current, event.cpu, false};
  switch (event.kind) {
    case SimKind::kSwitch: {
      SwitchEvent e;
      static_cast<EventHead&>(e) = head;
      e.next_tid = event.tid;
      e.prev_state = state_of(event.wait);
      e.preempt = event.preempt;
      e.in_iowait = event.wait == SimWait::kDisk;
      e.nsw = event.nsw;
      if (const char* name = call_of(event.wait)) {
        e.has_sys = true;
        e.sys = call_named(name);
      }
      return builder.add(e);
    }
    case SimKind::kWaking: {
      UnknownEvent seen_by;  // a fact does not say whom its CPU runs, an event does
      static_cast<EventHead&>(seen_by) = head;
      builder.add(seen_by);
      const std::uint16_t queue = seen.merged_ns != 0 ? seen.merged_cpu : model::kNoCpu;
      model::WakeFact fact{event.tid, queue, KF_DEFAULT_PRIO, event.current, {}};
      fact.wake.ts_ns = event.ts_ns;
      fact.wake.enqueued_ns = seen.merged_ns;
      fact.wake.cpu = event.cpu;
      if (event.source != SimSource::kTask) fact.wake.ctx = KF_CTX_HARDIRQ;
      if (event.source == SimSource::kTimer) {
        fact.wake.cause = model::CauseKind::kTimer;
        fact.wake.cause_ref = model::kNone;
      }
      if (event.source == SimSource::kIrq) {
        fact.wake.cause = model::CauseKind::kIrq;
        fact.wake.cause_ref = 1;
      }
      if (event.source == SimSource::kDisk) {
        fact.wake.cause = model::CauseKind::kBlock;
        fact.wake.cause_ref = builder.add(
            model::BlockRequest{event.queued_ns, event.issued_ns, event.completed_ns, model::kNoThread, 254u << 20});
      }
      return builder.add(fact);
    }
    case SimKind::kWakeup: {
      WakeupEvent e;
      static_cast<EventHead&>(e) = head;
      e.wakee = event.tid;
      e.target_cpu = event.target;
      return builder.add(e);
    }
    case SimKind::kMigrate: {
      MigrateEvent e;
      static_cast<EventHead&>(e) = head;
      e.migrated_tid = event.tid;
      e.dest_cpu = event.target;
      return builder.add(e);
    }
  }
}

}  // namespace

Recording record(const SimRun& run, const RecordOptions& options) {
  std::mt19937_64 random(options.seed);
  const auto chance = [&random](double p) { return static_cast<double>(random() >> 11) * 0x1p-53 < p; };
  std::vector<Seen> events = merge_wakeups(run.events, options.merge_wakeups, random);
  dump::BaseState base;
  fold(base, events, options.begin_ns, run.cpus);
  const auto base_tasks = base.tasks();
  const auto base_lanes = base.lanes();
  model::TimelineBuilder builder({options.begin_ns, run.end_ns, base_tasks, base_lanes, {}, {}, 0});

  struct Hole {
    std::uint64_t from_ns = 0, count = 0, left = 0;
  };
  std::vector<Hole> holes(run.cpus);
  std::vector<std::uint64_t> last_ns(run.cpus, options.begin_ns);
  std::uint64_t lost_events = 0;
  for (const Seen& seen : events) {
    const std::uint16_t cpu = seen.event.cpu;
    Hole& hole = holes[cpu];
    if (hole.left == 0 && chance(options.lost_stretches)) hole = {last_ns[cpu], hole.count, 1 + random() % 40};
    if (hole.left != 0) {
      --hole.left;
      ++hole.count;
      ++lost_events;
      continue;
    }
    if (chance(options.lost_silently)) {
      ++lost_events;
      continue;
    }
    if (hole.count != 0) {
      LossEvent loss;
      static_cast<EventHead&>(loss) = {seen.event.ts_ns, seen.event.current, cpu, false};
      loss.from_ns = hole.from_ns;
      loss.count = hole.count;
      builder.add(loss);
      hole = {};
    }
    last_ns[cpu] = seen.event.ts_ns;
    feed(builder, seen);
  }
  // What a CPU lost up to the end shows by its counters.
  for (std::uint16_t cpu = 0; cpu < run.cpus; ++cpu) {
    if (holes[cpu].count == 0) continue;
    LossEvent loss;
    static_cast<EventHead&>(loss) = {run.end_ns, 0, cpu, false};
    loss.from_ns = holes[cpu].from_ns;
    loss.count = holes[cpu].count;
    builder.add(loss);
  }
  return {std::move(builder).finish(), lost_events};
}

}  // namespace kflight::test
