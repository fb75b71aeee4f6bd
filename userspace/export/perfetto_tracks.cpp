// SPDX-License-Identifier: Apache-2.0
#include "export/perfetto_tracks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/escape.hpp"
#include "dump/syscalls.hpp"

namespace kflight::exports {

using model::ThreadId;
using model::Timeline;

namespace {

constexpr std::uint64_t kTriggerTrack = 1, kExplainTrack = 2, kWindowTrack = 3, kLossTracks = 1000,
                        kQuotaTracks = 1'000'000;

// Key and text of what a slice shows when it is selected.
using Notes = std::vector<std::pair<std::string_view, std::string>>;

class Tracks {
 public:
  Tracks(const Timeline& timeline, PacketOutput& out) : timeline_(timeline), out_(out) {}

  void describe(std::uint64_t uuid, std::string_view name) {
    out_.packet([&](auto& packet) {
      pf::Message<pf::TrackDescriptor> track(packet, pf::Packet::kTrackDescriptor);
      track.add_uint64(pf::TrackDescriptor::kUuid, uuid);
      track.add_string(pf::TrackDescriptor::kName, std::string(name));
    });
  }
  void slice(std::uint64_t track, std::uint64_t begin_ns, std::uint64_t end_ns, std::string_view name,
             const Notes& notes) {
    begin(track, begin_ns, name, notes);
    end(track, end_ns);
  }
  void begin(std::uint64_t track, std::uint64_t ts_ns, std::string_view name, const Notes& notes) {
    event(track, ts_ns, pf::kSliceBegin, name, notes);
  }
  void end(std::uint64_t track, std::uint64_t ts_ns) { event(track, ts_ns, pf::kSliceEnd, {}, {}); }
  void instant(std::uint64_t track, std::uint64_t ts_ns, std::string_view name, const Notes& notes) {
    event(track, ts_ns, pf::kInstant, name, notes);
  }

  std::uint64_t cut(std::uint64_t ts_ns) const { return std::clamp(ts_ns, timeline_.begin_ns(), timeline_.end_ns()); }

 private:
  void event(std::uint64_t track, std::uint64_t ts_ns, std::int32_t type, std::string_view name, const Notes& notes) {
    out_.packet([&](pf::Message<pf::Packet>& packet) {
      packet.add_uint64(pf::Packet::kTimestamp, ts_ns);
      pf::Message<pf::TrackEvent> event(packet, pf::Packet::kTrackEvent);
      event.add_enum(pf::TrackEvent::kType, type);
      event.add_uint64(pf::TrackEvent::kTrackUuid, track);
      if (type == pf::kSliceEnd) return;
      event.add_string(pf::TrackEvent::kCategories, "kflight");
      event.add_string(pf::TrackEvent::kName, std::string(name));
      for (const auto& [key, text] : notes) {
        pf::Message<pf::DebugAnnotation> note(event, pf::TrackEvent::kDebugAnnotations);
        note.add_string(pf::DebugAnnotation::kName, std::string(key));
        note.add_string(pf::DebugAnnotation::kString, text);
      }
    });
  }

