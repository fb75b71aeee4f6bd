// SPDX-License-Identifier: Apache-2.0
#include "export/perfetto_bundle.hpp"

#include <protozero/varint.hpp>

#include "base/escape.hpp"

namespace kflight::exports {

namespace {

void put(std::string& column, std::uint64_t value) { protozero::add_varint_to_buffer(&column, value); }

}  // namespace

// The first time of a bundle is absolute, the others count from the one before.
void FtraceBundle::add_time(Columns& columns, std::uint64_t ts_ns) const {
  put(columns.timestamps, ts_ns - columns.last_ns);
  columns.last_ns = ts_ns;
}

void FtraceBundle::add_switch(std::uint64_t ts_ns, std::uint32_t prev_state, const TaskRef& next) {
  add_time(switches_, ts_ns);
  put(switches_.states, prev_state);
  put(switches_.pids, next.tid);
  put(switches_.prios, next.prio);
  put(switches_.comms, comm_index(next.comm));
  ++count_;
}

void FtraceBundle::add_waking(std::uint64_t ts_ns, const TaskRef& wakee, std::uint16_t target_cpu,
                              std::uint32_t flags) {
  add_time(wakings_, ts_ns);
  put(wakings_.pids, wakee.tid);
  put(wakings_.cpus, target_cpu);
  put(wakings_.prios, wakee.prio);
  put(wakings_.comms, comm_index(wakee.comm));
  put(wakings_.flags, flags);
  ++count_;
}

std::uint32_t FtraceBundle::comm_index(std::string_view comm) {
  const auto [place, is_new] = comm_indices_.emplace(comm, static_cast<std::uint32_t>(comm_indices_.size()));
  if (is_new) {
    pf::Message<pf::CompactSched> table(intern_table_);
    table.add_string(pf::CompactSched::kInternTable, escape_for_terminal(comm));
  }
  return place->second;
}

void FtraceBundle::write_compact(pf::Message<pf::Bundle>& bundle) const {
  using C = pf::CompactSched;
  std::string compact = intern_table_;
  pf::Message<C> message(compact);
  if (!switches_.timestamps.empty()) {
    message.add_bytes(C::kSwitchTimestamp, switches_.timestamps);
    message.add_bytes(C::kSwitchPrevState, switches_.states);
    message.add_bytes(C::kSwitchNextPid, switches_.pids);
    message.add_bytes(C::kSwitchNextPrio, switches_.prios);
    message.add_bytes(C::kSwitchNextComm, switches_.comms);
  }
  if (!wakings_.timestamps.empty()) {
    message.add_bytes(C::kWakingTimestamp, wakings_.timestamps);
    message.add_bytes(C::kWakingPid, wakings_.pids);
    message.add_bytes(C::kWakingTargetCpu, wakings_.cpus);
    message.add_bytes(C::kWakingPrio, wakings_.prios);
    message.add_bytes(C::kWakingComm, wakings_.comms);
    message.add_bytes(C::kWakingFlags, wakings_.flags);
  }
  bundle.add_message(pf::Bundle::kCompactSched, compact);
}

void FtraceBundle::flush(PacketOutput& out) {
  if (count_ == 0) return;
  std::string bytes;
  {
    pf::Message<pf::Bundle> bundle(bytes);
    bundle.add_uint32(pf::Bundle::kCpu, cpu_);
    if (lost_) bundle.add_bool(pf::Bundle::kLostEvents, true);
    if (previous_end_ns_ != 0) bundle.add_uint64(pf::Bundle::kPreviousBundleEnd, previous_end_ns_);
    if (!comm_indices_.empty()) write_compact(bundle);
  }
  bytes += events_;
  out.packet([&](pf::Message<pf::Packet>& packet) { packet.add_message(pf::Packet::kFtraceEvents, bytes); });
  *this = FtraceBundle(cpu_, 0);
}

}  // namespace kflight::exports
