// SPDX-License-Identifier: Apache-2.0
//
// perfetto_bundle.hpp - what one CPU did, in Perfetto's compact form: switches and wakings as arrays of equal length,
// column by column, names in a table; other events beside them. Within a bundle a reader takes switches before wakings
// before other events of the same time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "export/perfetto_packets.hpp"
#include "kflight/wire.h"

namespace kflight::exports {

// Whom a switch or a waking is about. `comm` must stay where it is until the bundle is written.
struct TaskRef {
  std::uint32_t tid = 0;
  std::uint8_t prio = KF_DEFAULT_PRIO;
  std::string_view comm;
};

class FtraceBundle {
 public:
  // `previous_end_ns`: this CPU's events are complete from then on.
  FtraceBundle(std::uint16_t cpu, std::uint64_t previous_end_ns) : cpu_(cpu), previous_end_ns_(previous_end_ns) {}

  // prev_state as the sched_switch tracepoint prints it since 4.14. Times must not go back.
  void add_switch(std::uint64_t ts_ns, std::uint32_t prev_state, const TaskRef& next);
  // flags as in common_flags of ftrace: from which context the waking came.
  void add_waking(std::uint64_t ts_ns, const TaskRef& wakee, std::uint16_t target_cpu, std::uint32_t flags);
  // Any other event: `fill` gets the builder of the FtraceEvent. pid is the task it happened in.
  template <class Fill>
  void add_event(std::uint64_t ts_ns, std::uint32_t pid, Fill fill) {
    std::string event;
    pf::Message<pf::FtraceEvent> message(event);
    message.add_uint64(pf::FtraceEvent::kTimestamp, ts_ns);
    message.add_uint32(pf::FtraceEvent::kPid, pid);
    fill(message);
    pf::Message<pf::Bundle>(events_).add_message(pf::Bundle::kEvent, event);
    ++count_;
  }
  // Events between this bundle and the one before it are missing.
  void mark_lost() { lost_ = true; }

  bool is_full() const noexcept { return count_ >= kFullEvents; }
  // Writes what there is and starts over.
  void flush(PacketOutput& out);

 private:
  static constexpr std::uint32_t kFullEvents = 4096;

  struct Columns {
    std::string timestamps, states, pids, prios, comms, cpus, flags;  // packed varints
    std::uint64_t last_ns = 0;
  };
  void add_time(Columns& columns, std::uint64_t ts_ns) const;
  std::uint32_t comm_index(std::string_view comm);
  void write_compact(pf::Message<pf::Bundle>& bundle) const;

  std::uint16_t cpu_;
  std::uint64_t previous_end_ns_;  // 0: said already
  bool lost_ = false;
  std::uint32_t count_ = 0;
  Columns switches_, wakings_;
  std::string intern_table_;
  std::unordered_map<std::string_view, std::uint32_t> comm_indices_;
  std::string events_;
};

}  // namespace kflight::exports
