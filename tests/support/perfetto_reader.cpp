// SPDX-License-Identifier: Apache-2.0
#include "support/perfetto_reader.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <protozero/pbf_reader.hpp>

namespace kflight::test {

namespace {

using protozero::pbf_reader;
using Kind = PfEvent::Kind;

pbf_reader reader(std::string_view bytes) { return pbf_reader(bytes.data(), bytes.size()); }
std::string_view view(const protozero::data_view& data) { return {data.data(), data.size()}; }
std::string text(pbf_reader& message) { return message.get_string(); }

std::vector<std::uint64_t> column(pbf_reader& message) {
  std::vector<std::uint64_t> out;
  for (const std::uint64_t value : message.get_packed_uint64()) out.push_back(value);
  return out;
}

// Field `tag` of the message as a number, or its text.
std::uint64_t number(std::string_view bytes, std::uint32_t tag, std::uint64_t missing = 0) {
  for (pbf_reader message = reader(bytes); message.next();) {
    if (message.tag() == tag) return message.get_uint64();
    message.skip();
  }
  return missing;
}
std::string words(std::string_view bytes, std::uint32_t tag) {
  for (pbf_reader message = reader(bytes); message.next();) {
    if (message.tag() == tag) return text(message);
    message.skip();
  }
  return {};
}

// prev_state as kernels from 4.14 on write it; empty: trace_processor counts an error.
std::string state_text(std::int64_t raw) {
  static const std::map<std::int64_t, std::string> kStates = {{0, "R"},    {1, "S"},     {2, "D"},    {4, "T"},
                                                              {8, "t"},    {0x10, "X"},  {0x20, "Z"}, {0x40, "P"},
                                                              {0x80, "I"}, {0x100, "R+"}};
  const auto found = kStates.find(raw);
  return found == kStates.end() ? "" : found->second;
}

}  // namespace

PfTrace::PfTrace(std::span<const std::byte> bytes) {
  pbf_reader trace(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  while (trace.next()) {
    EXPECT_EQ(trace.tag(), 1u);
    read_packet(view(trace.get_view()));
  }
}

void PfTrace::read_packet(std::string_view bytes) {
  const bool first = packet_kinds.empty();
  EXPECT_EQ(number(bytes, 10), 1u) << "trusted_packet_sequence_id";
  EXPECT_EQ(number(bytes, 13), first ? 1u : 2u) << "sequence_flags";
  const std::uint64_t ts_ns = number(bytes, 8);
  for (pbf_reader packet = reader(bytes); packet.next();) {
    const std::uint32_t tag = packet.tag();
    if (tag == 8 || tag == 10 || tag == 13) {
      packet.skip();
      continue;
    }
    packet_kinds.push_back(tag);
    const std::string_view message = view(packet.get_view());
    if (tag == 6) read_clocks(message);
    if (tag == 45) read_system(message);
    if (tag == 2) read_process_tree(message), tree_ns = ts_ns;
    if (tag == 1) read_bundle(message);
    if (tag == 11) read_track_event(message, ts_ns);
    if (tag == 60) tracks[number(message, 1)] = words(message, 2);
  }
}

void PfTrace::read_clocks(std::string_view bytes) {
  for (pbf_reader snapshot = reader(bytes); snapshot.next();) {
    if (snapshot.tag() == 1) {
      const std::string_view clock = view(snapshot.get_view());
      clocks[static_cast<std::uint32_t>(number(clock, 1))] = number(clock, 2);
    } else {
      primary_clock = snapshot.get_uint32();
    }
  }
}

void PfTrace::read_system(std::string_view bytes) {
  for (pbf_reader system = reader(bytes); system.next(1);) {
    const std::string_view utsname = view(system.get_view());
    EXPECT_EQ(words(utsname, 1), "Linux");
    release = words(utsname, 3);
    machine = words(utsname, 4);
  }
}

void PfTrace::read_process_tree(std::string_view bytes) {
  for (pbf_reader tree = reader(bytes); tree.next();) {
    const std::uint32_t tag = tree.tag();
    const std::string_view one = view(tree.get_view());
    const auto id = static_cast<std::uint32_t>(number(one, 1));
    if (tag == 1) {
      parents[id] = static_cast<std::uint32_t>(number(one, 2));
      cmdlines[id] = words(one, 3);
    } else {
      threads[id] = {static_cast<std::uint32_t>(number(one, 3)), words(one, 2)};
    }
  }
}

void PfTrace::read_bundle(std::string_view bytes) {
  const auto cpu = static_cast<std::uint32_t>(number(bytes, 1, ~0u));
  EXPECT_NE(cpu, ~0u) << "a bundle without a CPU";
  const std::size_t first = events.size();
  const bool known = previous_bundle_end.contains(cpu);
  if (!known) previous_bundle_end[cpu] = number(bytes, 10);
  for (pbf_reader bundle = reader(bytes); bundle.next();) {
    if (bundle.tag() == 2) {
      read_event(view(bundle.get_view()), cpu);
    } else if (bundle.tag() == 4) {
      read_compact(view(bundle.get_view()), cpu);
    } else {
      bundle.skip();
    }
  }
  if (number(bytes, 3) != 0) {
    std::uint64_t earliest_ns = ~0ULL;
    for (std::size_t i = first; i < events.size(); ++i) earliest_ns = std::min(earliest_ns, events[i].ts_ns);
    lost_before[cpu].push_back(earliest_ns);
  }
}

void PfTrace::read_compact(std::string_view bytes, std::uint32_t cpu) {
  std::vector<std::string> names;
  std::map<std::uint32_t, std::vector<std::uint64_t>> columns;
  for (pbf_reader compact = reader(bytes); compact.next();) {
    if (compact.tag() == 5) {
      names.push_back(text(compact));
    } else {
      const std::uint32_t tag = compact.tag();  // reading the value ends it
      columns[tag] = column(compact);
    }
  }
  for (const auto& [tag, values] : columns)
    EXPECT_EQ(values.size(), columns[tag >= 7 ? 7 : 1].size()) << "column " << tag << " of another length";
  std::uint64_t ts_ns = 0;
  for (std::size_t i = 0; i < columns[1].size(); ++i) {
    PfEvent event{.kind = Kind::kSwitch, .ts_ns = ts_ns += columns[1][i], .cpu = cpu};
    event.value = static_cast<std::int64_t>(columns[2].at(i));
    event.tid = static_cast<std::uint32_t>(columns[3].at(i));
    event.prio = static_cast<std::uint32_t>(columns[4].at(i));
    event.comm = names.at(columns[6].at(i));
    events.push_back(event);
  }
  ts_ns = 0;
  for (std::size_t i = 0; i < columns[7].size(); ++i) {
    PfEvent event{.kind = Kind::kWaking, .ts_ns = ts_ns += columns[7][i], .cpu = cpu};
    event.tid = static_cast<std::uint32_t>(columns[8].at(i));
    event.value = static_cast<std::int64_t>(columns[9].at(i));
    event.prio = static_cast<std::uint32_t>(columns[10].at(i));
    event.comm = names.at(columns[11].at(i));
    event.flags = static_cast<std::uint32_t>(columns[12].at(i));
    events.push_back(event);
  }
}

void PfTrace::read_event(std::string_view bytes, std::uint32_t cpu) {
  PfEvent out{.kind = Kind::kSwitch, .ts_ns = number(bytes, 1), .cpu = cpu};
  out.pid = out.tid = static_cast<std::uint32_t>(number(bytes, 2));
  for (pbf_reader event = reader(bytes); event.next();) {
    const std::uint32_t tag = event.tag();
    if (tag < 3) {
      event.skip();
      continue;
    }
    const std::string_view message = view(event.get_view());
    const auto set = [&](Kind kind, std::uint32_t tid_tag, std::uint32_t value_tag, std::uint32_t comm_tag) {
      out.kind = kind;
      if (tid_tag) out.tid = static_cast<std::uint32_t>(number(message, tid_tag));
      if (value_tag) out.value = static_cast<std::int64_t>(number(message, value_tag));
      if (comm_tag) out.comm = words(message, comm_tag);
    };
    switch (tag) {
      case 18:
        set(Kind::kBlockedReason, 1, 3, 0);
        break;
      case 20:
        set(Kind::kPlainWaking, 2, 5, 1);
        break;
      case 235:
        set(Kind::kNewtask, 1, 3, 2);
        break;
      case 236:
        set(Kind::kRename, 1, 0, 3);
        break;
      case 240:
        set(Kind::kFree, 2, 0, 1);
        break;
      case 329:
        set(Kind::kSysEnter, 0, 1, 0);
        for (pbf_reader enter = reader(message); enter.next();) {
          if (enter.tag() == 2) {
            out.args.push_back(enter.get_uint64());
          } else {
            enter.skip();
          }
        }
        break;
      case 330:
        set(Kind::kSysExit, 0, 1, 0);
        for (pbf_reader exit = reader(message); exit.next();) {
          if (exit.tag() == 2) {
            out.ret = exit.get_int64();
          } else {
            exit.skip();
          }
        }
        break;
      default:
        ADD_FAILURE() << "FtraceEvent with field " << tag;
    }
  }
  events.push_back(out);
}

void PfTrace::read_track_event(std::string_view bytes, std::uint64_t ts_ns) {
  PfTrackEvent out;
  out.ts_ns = ts_ns;
  out.track = number(bytes, 11);
  out.type = static_cast<std::int32_t>(number(bytes, 9));
  out.name = words(bytes, 23);
  EXPECT_TRUE(tracks.contains(out.track)) << "an event on track " << out.track << ", which nobody described";
  for (pbf_reader event = reader(bytes); event.next();) {
    if (event.tag() == 4) {
      const std::string_view note = view(event.get_view());
      out.notes[words(note, 10)] = words(note, 6);
    } else {
      event.skip();
    }
  }
  track_events.push_back(out);
}

// ------------------------------------------------------------------ thread states

namespace {

class Replay {
 public:
  Replay(const PfTrace& trace, bool whole) : trace_(trace), whole_(whole) {}

  void apply(const PfEvent& event) {
    switch (event.kind) {
      case Kind::kSwitch:
        return on_switch(event);
      case Kind::kWaking: {
        const auto cpu = last_on_.find(event.cpu);
        ASSERT_NE(cpu, last_on_.end()) << "a compact waking before its CPU's first switch is dropped";
        return on_waking(event, threads_[cpu->second].tid, event.flags);
      }
      case Kind::kPlainWaking:
        return on_waking(event, event.pid, {});
      case Kind::kNewtask: {
        const std::size_t parent = thread_of(event.pid);
        tids_.erase(event.tid);
        const std::size_t child = thread_of(event.tid);
        threads_[child].name = event.comm;
        threads_[child].pid = (event.value & 0x10000) ? threads_[parent].pid : event.tid;
        return open(child, {event.ts_ns, PfState::kOpen, "R", 0, event.pid, {}, {}});
      }
      case Kind::kRename:
        threads_[thread_of(event.tid)].name = event.comm;
        return;
      case Kind::kFree:
        threads_[thread_of(event.tid)].ended = true;
        tids_.erase(event.tid);
        return;
      case Kind::kBlockedReason: {
        auto& states = threads_[thread_of(event.tid)].states;
        for (auto row = states.rbegin(); row != states.rend(); ++row) {
          if (row->state == "Running") return;
          if (row->state == "R") continue;
          row->io_wait = event.value != 0;
          return;
        }
        return;
      }
      default:
        return;
    }
  }
  std::vector<PfThread> take() { return std::move(threads_); }

 private:
  std::size_t thread_of(std::uint32_t tid) {
    const auto [place, is_new] = tids_.emplace(tid, threads_.size());
    if (is_new) {
      threads_.push_back({.tid = tid});
      const auto known = trace_.threads.find(tid);
      if (known != trace_.threads.end()) threads_.back().pid = known->second.first;
    }
    return place->second;
  }
  void open(std::size_t thread, PfState row) {
    if (threads_[thread].tid != 0) threads_[thread].states.push_back(std::move(row));
  }
  void close(std::size_t thread, std::uint64_t ts_ns) {
    auto& states = threads_[thread].states;
    if (!states.empty()) states.back().end_ns = ts_ns;
  }
  void on_switch(const PfEvent& event) {
    const std::size_t next = thread_of(event.tid);
    threads_[next].name = event.comm;
    const auto before = last_on_.find(event.cpu);
    if (before == last_on_.end()) {
      last_on_[event.cpu] = next;  // the first one is skipped
      return;
    }
    const std::size_t prev = before->second;
    const std::string state = state_text(event.value);
    EXPECT_FALSE(state.empty()) << "prev_state " << event.value;
    EXPECT_TRUE(!whole_ || threads_[prev].states.empty() || threads_[prev].tid == 0 ||
                threads_[prev].states.back().state == "Running")
        << "thread " << threads_[prev].tid << " leaves a CPU at " << event.ts_ns << " in state "
        << threads_[prev].states.back().state;
    close(prev, event.ts_ns);
    open(prev, {event.ts_ns, PfState::kOpen, state, 0, {}, {}, {}});
    close(next, event.ts_ns);
    open(next, {event.ts_ns, PfState::kOpen, "Running", event.cpu, {}, {}, {}});
    before->second = next;
  }
  void on_waking(const PfEvent& event, std::uint32_t waker, std::optional<std::uint32_t> flags) {
    const std::size_t wakee = thread_of(event.tid);
    const auto& states = threads_[wakee].states;
    const bool asleep = states.empty() ||
                        (states.back().state != "R" && states.back().state != "R+" && states.back().state != "Running");
    EXPECT_TRUE(asleep || !whole_) << "a waking of thread " << event.tid << " at " << event.ts_ns
                                   << " counts for nothing";
    if (!asleep) return;
    close(wakee, event.ts_ns);
    open(wakee, {event.ts_ns, PfState::kOpen, "R", 0, waker, flags, {}});
  }

  const PfTrace& trace_;
  bool whole_;
  std::map<std::uint32_t, std::size_t> tids_;
  std::map<std::uint32_t, std::size_t> last_on_;  // CPU -> thread
  std::vector<PfThread> threads_;
};

}  // namespace

std::vector<PfThread> PfTrace::replay(bool highest_cpu_first, bool whole) const {
  std::vector<const PfEvent*> sorted;
  for (const PfEvent& event : events) sorted.push_back(&event);
  std::stable_sort(sorted.begin(), sorted.end(), [&](const PfEvent* a, const PfEvent* b) {
    if (a->ts_ns != b->ts_ns) return a->ts_ns < b->ts_ns;
    return highest_cpu_first ? a->cpu > b->cpu : a->cpu < b->cpu;
  });
  Replay replay(*this, whole);
  for (const PfEvent* event : sorted) replay.apply(*event);
  return replay.take();
}

}  // namespace kflight::test
