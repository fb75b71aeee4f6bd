// SPDX-License-Identifier: Apache-2.0
#include "record/recover.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/clocks.hpp"
#include "base/units.hpp"
#include "dump/decoder.hpp"
#include "dump/lane_order.hpp"
#include "dump/schema.hpp"
#include "dump/writer.hpp"
#include "record/host.hpp"
#include "record/kernel_symbols.hpp"

namespace kflight::record {
namespace {

// What a recorder would have counted, and what its dump needs from outside, taken from the chunks themselves.
class Salvage {
 public:
  Salvage(const LeftWindow& left, const Dump& state)
      : state_(state), lanes_(state.base_lanes().begin(), state.base_lanes().end()) {
    for (const auto chunk : left.chunks) take(chunk);
    dump::sort_by_lane(sorted_, lanes_);
    begin_lanes();
    for (const LossEvent& loss : dump::find_losses(sorted_, lanes_))
      (loss.reason == 1 ? nested_lost_ : ring_lost_) += loss.count;
    end_lanes();
  }

  const std::vector<std::span<const std::byte>>& chunks() const { return chunks_; }
  const WindowInfo& window() const { return window_; }
  const std::vector<kf_base_lane>& lanes() const { return lanes_; }
  const std::vector<kf_loss>& losses() const { return losses_; }  // by the recorder's death
  const std::set<std::uint64_t>& work_functions() const { return work_functions_; }

  void count_losses(LossInfo& losses) const {
    // The saved counts may be older than the newest chunks, whose numbers show what was lost since.
    losses.ring_events = std::max(losses.ring_events, ring_lost_);
    losses.nested_events = std::max(losses.nested_events, nested_lost_);
    losses.stacks += stacks_lost_;
  }

 private:
  void take(std::span<const std::byte> bytes);
  void look_at_events(const dump::ChunkRef& chunk);
  bool in_base(const kf_chunk& chunk) const;
  void begin_lanes();
  void begin_lane(const kf_chunk& first);
  void end_lanes();

