// SPDX-License-Identifier: Apache-2.0
//
// perfetto.cpp - the packets in the order a reader needs them: clocks, the machine (its kernel's release decides how
// states are decoded, its architecture what system calls are called), processes, then everything that has a time.
#include "export/perfetto.hpp"

#include <unordered_map>

#include "base/escape.hpp"
#include "export/perfetto_packets.hpp"
#include "export/perfetto_sched.hpp"
#include "export/perfetto_tracks.hpp"

namespace kflight::exports {

using model::Thread;
using model::Timeline;

namespace {

constexpr std::uint32_t kKthreadd = 2;

// CLOCK_BOOTTIME is what all our times are.
void write_clocks(const model::Trace& trace, PacketOutput& out) {
  const ClockReading& clocks = trace.meta().clocks;
  const bool known = clocks.boottime != 0;
  out.packet([&](pf::Message<pf::Packet>& packet) {
    pf::Message<pf::ClockSnapshot> snapshot(packet, pf::Packet::kClockSnapshot);
    const auto add = [&snapshot](std::uint32_t id, std::uint64_t ns) {
      pf::Message<pf::Clock> clock(snapshot, pf::ClockSnapshot::kClocks);
      clock.add_uint32(pf::Clock::kClockId, id);
      clock.add_uint64(pf::Clock::kTimestamp, ns);
    };
    add(pf::kBoottime, known ? clocks.boottime : trace.timeline().begin_ns());
    if (known && clocks.monotonic != 0) add(pf::kMonotonic, clocks.monotonic);
    if (known && clocks.realtime != 0) add(pf::kRealtime, clocks.realtime);
    snapshot.add_enum(pf::ClockSnapshot::kPrimaryTraceClock, static_cast<std::int32_t>(pf::kBoottime));
  });
}

void write_system(const HostInfo& host, PacketOutput& out) {
  // A dump without metadata: states are ours, so the decoding has to be that of a kernel as we know them.
  const std::string release = host.kernel_release.empty() ? "5.10.0" : escape_for_terminal(host.kernel_release);
  out.packet([&](pf::Message<pf::Packet>& packet) {
    pf::Message<pf::SystemInfo> system(packet, pf::Packet::kSystemInfo);
    pf::Message<pf::Utsname> utsname(system, pf::SystemInfo::kUtsname);
    utsname.add_string(pf::Utsname::kSysname, "Linux");
    utsname.add_string(pf::Utsname::kVersion, escape_for_terminal(host.kernel_version));
    utsname.add_string(pf::Utsname::kRelease, release);
    utsname.add_string(pf::Utsname::kMachine, host.machine.empty() ? "x86_64" : escape_for_terminal(host.machine));
  });
}

// What the snapshot at the dump knows beyond the Timeline: parents and, of targets, programs.
class ProcessFacts {
 public:
  explicit ProcessFacts(const model::Trace& trace) {
    if (trace.dump())
      for (const kf_task& task : trace.dump()->tasks()) parents_.emplace(task.tgid, task.ppid);
    for (const ProcessInfo& process : trace.meta().targets) programs_.emplace(process.tgid, process.exe);
  }
  std::uint32_t parent(const Thread& thread) const {
    const auto found = parents_.find(thread.tgid);
    if (found != parents_.end()) return found->second;
    return thread.is_kthread && thread.tgid != kKthreadd ? kKthreadd : 0;
  }
  // Empty: not known.
  std::string program(std::uint32_t tgid) const {
    const auto found = programs_.find(tgid);
    return found == programs_.end() ? "" : escape_for_terminal(found->second);
  }

 private:
  std::unordered_map<std::uint32_t, std::uint32_t> parents_;
  std::unordered_map<std::uint32_t, std::string> programs_;
};

// Threads that were there when the window began; the others are born in it.
bool was_there(const Timeline& timeline, const Thread& thread) {
  if (thread.tgid == 0 || thread.intervals.empty()) return false;
  const model::Interval& first = thread.intervals.front();
  return first.begin_ns <= timeline.begin_ns() && first.state != model::State::kExited;
}

void write_process_tree(const model::Trace& trace, PacketOutput& out) {
  const Timeline& timeline = trace.timeline();
  const ProcessFacts facts(trace);
  const std::uint64_t begin_ns = timeline.begin_ns();
  out.packet([&](pf::Message<pf::Packet>& packet) {
    packet.add_uint64(pf::Packet::kTimestamp, begin_ns);
    pf::Message<pf::ProcessTree> tree(packet, pf::Packet::kProcessTree);
    for (const Thread& thread : timeline.threads()) {
      if (!was_there(timeline, thread) || thread.tid_at(begin_ns) != thread.tgid) continue;
      pf::Message<pf::Process> process(tree, pf::ProcessTree::kProcesses);
      process.add_uint32(pf::Process::kPid, thread.tgid);
      process.add_uint32(pf::Process::kPpid, facts.parent(thread));
      const std::string program = facts.program(thread.tgid);
      process.add_string(pf::Process::kCmdline,
                         program.empty() ? escape_for_terminal(thread.name_at(begin_ns)) : program);
    }
    for (const Thread& thread : timeline.threads()) {
      if (!was_there(timeline, thread)) continue;
      pf::Message<pf::Thread> entry(tree, pf::ProcessTree::kThreads);
      entry.add_uint32(pf::Thread::kTid, thread.tid_at(begin_ns));
      entry.add_uint32(pf::Thread::kTgid, thread.tgid);
      // A name from here cannot be changed by a rename; one that changes comes with the switches.
      if (thread.names.size() == 1)
        entry.add_string(pf::Thread::kName, escape_for_terminal(thread.names.front().comm.view()));
    }
  });
}

}  // namespace

Result<> export_perfetto(const model::Trace& trace, ByteSink& sink, const ExportOptions& options) {
  PacketOutput out(sink);
  write_clocks(trace, out);
  write_system(trace.meta().host, out);
  write_process_tree(trace, out);
  write_sched(trace, out);
  write_tracks(trace, options.explained, out);
  return out.finish();
}

}  // namespace kflight::exports
