// SPDX-License-Identifier: Apache-2.0
//
// explain_stacks.hpp - where in their programs the threads of an explanation were: at the beginning of a wait by the
// stack of that switch-out, on CPU by samples. Empty where the dump has no stacks.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "analyze/explain_words.hpp"
#include "model/symbols.hpp"

namespace kflight::analyze {

// The stacks of the wait that a hop is; no frames where none were taken.
struct WaitStacks {
  const model::ResolvedStack* user = nullptr;  // null: none
  const model::ResolvedStack* kernel = nullptr;
};
WaitStacks wait_stacks(const ExplainedOperation& e, const Hop& hop);

// Where a wait was entered, to follow what it was on: " at Cache::refill (cache.cpp:12)". For a wait that only the
// kernel can explain its function too: " at main (a.cpp:3), kernel: filemap_fault".
std::string wait_place_text(const ExplainedOperation& e, const Hop& hop);

// Who called that function: " < Cache::get < main", the nearest three.
std::string callers_text(const ExplainedOperation& e, const Hop& hop);

// What the samples of a thread's time on CPU hit.
struct CpuProfile {
  std::size_t samples = 0;
  std::vector<std::pair<std::string, std::size_t>> functions;  // the most frequent first
};
CpuProfile cpu_profile(const ExplainedOperation& e, const Who& who);

// ", 97 % of 120 samples in compute"; empty without samples.
std::string hottest_text(const ExplainedOperation& e, const Who& who);

}  // namespace kflight::analyze