  const Dump& state_;
  std::vector<kf_base_lane> lanes_;
  std::vector<std::span<const std::byte>> chunks_;
  std::vector<dump::ChunkRef> sorted_;
  WindowInfo window_;
  std::uint64_t ring_lost_ = 0, nested_lost_ = 0, stacks_lost_ = 0;
  std::vector<kf_loss> losses_;
  std::set<std::uint64_t> work_functions_;
};

// It had left the window, and its facts are in the base state, but its memory was not used again yet.
bool Salvage::in_base(const kf_chunk& chunk) const {
  const auto lane = std::ranges::find(lanes_, chunk.lane, &kf_base_lane::lane);
  if (lane == lanes_.end()) return false;
  if (dump::is_nested(chunk)) return chunk.nested_before < lane->nested_through;
  return lane->known != 0 && static_cast<std::int32_t>(chunk.seq - lane->next_seq) < 0;
}

void Salvage::take(std::span<const std::byte> bytes) {
  const auto* head = reinterpret_cast<const kf_chunk*>(bytes.data());  // segments, and chunks in them, are aligned
  if (head->n_words == 0 || in_base(*head)) return;
  const dump::ChunkRef chunk{.head = head, .words = {reinterpret_cast<const kf_u64*>(head + 1), head->n_words}};
  chunks_.push_back(bytes);
  sorted_.push_back(chunk);
  look_at_events(chunk);
  window_.bytes += bytes.size();
  ++window_.chunks;
  window_.hits += head->n_hits;
}

void Salvage::look_at_events(const dump::ChunkRef& chunk) {
  dump::ChunkCursor cursor(*chunk.head, chunk.words);
  for (Event event; cursor.next(event);) {
    if (const auto* work = std::get_if<WorkEvent>(&event)) work_functions_.insert(work->function);
    if (const auto* stack = std::get_if<StackEvent>(&event))
      for (const std::uint64_t id : {stack->kernel_stack, stack->user_stack})
        stacks_lost_ += id != 0 && state_.stack(id) == nullptr;
  }
  window_.events += cursor.decoded();
}

// The window begins where the saved base state ends.
void Salvage::begin_lanes() {
  window_.from_ns = state_.meta().window.from_ns;
  window_.limited_by = state_.meta().window.limited_by;
  const dump::ChunkRef* before = nullptr;
  for (const dump::ChunkRef& chunk : sorted_) {
    const bool first = before == nullptr || !dump::same_source(*before, chunk);
    if (first && !dump::is_nested(*chunk.head)) begin_lane(*chunk.head);
    before = &chunk;
  }
  std::ranges::sort(lanes_, {}, &kf_base_lane::lane);
}

// Chunks may have left the window since the state was saved: then this lane begins with its first chunk, and what the
// base state says about threads is from before a gap. (Nested events of the first chunk's time came before it.)
void Salvage::begin_lane(const kf_chunk& first) {
  auto lane = std::ranges::find(lanes_, first.lane, &kf_base_lane::lane);
  if (lane == lanes_.end())
    lane = lanes_.insert(lane, kf_base_lane{.lane = first.lane, .through_ns = state_.meta().window.from_ns});
  if (first.seq == lane->next_seq) return;
  const auto gone = first.events_before - std::min(first.events_before, lane->events_through);
  losses_.push_back({.kind = KF_LOSS_EVICTED,
                     .lane = first.lane,
                     .from_ns = lane->through_ns,
                     .to_ns = first.last_ns,
                     .count = gone});
  *lane = {.lane = first.lane,
           .known = 1,
           .cur_tid = first.cur_tid,
           .through_ns = first.base_ns,
           .next_seq = first.seq,
           .events_through = first.events_before,
           .nested_through = std::max(lane->nested_through, first.nested_before)};
  window_.from_ns = std::max<std::uint64_t>(window_.from_ns, first.last_ns);
  window_.limited_by = "max-bytes";
}

// Whatever a CPU did after its last chunk was still in the kernel when the recorder died. How much, nobody knows.
void Salvage::end_lanes() {
  std::map<std::uint16_t, std::uint64_t> known_to_ns;
  const auto cpus = std::min(state_.meta().host.cpus_online, 1u << 16);  // a lane's number has 16 bits
  for (std::uint32_t cpu = 0; cpu < cpus; ++cpu)
    known_to_ns[static_cast<std::uint16_t>(cpu)] = state_.meta().window.from_ns;
  const auto known_to = [&](std::uint16_t cpu, std::uint64_t ns) {
    known_to_ns[cpu] = std::max(known_to_ns[cpu], ns);
    window_.to_ns = std::max(window_.to_ns, ns + 1);
  };
  window_.to_ns = window_.from_ns;
  for (const kf_base_lane& lane : lanes_) known_to(lane.lane, lane.through_ns);
  for (const dump::ChunkRef& chunk : sorted_)
    if (!dump::is_nested(*chunk.head)) known_to(chunk.head->lane, chunk.head->last_ns);
  for (const auto& [cpu, ns] : known_to_ns)
    losses_.push_back({.kind = KF_LOSS_UNFLUSHED, .lane = cpu, .from_ns = ns, .to_ns = window_.to_ns, .count = 0});
}

DumpMeta describe(const LeftWindow& left, const Dump& state, const Salvage& salvage) {
  DumpMeta meta = state.meta();
  const std::uint64_t saved_ns = meta.window.to_ns;
  meta.window = salvage.window();
  salvage.count_losses(meta.losses);
  const auto age = meta.window.to_ns > saved_ns ? meta.window.to_ns - saved_ns : 0;
  meta.cause = {.trigger = "recovered", .kind = "recovered", .fired_ns = meta.window.to_ns};
  meta.cause.note = fmt::format(
      "what the recorder with PID {} left behind when it died; it had saved names, stacks and what preceded the window "
      "{} before the end",
      left.pid, format_duration(static_cast<std::int64_t>(age)));
  if (left.damaged_chunks > 0)
    meta.cause.note += fmt::format("; {} damaged chunks are left out", left.damaged_chunks);
  return meta;
}

dump::RecordBlob stacks_of(const Dump& state) {
  dump::RecordBlob blob;
  for (const Stack& stack : state.stacks()) blob.add(stack.head, std::as_bytes(stack.frames), std::as_bytes(stack.tops));
  return blob;
}

dump::RecordBlob files_of(const Dump& state) {
  dump::RecordBlob blob;
  for (const MappedFile& file : state.files()) blob.add(file.head, file.path);
  return blob;
}

// A tmpfs does not outlive a boot, so the kernel that runs is the one that was recorded; its modules may have changed.
dump::RecordBlob kernel_symbols_of(const Dump& state, const Salvage& salvage) {
  if (state.meta().host.boot_id != read_host().boot_id) return {};
  std::set<std::uint64_t> addresses = salvage.work_functions();
  for (const Stack& stack : state.stacks())
    if (!(stack.head.flags & KF_STACK_USER)) addresses.insert(stack.frames.begin(), stack.frames.end());
  return KernelSymbols().of(std::vector<std::uint64_t>(addresses.begin(), addresses.end()));
}

}  // namespace

Result<Recovered> write_recovered(const Leftover& leftover, ByteSink& sink) {
  KF_TRY_ASSIGN(const LeftWindow left, leftover.read());
  KF_TRY_ASSIGN(const Dump state, Dump::from_bytes(left.state));
  const Salvage salvage(left, state);
  const DumpMeta meta = describe(left, state, salvage);
  std::vector<kf_loss> losses(state.losses().begin(), state.losses().end());
  losses.insert(losses.end(), salvage.losses().begin(), salvage.losses().end());

  dump::DumpWriter writer(sink);
  KF_TRY(writer.begin(read_all_clocks().realtime));
  KF_TRY(writer.schema(dump::schema_json()));
  KF_TRY(writer.meta(meta));
  KF_TRY(writer.base(state.base_tasks(), salvage.lanes()));
  KF_TRY(writer.losses(losses));
  KF_TRY(writer.stacks(stacks_of(state)));
  KF_TRY(writer.base_stacks(state.base_stacks()));
  KF_TRY(writer.mappings(state.mappings(), files_of(state)));
  KF_TRY(writer.vdso(state.vdso()));
  KF_TRY(writer.kernel_symbols(kernel_symbols_of(state, salvage)));
  for (const auto chunk : salvage.chunks()) KF_TRY(writer.chunk_bytes(chunk));
  KF_TRY(writer.finish());
  return Recovered{.pid = left.pid,
                   .events = meta.window.events,
                   .window_ns = meta.window.to_ns - meta.window.from_ns,
                   .damaged_chunks = left.damaged_chunks};
}

}  // namespace kflight::record
