// SPDX-License-Identifier: Apache-2.0
#include "analyze/blame.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "model/descriptors.hpp"

namespace kflight::analyze {

using model::kNone;
using model::ThreadId;

namespace {

// Categories that make one row: the parts of a disk request, the parts of a thread's time on CPU.
std::uint8_t row_group(Category category) {
  switch (category) {
    case Category::kCpuUser:
    case Category::kCpuSys:
      return static_cast<std::uint8_t>(Category::kCpu);
    case Category::kDiskQueue:
    case Category::kDiskService:
    case Category::kDiskCompletion:
      return static_cast<std::uint8_t>(Category::kDiskBeforeSubmit);
    default:
      return static_cast<std::uint8_t>(category);
  }
}

class Summer {
 public:
  Summer(const model::Trace& trace, const Explanation& explanation)
      : trace_(trace),
        timeline_(trace.timeline()),
        explanation_(explanation),
        node_of_hop_(explanation.hops.size(), kNone) {
    out_.nodes.emplace_back().thread = explanation.thread;
  }

  Blame run() {
    for (const Leaf& leaf : explanation_.leaves) add(leaf);
    finish_rows();
    finish_nodes();
    return std::move(out_);
  }

 private:
  using LineKey = std::tuple<Who::Kind, std::uint32_t, Category, std::uint32_t>;
  using RowKey = std::tuple<std::uint8_t, Who::Kind, std::uint32_t>;
  struct NodeKey {
    std::uint32_t parent, next;
    std::uint64_t wait, object;
    auto tie() const { return std::tie(parent, next, wait, object); }
    bool operator<(const NodeKey& o) const { return tie() < o.tie(); }
  };
  struct RowSum {
    BlameRow row;
    std::map<LineKey, BlameLine> lines;
    std::unordered_map<std::uint32_t, std::uint64_t> by_node;
    bool several_cpus = false;
  };

  void add(const Leaf& leaf);
  void add_self(const Leaf& leaf, std::uint64_t ns);
  RowKey row_key(const Leaf& leaf);
  bool knows_operation(std::uint32_t request) const;
  std::uint32_t node_of(const Leaf& leaf);
  std::uint32_t node_of_hop(std::uint32_t hop);
  std::uint32_t node(std::uint32_t parent, std::uint32_t hop, ThreadId next, const Who& end);
  std::uint64_t hop_ns(const Hop& hop) const;
  void finish_rows();
  void finish_nodes();

