// SPDX-License-Identifier: Apache-2.0
//
// explain_words.hpp - how the parts of an explanation are put in words: culprits, chains, states. All text is safe to
// print. Pure functions of a trace and its explanation.
#pragma once

#include <string>

#include "analyze/blame.hpp"
#include "analyze/operation.hpp"
#include "model/symbols.hpp"

namespace kflight::analyze {

// Everything the words are about.
struct ExplainedOperation {
  const model::Trace& trace;
  const Operation& operation;
  const Explanation& explanation;
  const Blame& blame;
  model::Symbolizer* symbols = nullptr;  // null: stacks are left out

  const model::Timeline& timeline() const { return trace.timeline(); }
};

std::string duration_text(std::uint64_t ns);                      // "17.30 ms"
std::string percent_text(std::uint64_t ns, std::uint64_t of_ns);  // "54.9 %"

// "disk 254:0", "network", "CPU 3", a thread's name.
std::string who_text(const ExplainedOperation& e, const Who& who);
// A row of the table: "disk 254:0: service 17.15 ms, queue 0.10 ms", "S on CPU", "CPU contention: Z' had CPU 1".
std::string row_text(const ExplainedOperation& e, const BlameRow& row);
// A single leaf of it; without times, so that leaves of one cause have one text.
std::string leaf_text(const ExplainedOperation& e, const Leaf& leaf);
// A row as the predicate of a sentence that names the cause: "was disk 254:0".
std::string cause_text(const ExplainedOperation& e, const BlameRow& row);
// "T > S > H": the threads from the asked one to a node.
std::string chain_text(const ExplainedOperation& e, std::uint32_t node);
// How the parent's thread waited: "futex 0x7f001040"; empty where nothing but what it waited for is known.
std::string wait_text(const ExplainedOperation& e, const ChainNode& node);
// The same with the place in the program where the wait was entered, when that is known.
std::string wait_and_place_text(const ExplainedOperation& e, const ChainNode& node);
// How a wait ended, or on what it was besides its call: "write of 64 KiB", "signal SIGUSR2", "kernel mutex", "moved to
// futex 0x7f001080", "it exited", "work item wb_workfn"; empty where there is nothing to add.
std::string how_text(const ExplainedOperation& e, const Hop& hop);
// A function of the kernel: its name, or its address.
std::string function_text(const ExplainedOperation& e, std::uint64_t address);
// A line of one category within a node: "on CPU", "runnable, CPU busy", "disk service".
std::string category_text(Category category);

}  // namespace kflight::analyze
