// SPDX-License-Identifier: Apache-2.0
//
// export.cpp - writes traces and kflight's explanations of random intervals in them, one JSON object per line, in the
// terms of an independent reference model. differential.py answers the same questions with that model.
//   export simulated FIRST_SEED TRACES INTERVALS_PER_THREAD
//   export dump FILE SEED INTERVALS
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "analyze/explain.hpp"
#include "oracle/real_run.hpp"
#include "support/simulator.hpp"

namespace {

using namespace kflight;
using namespace kflight::test;
using analyze::Category;
using nlohmann::json;

// The model's number for a CPU's idle task.
long task_number(std::uint32_t tid, std::uint16_t cpu) { return tid == 0 ? -(cpu + 1L) : static_cast<long>(tid); }

json source_of(const SimEvent& e) {
  if (e.source == SimSource::kTimer) return {"timer"};
  if (e.source == SimSource::kIrq) return {"irq"};
  if (e.source == SimSource::kDisk) return {"io", "vda", e.queued_ns, e.issued_ns, e.completed_ns};
  return nullptr;
}

json event_json(const SimEvent& e, std::size_t seq) {
  json out{{"ts", e.ts_ns}, {"seq", seq}, {"cpu", e.cpu}};
  switch (e.kind) {
    case SimKind::kWaking:
      out["k"] = "wk";
      out["tid"] = e.tid;
      out["ctx"] = e.source == SimSource::kTask ? "TASK" : "HARDIRQ";
      out["waker"] = task_number(e.current, e.cpu);
      out["src"] = source_of(e);
      break;
    case SimKind::kWakeup:
    case SimKind::kMigrate:
      out["k"] = e.kind == SimKind::kWakeup ? "wu" : "mig";
      out["tid"] = e.tid;
      out["cpu"] = e.target;
      break;
    case SimKind::kSwitch:
      out["k"] = "sw";
      out["prev"] = task_number(e.current, e.cpu);
      out["next"] = task_number(e.tid, e.cpu);
      out["st"] = e.wait == SimWait::kNothing ? 0 : 1;
      out["preempt"] = e.preempt;
      break;
  }
  return out;
}

// Who and what, as the reference model words it.
std::pair<std::string, std::string> words(const model::Timeline& timeline, const analyze::Leaf& leaf) {
  const auto tid = [&timeline](model::ThreadId id) { return std::to_string(timeline.thread(id).tid); };
  const std::string cpu = fmt::format("cpu{}", leaf.who.id);
  switch (leaf.category) {
    case Category::kCpu:
      return {tid(leaf.who.id), "cpu"};
    case Category::kContention:
      return {tid(leaf.who.id), "runq:cpu contention"};
    case Category::kWakeLatency:
      return {cpu, "runq:idle cpu (wake latency)"};
    case Category::kEnqueue:
      return {"kernel", "runq:enqueue (waking to wakeup)"};
    case Category::kDiskBeforeSubmit:
      return {"vda", "disk:before submit"};
    case Category::kDiskQueue:
      return {"vda", "disk:queued"};
    case Category::kDiskService:
      return {"vda", "disk:device"};
    case Category::kDiskCompletion:
      return {"vda", "disk:completion"};
    case Category::kTimer:
      return {"timer", "irq:timer"};
    case Category::kIrq:
      return {"irq", "irq:irq"};
    case Category::kStillBlocked:
      return {tid(leaf.who.id), "still blocked"};
    case Category::kKernelUnattributed:
      return {"cpu", "irq:unattributed"};
    case Category::kUnknown:
      if (leaf.who.kind == analyze::Who::Kind::kThread) return {tid(leaf.who.id), "unknown"};
      if (leaf.who.id == model::kNoCpu) return {tid(leaf.thread), "runq:cpu unknown"};
      return {cpu, "runq:unknown occupant"};
    default:
      return {"?", std::string(analyze::category_name(leaf.category))};
  }
}

json query_json(const model::Trace& trace, model::ThreadId id, std::uint64_t a, std::uint64_t b) {
  json leaves = json::array();
  for (const auto& leaf : analyze::explain(trace, id, a, b).leaves) {
    const auto [who, what] = words(trace.timeline(), leaf);
    leaves.push_back({leaf.begin_ns, leaf.end_ns, who, what});
  }
  return {{"tid", trace.timeline().thread(id).tid}, {"a", a}, {"b", b}, {"leaves", leaves}};
}

json events_json(const SimRun& run) {
  json out = json::array();
  for (std::size_t i = 0; i < run.events.size(); ++i) out.push_back(event_json(run.events[i], i));
  return out;
}

json running_json(const SimRun& run) {
  json out = json::array();
  for (const auto& [tid, cpu] : run.running) out.push_back({tid, cpu});
  return out;
}

json simulated_json(std::uint64_t seed, int per_thread) {
  Simulator run(seed, 3000);
  run.run();
  const std::uint64_t begin_ns = seed % 2 ? 400'000 + seed % 700 * 1'003 : 0;
  const model::Trace trace(record(run, {.seed = seed, .begin_ns = begin_ns}).timeline);
  json out{{"name", fmt::format("simulated {}, window from {}", seed, begin_ns)},
           {"model_begin", 0},
           {"end", run.end_ns()},
           {"events", events_json(run.happened())}};
  std::mt19937_64 random(seed);
  const std::uint64_t span = run.end_ns() - begin_ns;
  for (std::uint32_t tid = 1; tid <= run.threads(); ++tid) {
    const model::ThreadId id = trace.timeline().find_thread(tid, begin_ns);
    for (int i = 0; i < per_thread; ++i) {
      const std::uint64_t x = begin_ns + random() % span, y = begin_ns + random() % (span + 1);
      out["queries"].push_back(query_json(trace, id, std::min(x, y), std::max(x, y)));
    }
  }
  return out;
}

// Of threads as often as they have events, for most threads of a machine only sleep.
Result<json> dump_json(const char* path, std::uint64_t seed, std::uint64_t intervals) {
  KF_TRY_ASSIGN(const Dump dump, Dump::open(path));
  KF_TRY_ASSIGN(const SimRun run, run_of(dump));
  const std::uint64_t begin_ns = dump.window_begin_ns();
  const model::Trace trace(record(run, {.seed = seed, .begin_ns = begin_ns}).timeline);
  json out{{"name", fmt::format("{}, seed {}", path, seed)},
           {"model_begin", begin_ns},
           {"end", run.end_ns},
           {"running", running_json(run)},
           {"events", events_json(run)},
           {"queries", json::array()}};
  std::mt19937_64 random(seed);
  while (!run.events.empty() && out["queries"].size() < intervals) {
    const SimEvent& event = run.events[random() % run.events.size()];
    if (event.tid == 0) continue;
    const std::uint64_t longest_ns = 50'000'000ULL >> random() % 12;
    const std::uint64_t around_ns = event.ts_ns - std::min(event.ts_ns - begin_ns, random() % longest_ns);
    const std::uint64_t to_ns = std::min(run.end_ns, around_ns + random() % longest_ns);
    out["queries"].push_back(
        query_json(trace, trace.timeline().find_thread(event.tid, around_ns), around_ns, std::max(around_ns, to_ns)));
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc == 5 ? argv[1] : "";
  const auto number = [argv](int i) { return std::strtoull(argv[i], nullptr, 10); };
  if (what == "simulated") {
    for (std::uint64_t seed = number(2); seed < number(2) + number(3); ++seed)
      fmt::print("{}\n", simulated_json(seed, static_cast<int>(number(4))).dump());
    return 0;
  }
  if (what == "dump") {
    const auto json = dump_json(argv[2], number(3), number(4));
    if (json) fmt::print("{}\n", json->dump());
    if (!json) fmt::print(stderr, "{}\n", json.error().what);
    return json ? 0 : 1;
  }
  fmt::print(stderr,
             "usage: export simulated FIRST_SEED TRACES INTERVALS_PER_THREAD\n"
             "       export dump FILE SEED INTERVALS\n");
  return 2;
}
