// SPDX-License-Identifier: Apache-2.0
//
// dump_survey.cpp - the pass over the chunks: decodes all of them once and finds everything that can excuse a
// violation.
#include "analyze/dump_survey.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "dump/decoder.hpp"
#include "dump/lane_order.hpp"

namespace kflight::analyze {

namespace {

constexpr std::uint64_t kForever = std::numeric_limits<std::uint64_t>::max();

Evidence about(const kf_chunk& head, std::string what) {
  return {head.base_ns, head.lane, std::nullopt, fmt::format("chunk {}: {}", head.seq, what)};
}

}  // namespace

// Who leaves CPUs, and where somebody else leaves than came. Fed with the ordinary chunks of each CPU in their order.
class DumpSurvey::ThreadSurvey {
 public:
  struct BrokenStay {
    std::uint32_t tid;
    std::uint16_t cpu;
    std::uint64_t from_ns, to_ns;
  };
  struct Begin {
    std::uint16_t cpu;
    std::uint64_t first_ns;
  };
  std::vector<BrokenStay> broken;
  std::vector<Begin> begins;  // of CPUs of which nothing is known from before
  std::unordered_set<std::uint32_t> visible;  // of those that come: who also leaves, or was born while recorded

  explicit ThreadSurvey(std::span<const kf_base_lane> lanes) {
    for (const kf_base_lane& lane : lanes)
      if (lane.known) stay_on(lane.lane) = {lane.cur_tid, lane.through_ns, true, false};
  }
  void happened(const EventHead& by) {
    Stay& stay = stay_on(by.cpu);
    if (!stay.known && stay.since_ns == 0) begins.push_back({by.cpu, stay.since_ns = by.ts_ns});
    stay.acted |= by.tid == stay.tid;
  }
  void switched(const SwitchEvent& e) {
    if (e.nested) return;
    Stay& stay = stay_on(e.cpu);
    if (stay.known && stay.tid != e.tid) broken.push_back({stay.tid, e.cpu, stay.since_ns, e.ts_ns});
    visible.insert(e.tid);
    stay = {e.next_tid, e.ts_ns, true, false};
  }
  // Whoever came last stays, and does nothing that is an event.
  void finish() {
    for (std::size_t cpu = 0; cpu < stays_.size(); ++cpu)
      if (const Stay& stay = stays_[cpu]; stay.known && !stay.acted)
        broken.push_back({stay.tid, static_cast<std::uint16_t>(cpu), stay.since_ns, kForever});
  }

 private:
  struct Stay {
    std::uint32_t tid = 0;
    std::uint64_t since_ns = 0;  // while it is not known: of the CPU's first event
    bool known = false;
    bool acted = false;  // an event names who came
  };
  Stay& stay_on(std::uint16_t cpu) {
    if (cpu >= stays_.size()) stays_.resize(std::size_t{cpu} + 1);
    return stays_[cpu];
  }

