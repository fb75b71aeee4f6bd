// SPDX-License-Identifier: Apache-2.0
//
// export.cpp - writes simulated traces and kflight's explanations of random intervals in them, one JSON object per
// line, in the terms of an independent reference model. differential.py answers the same questions with that model.
//   export FIRST_SEED TRACES INTERVALS_PER_THREAD
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "analyze/explain.hpp"
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

json trace_json(std::uint64_t seed, int per_thread) {
  Simulator run(seed, 3000);
  run.run();
  const std::uint64_t begin_ns = seed % 2 ? 400'000 + seed % 700 * 1'003 : 0;
  const model::Trace trace(record(run, {.seed = seed, .begin_ns = begin_ns}).timeline);
  json out{{"seed", seed}, {"begin", begin_ns}, {"end", run.end_ns()}};
  for (std::size_t i = 0; i < run.events().size(); ++i) out["events"].push_back(event_json(run.events()[i], i));
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

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: export FIRST_SEED TRACES INTERVALS_PER_THREAD\n");
    return 2;
  }
  const auto first = std::strtoull(argv[1], nullptr, 10), traces = std::strtoull(argv[2], nullptr, 10);
  for (std::uint64_t seed = first; seed < first + traces; ++seed)
    fmt::print("{}\n", trace_json(seed, std::atoi(argv[3])).dump());
  return 0;
}