  const Timeline& timeline_;
  PacketOutput& out_;
};

std::string joined(const std::vector<std::string>& chain) {
  std::string text;
  for (const std::string& link : chain) text += (text.empty() ? "" : " > ") + link;
  return text;
}

// The chain over time: the operation on top, below it each wait that led on, at the bottom what the time went to. A
// slice stays open as long as the chain above it is the same.
void write_explained(const ExplainedOperation& explained, Tracks& tracks) {
  const std::uint64_t begin_ns = tracks.cut(explained.begin_ns), end_ns = tracks.cut(explained.end_ns);
  if (explained.spans.empty() || begin_ns >= end_ns) return;
  tracks.describe(kExplainTrack, "kflight explain");
  tracks.begin(kExplainTrack, begin_ns, explained.name, {});
  std::vector<std::string> open;  // below the operation
  std::uint64_t at_ns = begin_ns;
  for (const ExplainedSpan& span : explained.spans) {
    const std::uint64_t from_ns = std::max(tracks.cut(span.begin_ns), at_ns), to_ns = tracks.cut(span.end_ns);
    if (from_ns >= to_ns) continue;
    const auto common = std::mismatch(open.begin(), open.end(), span.chain.begin(), span.chain.end()).first;
    auto keep = static_cast<std::size_t>(common - open.begin());
    if (from_ns > at_ns) keep = 0;  // a gap: nothing goes on over it
    for (std::size_t i = open.size(); i > keep; --i) tracks.end(kExplainTrack, at_ns);
    open.resize(keep);
    for (std::size_t i = keep; i < span.chain.size(); ++i) {
      tracks.begin(kExplainTrack, from_ns, span.chain[i], {});
      open.push_back(span.chain[i]);
    }
    tracks.slice(kExplainTrack, from_ns, to_ns, span.name,
                 {{"category", span.category}, {"quality", span.quality}, {"chain", joined(span.chain)}});
    at_ns = to_ns;
  }
  for (std::size_t i = open.size(); i > 0; --i) tracks.end(kExplainTrack, at_ns);
  tracks.end(kExplainTrack, end_ns);
}

void write_trigger(const Cause& cause, Tracks& tracks) {
  if (cause.fired_ns == 0 || cause.fired_ns != tracks.cut(cause.fired_ns)) return;
  Notes notes{{"kind", escape_for_terminal(cause.kind)}};
  if (cause.has_call) {
    notes.emplace_back("thread", fmt::format("{} ({})", escape_for_terminal(cause.comm.view()), cause.tid));
    notes.emplace_back("call", dump::describe_call(cause.nr, cause.abi, cause.args));
    if (!cause.call_in_flight) notes.emplace_back("result", dump::describe_result(cause.nr, cause.ret));
  }
  if (!cause.note.empty()) notes.emplace_back("note", escape_for_terminal(cause.note));
  tracks.describe(kTriggerTrack, "kflight trigger");
  tracks.instant(kTriggerTrack, cause.fired_ns, escape_for_terminal(cause.trigger), notes);
}

// Stretches that overlap are shown as one.
void write_losses(const Timeline& timeline, Tracks& tracks) {
  struct Hole {
    std::uint64_t from_ns, to_ns, events;
  };
  std::map<std::uint16_t, std::vector<Hole>> by_cpu;
  for (const model::Loss& loss : timeline.losses().all()) {
    const Hole hole{tracks.cut(loss.from_ns), tracks.cut(loss.to_ns), loss.count};
    if (hole.from_ns >= hole.to_ns) continue;
    auto& holes = by_cpu[loss.cpu];
    if (holes.empty() || hole.from_ns > holes.back().to_ns) {
      holes.push_back(hole);
    } else {
      holes.back().to_ns = std::max(holes.back().to_ns, hole.to_ns);
      holes.back().events += hole.events;
    }
  }
  for (const auto& [cpu, holes] : by_cpu) {
    const std::uint64_t track = kLossTracks + cpu;
    tracks.describe(track, cpu == model::kNoCpu ? "kflight: events missing, any CPU"
                                                : fmt::format("kflight: events missing, CPU {}", cpu));
    for (const Hole& hole : holes)
      tracks.slice(track, hole.from_ns, hole.to_ns,
                   hole.events == 0 ? "some events are missing" : fmt::format("{} events are missing", hole.events),
                   {});
  }
}

// To Perfetto a throttled thread is a preempted one.
void write_quota(const Timeline& timeline, Tracks& tracks) {
  for (ThreadId id = 0; id < timeline.threads().size(); ++id) {
    const model::Thread& thread = timeline.thread(id);
    bool described = false;
    for (std::size_t i = 0; i < thread.intervals.size(); ++i) {
      if (thread.intervals[i].state != model::State::kThrottled) continue;
      const std::uint64_t from_ns = tracks.cut(thread.intervals[i].begin_ns);
      const std::uint64_t to_ns = tracks.cut(timeline.interval_end_ns(thread, i));
      if (from_ns >= to_ns) continue;
      if (!described)
        tracks.describe(kQuotaTracks + id,
                        fmt::format("kflight: out of CPU quota, {}", model::thread_label(timeline, id, from_ns)));
      described = true;
      tracks.slice(kQuotaTracks + id, from_ns, to_ns, "out of CPU quota", {});
    }
  }
}

}  // namespace

void write_tracks(const model::Trace& trace, const ExplainedOperation& explained, PacketOutput& out) {
  const Timeline& timeline = trace.timeline();
  Tracks tracks(timeline, out);
  write_trigger(trace.meta().cause, tracks);
  write_explained(explained, tracks);
  write_losses(timeline, tracks);
  write_quota(timeline, tracks);
  // Last: the recorded time ends here, whatever the last event was.
  tracks.describe(kWindowTrack, "kflight window");
  tracks.instant(kWindowTrack, timeline.begin_ns(), "window begins", {});
  tracks.instant(kWindowTrack, timeline.end_ns(), "window ends", {});
}

}  // namespace kflight::exports