  std::vector<Stay> stays_;  // by CPU, the one that is not over
};

DumpSurvey::DumpSurvey(const Dump& d) : dump(d) {
  const RecordedConfig& config = dump.meta().config;
  system_scope = config.scope != "target";
  const std::unordered_set<std::uint32_t> targets(config.target_pids.begin(), config.target_pids.end());
  const auto cover = [&](std::uint32_t tid, std::uint32_t tgid) {
    if (!system_scope && targets.contains(tgid)) covered.insert(tid);
  };
  for (const kf_base_task& task : dump.base_tasks()) cover(task.tid, task.tgid);
  for (const kf_task& task : dump.tasks()) cover(task.tid, task.tgid);
  survey_chunks();
  const LossInfo& lost = dump.meta().losses;
  base_may_lag = lost.ring_events + lost.window + lost.nested_events > lost_in_rings + lost_nested;
  note_losses();
  set_interval();
  losses.seal();
}

// Decodes each chunk and compares it with its own header and with the chunk of the same CPU before it.
void DumpSurvey::survey_chunks() {
  std::vector<dump::ChunkRef> sorted(dump.chunks().begin(), dump.chunks().end());
  duplicate_chunks = dump::sort_by_lane(sorted, dump.base_lanes());
  ThreadSurvey threads(dump.base_lanes());
  const dump::ChunkRef* before = nullptr;
  for (const dump::ChunkRef& chunk : sorted) {
    if (before && dump::same_source(*before, chunk) && !dump::is_nested(*chunk.head))
      compare_neighbours(*before->head, *chunk.head);
    survey_events(chunk, threads);
    before = &chunk;
  }
  threads.finish();
  find_hidden_threads(threads);
  for (const LossEvent& loss : dump::find_losses(sorted, dump.base_lanes())) {
    losses.add(loss.cpu, loss.from_ns, loss.ts_ns);
    if (loss.reason == 0) lost_in_rings += loss.count;
    if (loss.reason == 1) lost_nested += loss.count;
  }
}

void DumpSurvey::compare_neighbours(const kf_chunk& before, const kf_chunk& head) {
  const std::uint64_t through = before.events_before + before.n_events;
  if (head.seq == before.seq + 1 && head.events_before != through)
    number_problems.push_back(about(head, fmt::format("{} events precede it by its own count, {} by its predecessor's",
                                                      head.events_before, through)));
  if (head.base_ns < before.last_ns)
    content_problems.push_back(about(head, "begins before the previous one of its CPU ends"));
}

void DumpSurvey::survey_events(const dump::ChunkRef& chunk, ThreadSurvey& threads) {
  const kf_chunk& head = *chunk.head;
  dump::ChunkCursor cursor(head, chunk.words);
  for (Event event; cursor.next(event);) {
    threads.happened(kflight::head(event));
    if (const auto* e = std::get_if<SwitchEvent>(&event))
      threads.switched(*e);
    else if (const auto* exec = std::get_if<ExecEvent>(&event); exec && exec->old_tid != exec->new_tid)
      renamed.insert({exec->old_tid, exec->new_tid});
    else if (const auto* fork = std::get_if<ForkEvent>(&event)) {
      threads.visible.insert(fork->child_tid);
      const bool stays_covered = covered.contains(fork->parent_tid) && (fork->is_thread || dump.meta().config.follow);
      if (stays_covered) covered.insert(fork->child_tid);
      else covered.erase(fork->child_tid);  // another one had this id
    }
  }
  events += cursor.decoded();
  ++chunks;
  if (cursor.damaged()) {
    content_problems.push_back(about(head, fmt::format("cannot be decoded after its event {}", cursor.decoded())));
    losses.add(head.lane, head.base_ns, head.last_ns);
  } else if (cursor.decoded() != head.n_events) {
    content_problems.push_back(
        about(head, fmt::format("holds {} events, its header says {}", cursor.decoded(), head.n_events)));
  } else if (cursor.now_ns() != head.last_ns) {
    content_problems.push_back(about(head, "its last event is not at the time its header says"));
  }
}

// Some systems keep a supervisor's threads out of the reach of BPF: others are seen switching to them, but while one of
// them runs, nothing is recorded on its CPU, and no snapshot shows it. To us that is a hole like any other.
void DumpSurvey::find_hidden_threads(const ThreadSurvey& threads) {
  std::unordered_set<std::uint32_t> listed;
  for (const kf_task& task : dump.tasks()) listed.insert(task.tid);
  // A recovered dump has no snapshot of its own, only those that its base state began with.
  if (listed.empty())
    for (const kf_base_task& task : dump.base_tasks())
      if (task.known & (KF_BASE_SNAPSHOT | KF_BASE_IDENTITY)) listed.insert(task.tid);
  for (const ThreadSurvey::BrokenStay& stay : threads.broken) {
    if (stay.tid == 0 || threads.visible.contains(stay.tid) || listed.contains(stay.tid) || listed.empty()) continue;
    losses.add(stay.cpu, stay.from_ns, stay.to_ns);
    ++hidden_stays;
  }
  if (hidden_stays == 0) return;
  for (const ThreadSurvey::Begin& begin : threads.begins) losses.add(begin.cpu, 0, begin.first_ns);  // one may have been there
}

void DumpSurvey::note_losses() {
  for (const kf_loss& loss : dump.losses())
    if (kf_hides_events(&loss)) losses.add(loss.lane, loss.from_ns, loss.to_ns);
}

// A file that was cut off or damaged may lack the last chunks of any CPU; a CPU without any chunk may lack them all.
void DumpSurvey::set_interval() {
  begin_ns = dump.window_begin_ns();
  end_ns = dump.window_end_ns();
  if (dump.complete() && dump.damage().empty()) return;
  std::map<std::uint16_t, std::pair<std::uint64_t, std::uint64_t>> reach;  // by CPU: first and last time
  for (const dump::ChunkRef& chunk : dump.chunks()) {
    auto [at, fresh] = reach.try_emplace(chunk.head->lane, chunk.head->base_ns, chunk.head->last_ns);
    at->second.first = std::min<std::uint64_t>(at->second.first, chunk.head->base_ns);
    at->second.second = std::max<std::uint64_t>(at->second.second, chunk.head->last_ns);
  }
  for (const auto& [cpu, times] : reach) {
    if (dump.base_lanes().empty()) losses.add(cpu, 0, times.first);
    losses.add(cpu, times.second, kForever);
  }
  if (reach.size() < dump.meta().host.cpus_online || reach.empty()) losses.add(LossIndex::kAnyCpu, 0, kForever);
}

}  // namespace kflight::analyze
