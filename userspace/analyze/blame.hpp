// SPDX-License-Identifier: Apache-2.0
//
// blame.hpp - adds an explanation's leaves up: by who and what for the table, along the chains for the tree. Sums are
// exact: lines add up to the operation, a node's inclusive time is its own plus its children's.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "analyze/explain.hpp"

namespace kflight::analyze {

using NanosByCategory = std::array<std::uint64_t, kCategories>;

// All leaves of one culprit: one who and one kind of thing.
struct BlameLine {
  Who who;
  Category category = Category::kUnknown;
  std::uint32_t detail = 0;  // as in Leaf
  bool by_op = false;        // of a disk: the operation in detail is known
  std::uint64_t ns = 0;
  std::uint64_t count = 0;
  std::uint64_t longest_ns = 0;
  std::array<std::uint64_t, 3> by_quality{};  // ns
};

// A place on the chain: a thread that was followed, or the wait where a chain ends. The first one is the asked thread.
struct ChainNode {
  std::uint32_t parent = model::kNone;
  std::vector<std::uint32_t> children;        // the largest first
  model::ThreadId thread = model::kNoThread;  // followed thread; kNoThread: the chain ends here ...
  Who end;                                    // ... at this
  std::uint32_t hop = model::kNone;           // longest hop that leads here: how the parent's thread waited
  std::uint64_t inclusive_ns = 0;
  std::uint64_t exclusive_ns = 0;
  std::uint64_t spans = 0;  // waits of the parent that led here
  std::uint64_t longest_ns = 0;
  NanosByCategory by_category{};  // of exclusive_ns
};

// A row of the table: the lines of one culprit that belong together, and where on the chain most of it happened.
struct BlameRow {
  Who who;
  std::vector<BlameLine> lines;  // the largest first
  std::uint64_t ns = 0;
  std::size_t culprits = 1;   // threads of one name that had the CPU are one row
  std::uint32_t node = 0;     // in Blame::nodes
  std::uint64_t node_ns = 0;  // part of ns there
  std::uint16_t cpu = model::kNoCpu;  // where all of it happened; kNoCpu: on several, or on none
};

struct Blame {
  std::vector<BlameLine> lines;  // the largest first
  std::vector<BlameRow> rows;    // the largest first
  std::vector<ChainNode> nodes;  // [0] is the asked thread
  std::array<std::uint64_t, 3> by_quality{};
  NanosByCategory self{};                             // of the asked thread's own time; waits are not in it ...
  std::map<std::string, std::uint64_t> self_blocked;  // ... but here, by kind
};

Blame sum_up(const model::Trace& trace, const Explanation& explanation);

}  // namespace kflight::analyze
