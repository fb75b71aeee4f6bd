// SPDX-License-Identifier: Apache-2.0
#include "integration/oracle.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "analyze/blame.hpp"

namespace kflight::test {

using analyze::Category;
using analyze::Explanation;
using analyze::Leaf;
using analyze::Who;
using model::ThreadId;
using model::Timeline;

namespace {

// Not here: what only detectors can tell (oracle_special_test.cpp says what explain has to say of those).
const OracleRow kRows[] = {
    {"MutexSleeper", "mutex_sleeper"},
    {"MutexCpu", "mutex_cpu"},
    {"Convoy", "convoy", {}, true, 3},
    {"PipePingpong", "pipe_pingpong"},
    {"CpuHogNice", "cpu_hog"},
    {"CpuHogFifo", "cpu_hog", {"--fifo", "1"}},
    {"FsyncSlow", "fsync_slow"},
    {"DiskThrottle", "disk_throttle"},
    {"Nanosleep", "nanosleep"},
    {"PollTimeout", "poll_timeout"},
    {"FutexTimeout", "poll_timeout", {"--futex", "1"}},
    {"EpollUpstreamUnix", "epoll_upstream", {"--transport", "unix"}, true, 2},
    {"EpollUpstreamPipe", "epoll_upstream", {"--transport", "pipe"}, true, 2},
    {"EpollUpstreamTcp", "epoll_upstream", {"--transport", "tcp"}, true, 2},
    {"ForkStorm", "fork_storm"},
    {"FutexRequeue", "futex_requeue"},
    {"PrioInversion", "prio_inversion"},
    {"CgroupThrottle", "cgroup_throttle"},
    {"MmapFault", "mmap_fault"},
    {"ForkExecWait", "fork_exec_wait"},
    {"ExecThread", "exec_thread", {}, false},
    {"SignalWake", "signal_wake"},
    {"StopCont", "stop_cont"},
    {"InodeLock", "kernel_rwsem"},
    {"MmapLock", "kernel_rwsem", {"--lock", "mmap"}},
    {"LongIdle", "long_idle", {}, false},
    {"ThreadLeak", "thread_churn", {"--threads", "30"}},
};

bool is_category(Category category, const std::string& wanted) {
  const std::string_view name = analyze::category_name(category);
  if (name == wanted) return true;
  // "disk" is all of "disk:..."; recording only slow calls cannot tell "cpu:user" from "cpu".
  const bool cpu = wanted == "cpu:user" && (name == "cpu" || name == "cpu:sys");
  return cpu || (name.starts_with(wanted) && name[wanted.size()] == ':');
}

// The threads from the asked one to the leaf's own.
std::vector<ThreadId> path_of(const Explanation& explanation, const Leaf& leaf) {
  std::vector<ThreadId> path{leaf.thread};
  for (std::uint32_t hop = leaf.hop; hop != model::kNone; hop = explanation.hops[hop].parent)
    if (explanation.hops[hop].thread != path.back()) path.push_back(explanation.hops[hop].thread);
  std::ranges::reverse(path);
  return path;
}

bool on_chain(const Planted& planted, const Timeline& timeline, const Explanation& explanation, const Leaf& leaf) {
  // Anybody's disk requests: the file system's threads work for the caller.
  if (planted.chain.empty() || planted.leaf.starts_with("disk")) return true;
  return std::ranges::equal(path_of(explanation, leaf), planted.chain, {},
                            [&](ThreadId id) { return timeline.thread(id).tid; });
}

bool by_culprit(const Planted& planted, const Timeline& timeline, const Leaf& leaf) {
  if (leaf.who.kind != Who::Kind::kThread) return planted.leaf != "contention" && planted.leaf != "cpu:user";
  if (!planted.culprit_name.empty())
    return model::thread_name(timeline, leaf.who.id, leaf.end_ns) == planted.culprit_name;
  if (planted.leaf == "signal/stop" && leaf.who.id == leaf.thread) return true;  // the sender is not known
  return planted.culprits.contains(timeline.thread(leaf.who.id).tid);
}

std::uint64_t overlap_ns(const Leaf& leaf, std::uint64_t from_ns, std::uint64_t to_ns) {
  const std::uint64_t begin = std::max(leaf.begin_ns, from_ns), end = std::min(leaf.end_ns, to_ns);
  return begin < end ? end - begin : 0;
}

std::string list_lines(const model::Trace& trace, const Explanation& explanation) {
  std::string out;
  for (const analyze::BlameLine& line : analyze::sum_up(trace, explanation).lines) {
    const std::string who = line.who.kind == Who::Kind::kThread
                                ? model::thread_label(trace.timeline(), line.who.id, explanation.end_ns)
                                : std::to_string(line.who.id);
    out += fmt::format("  {:12} ns  {} {} x{}, {} ns inferred, {} ns unknown\n", line.ns,
                       analyze::category_name(line.category), who, line.count, line.by_quality[1], line.by_quality[2]);
  }
  return out;
}

}  // namespace

std::span<const OracleRow> oracle_rows() { return kRows; }
std::string row_name(const testing::TestParamInfo<OracleRow>& row) { return row.param.name; }
void PrintTo(const OracleRow& row, std::ostream* out) { *out << row.name; }

Planted::Planted(const Json& report) {
  if (report.contains("skipped")) {
    skipped = report["skipped"];
    return;
  }
  t0 = report["t0"];
  t1 = report["t1"];
  subject = report["subject"];
  if (!report.contains("expect")) return;
  leaf = report["expect"]["leaf"];
  min_percent = report["expect"]["min_percent"];
  at_least_ns = report["measured"]["at_least_ns"];
  at_most_ns = report["measured"]["at_most_ns"];
  unavoidable_ns = report["did"].value("unavoidable_ns", std::uint64_t{0});
  from_ns = report["measured"]["from"];
  to_ns = report["measured"]["to"];
  read_chain(report);
}

void Planted::read_chain(const Json& report) {
  const Json& tids = report["tids"];
  auto roles = report["expect"]["chain"].get<Words>();
  for (std::size_t i = 0; i < roles.size(); ++i) {
    const std::uint64_t delay = report["delayed_ns"].value(roles[i], std::uint64_t{0});
    delayed_ns += delay;
    if (i + 1 < roles.size()) delayed_on_way_ns += delay;
    if (tids.contains(roles[i])) chain.push_back(tids[roles[i]]);
  }
  if (roles.empty()) {  // anybody of them
    for (const auto& [role, tid] : tids.items()) culprits.insert(tid.get<std::uint32_t>());
    for (const auto& [role, delay] : report["delayed_ns"].items()) delayed_ns += delay.get<std::uint64_t>();
    delayed_on_way_ns = delayed_ns;
  } else if (tids.contains(roles.back())) {
    culprits.insert(tids[roles.back()].get<std::uint32_t>());
    const bool of_another = leaf == "contention" || leaf == "signal/stop";
    if (of_another && chain.size() > 1) chain.pop_back();  // the state is the one's, its cause the other
  } else {
    culprit_name = roles.back();
  }
}

// Who queues for a CPU behind the cause is the finding itself.
std::uint64_t Planted::owed_ns() const {
  if (leaf == "contention") return at_least_ns;
  return at_least_ns - std::min(at_least_ns, delayed_on_way_ns);
}

std::uint64_t Planted::disturbed_ns() const {
  if (leaf == "contention") return delayed_ns - std::min(delayed_ns, at_least_ns);
  return delayed_ns;
}

model::Trace open_trace(const std::string& path) { return model::Trace(open_dump(path)); }

Explanation explain_planted(const model::Trace& trace, const Planted& planted) {
  const ThreadId id = trace.timeline().find_thread(planted.subject, planted.t0);
  if (id == model::kNoThread) {
    ADD_FAILURE() << "thread " << planted.subject << " is not in the dump";
    return {};
  }
  return analyze::explain(trace, id, planted.t0, planted.t1);
}

Found look_for(const Planted& planted, const model::Trace& trace, const Explanation& explanation) {
  Found found;
  const Timeline& timeline = trace.timeline();
  for (const Leaf& leaf : explanation.leaves) {
    if (leaf.quality == analyze::Quality::kUnknown) {
      found.unknown_ns += leaf.length_ns();
    } else if (is_category(leaf.category, planted.leaf) && by_culprit(planted, timeline, leaf) &&
               on_chain(planted, timeline, explanation, leaf)) {
      found.cause_ns += leaf.length_ns();
      if (leaf.quality == analyze::Quality::kInferred) found.cause_inferred_ns += leaf.length_ns();
    } else if (planted.leaf.starts_with("disk") && timeline.thread(leaf.thread).tid != planted.subject) {
      found.helpers_ns += leaf.length_ns();
    } else {
      const std::uint64_t overlap = overlap_ns(leaf, planted.from_ns, planted.to_ns);
      found.other_ns += overlap;
      if (leaf.quality == analyze::Quality::kInferred) {
        found.other_inferred_ns += overlap;
        found.guessed_ns += leaf.length_ns();
      }
    }
  }
  found.leaves = list_lines(trace, explanation);
  return found;
}

}  // namespace kflight::test