  const model::Trace& trace_;
  const model::Timeline& timeline_;
  const Explanation& explanation_;
  Blame out_;
  std::map<RowKey, RowSum> rows_;
  std::unordered_map<ThreadId, ThreadId> group_of_thread_;  // first thread of the same name
  std::unordered_map<std::string, ThreadId> group_of_name_;
  std::map<NodeKey, std::uint32_t> nodes_;
  std::vector<std::uint32_t> node_of_hop_;
  std::vector<std::uint32_t> last_hop_;  // by node: a wait with several leaves at its end is one span
};

bool Summer::knows_operation(std::uint32_t request) const {
  return request != kNone &&
         (timeline_.block_requests()[request].bytes != 0 || timeline_.block_requests()[request].op != 0);
}

void Summer::add(const Leaf& leaf) {
  const std::uint64_t ns = leaf.length_ns();
  const auto category = static_cast<std::size_t>(leaf.category);
  out_.by_quality[static_cast<std::size_t>(leaf.quality)] += ns;

  RowSum& sum = rows_[row_key(leaf)];
  sum.row.who = leaf.who;
  sum.row.ns += ns;
  if (leaf.cpu != model::kNoCpu) {
    sum.several_cpus |= sum.row.cpu != model::kNoCpu && sum.row.cpu != leaf.cpu;
    sum.row.cpu = leaf.cpu;
  }
  BlameLine& line = sum.lines[{leaf.who.kind, leaf.who.id, leaf.category, leaf.detail}];
  line.who = leaf.who;
  line.category = leaf.category;
  line.detail = leaf.detail;
  line.by_op |= leaf.hop != kNone && knows_operation(explanation_.hops[leaf.hop].request);
  line.ns += ns;
  ++line.count;
  line.longest_ns = std::max(line.longest_ns, ns);
  line.by_quality[static_cast<std::size_t>(leaf.quality)] += ns;

  const std::uint32_t where = node_of(leaf);
  out_.nodes[where].exclusive_ns += ns;
  out_.nodes[where].by_category[category] += ns;
  sum.by_node[where] += ns;
  add_self(leaf, ns);
}

// Threads that kept somebody off a CPU count by name: a hundred short-lived ones are one cause.
Summer::RowKey Summer::row_key(const Leaf& leaf) {
  std::uint32_t id = leaf.who.id;
  if (leaf.category == Category::kContention) {
    const auto [known, fresh] = group_of_thread_.try_emplace(id, id);
    if (fresh)
      known->second =
          group_of_name_.try_emplace(model::thread_name(timeline_, id, explanation_.end_ns), id).first->second;
    id = known->second;
  }
  return {row_group(leaf.category), leaf.who.kind, id};
}

// What the asked thread itself did at that time.
void Summer::add_self(const Leaf& leaf, std::uint64_t ns) {
  if (leaf.hop == kNone) {
    out_.self[static_cast<std::size_t>(leaf.category)] += ns;
    return;
  }
  std::uint32_t hop = leaf.hop;
  while (explanation_.hops[hop].parent != kNone) hop = explanation_.hops[hop].parent;
  const std::uint32_t interval = explanation_.hops[hop].interval;
  const model::Thread& thread = timeline_.thread(explanation_.thread);
  const std::string kind(interval == kNone
                             ? "not born"
                             : model::wait_kind_name(model::wait_kind(trace_, thread, thread.intervals[interval])));
  out_.self_blocked[kind] += ns;
}

std::uint32_t Summer::node_of(const Leaf& leaf) {
  if (leaf.hop == kNone) return 0;
  const Hop& hop = explanation_.hops[leaf.hop];
  if (hop.next != model::kNoThread) return node_of_hop(leaf.hop);
  const std::uint32_t parent = hop.parent == kNone ? 0 : node_of_hop(hop.parent);
  return node(parent, leaf.hop, model::kNoThread, leaf.who);
}

std::uint32_t Summer::node_of_hop(std::uint32_t index) {
  // From the outermost hop that has no node yet inwards.
  std::vector<std::uint32_t> path;
  for (std::uint32_t hop = index; hop != kNone && node_of_hop_[hop] == kNone; hop = explanation_.hops[hop].parent)
    path.push_back(hop);
  for (auto it = path.rbegin(); it != path.rend(); ++it) {
    const Hop& hop = explanation_.hops[*it];
    const std::uint32_t parent = hop.parent == kNone ? 0 : node_of_hop_[hop.parent];
    node_of_hop_[*it] = node(parent, *it, hop.next, {});
  }
  return node_of_hop_[index];
}

// The node for "parent's thread waited like this, and what it waited for was that".
std::uint32_t Summer::node(std::uint32_t parent, std::uint32_t hop_index, ThreadId next, const Who& end) {
  const Hop& hop = explanation_.hops[hop_index];
  NodeKey key{parent, next, ~0ULL, 0};
  if (next == model::kNoThread) key.next = end.id ^ (static_cast<std::uint32_t>(end.kind) + 1) << 28;
  if (hop.interval != kNone) {
    const model::Thread& thread = timeline_.thread(hop.thread);
    const model::Interval& blocked = thread.intervals[hop.interval];
    const std::uint32_t call = blocked.call();
    key.wait = static_cast<std::uint64_t>(model::wait_kind(thread, blocked)) << 32;
    if (call < thread.calls.size()) {
      key.wait |= 1ULL << 31 | thread.calls[call].nr;
      key.object = thread.calls[call].arg0;
    }
  }
  const auto [entry, fresh] = nodes_.try_emplace(key, static_cast<std::uint32_t>(out_.nodes.size()));
  if (fresh) {
    ChainNode& made = out_.nodes.emplace_back();
    made.parent = parent;
    made.thread = next;
    made.end = end;
    out_.nodes[parent].children.push_back(entry->second);
  }
  ChainNode& found = out_.nodes[entry->second];
  const std::uint64_t ns = hop_ns(hop);
  last_hop_.resize(out_.nodes.size(), kNone);
  if (last_hop_[entry->second] != hop_index) ++found.spans;
  last_hop_[entry->second] = hop_index;
  if (found.hop == kNone || ns > found.longest_ns) {
    found.hop = hop_index;
    found.longest_ns = ns;
  }
  return entry->second;
}

std::uint64_t Summer::hop_ns(const Hop& hop) const {
  if (hop.interval == kNone) return 0;
  const model::Thread& thread = timeline_.thread(hop.thread);
  const std::uint64_t begin = std::max(thread.intervals[hop.interval].begin_ns, explanation_.begin_ns);
  const std::uint64_t end = std::min(timeline_.interval_end_ns(thread, hop.interval), explanation_.end_ns);
  return end > begin ? end - begin : 0;
}

void Summer::finish_rows() {
  for (auto& [key, sum] : rows_) {
    if (sum.several_cpus) sum.row.cpu = model::kNoCpu;
    if (std::get<0>(key) == static_cast<std::uint8_t>(Category::kContention)) sum.row.culprits = sum.lines.size();
    for (const auto& [line_key, line] : sum.lines) {
      sum.row.lines.push_back(line);
      out_.lines.push_back(line);
    }
    for (const auto& [where, ns] : sum.by_node) {
      if (ns < sum.row.node_ns || (ns == sum.row.node_ns && where > sum.row.node)) continue;
      sum.row.node = where;
      sum.row.node_ns = ns;
    }
    out_.rows.push_back(std::move(sum.row));
  }
  const auto larger = [](const auto& a, const auto& b) { return a.ns > b.ns; };
  for (BlameRow& row : out_.rows) std::stable_sort(row.lines.begin(), row.lines.end(), larger);
  std::stable_sort(out_.rows.begin(), out_.rows.end(), larger);
  std::stable_sort(out_.lines.begin(), out_.lines.end(), larger);
}

void Summer::finish_nodes() {
  // Children are made after their parents.
  for (std::size_t i = out_.nodes.size(); i-- > 0;) {
    ChainNode& node = out_.nodes[i];
    node.inclusive_ns += node.exclusive_ns;
    if (node.parent != kNone) out_.nodes[node.parent].inclusive_ns += node.inclusive_ns;
  }
  for (ChainNode& node : out_.nodes)
    std::stable_sort(node.children.begin(), node.children.end(), [this](std::uint32_t a, std::uint32_t b) {
      return out_.nodes[a].inclusive_ns > out_.nodes[b].inclusive_ns;
    });
}

}  // namespace

Blame sum_up(const model::Trace& trace, const Explanation& explanation) { return Summer(trace, explanation).run(); }

}  // namespace kflight::analyze
