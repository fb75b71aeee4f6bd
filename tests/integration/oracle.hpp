// SPDX-License-Identifier: Apache-2.0
//
// oracle.hpp - programs whose cause is known by construction, recorded for real, against what explain says of them. A
// workload measures its cause itself (tests/workloads/workload.hpp); how much the machine's other work disturbed it is
// known from the kernel's run delays, so that nothing here depends on how fast or busy the machine is.
#pragma once

#include "analyze/explain.hpp"
#include "integration/dump_facts.hpp"

namespace kflight::test {

// A program and how it is started.
struct OracleRow {
  const char* name;
  const char* workload;
  Words arguments = {};
  bool has_clean_twin = true;
  std::uint32_t least_depth = 0;  // of the deepest chain
};

std::span<const OracleRow> oracle_rows();
std::string row_name(const testing::TestParamInfo<OracleRow>& row);
void PrintTo(const OracleRow& row, std::ostream* out);

// What a workload reports of itself.
struct Planted {
  explicit Planted(const Json& report);

  std::string skipped;  // why this machine cannot run it; all else is then empty
  std::uint64_t t0 = 0, t1 = 0;
  std::uint32_t subject = 0;
  std::string leaf;                  // category, or its part before the colon
  std::vector<std::uint32_t> chain;  // from the subject to whose state the leaf is
  std::set<std::uint32_t> culprits;  // whose doing it is ...
  std::string culprit_name;          // ... or the name they have; empty: no thread's
  unsigned min_percent = 0;
  std::uint64_t at_least_ns = 0, at_most_ns = 0;
  std::uint64_t unavoidable_ns = 0;      // a clean twin has so much of it all the same, as it measured itself
  std::uint64_t from_ns = 0, to_ns = 0;  // the cause acted all that time; 0: not known
  std::uint64_t delayed_ns = 0;          // how long the threads of the chain waited for a CPU ...
  std::uint64_t delayed_on_way_ns = 0;   // ... those before the cause

  std::uint64_t length_ns() const { return t1 - t0; }
  std::uint64_t tolerance_ns() const { return std::max<std::uint64_t>(2'000'000, at_least_ns / 20); }
  // Cause must account for this much, however busy the machine was.
  std::uint64_t owed_ns() const;
  // Other causes than the planted one may account for this much of the time it acted.
  std::uint64_t disturbed_ns() const;

 private:
  void read_chain(const Json& report);
};

// An explanation against what was planted.
struct Found {
  std::uint64_t cause_ns = 0;
  std::uint64_t cause_inferred_ns = 0;  // what of it is marked as such
  std::uint64_t unknown_ns = 0;
  std::uint64_t helpers_ns = 0;  // of a disk: the file system's own threads ran or waited for a CPU
  std::uint64_t other_ns = 0;    // neither of them, between Planted::from_ns and to_ns
  std::uint64_t other_inferred_ns = 0;  // what of it is marked as such
  std::uint64_t guessed_ns = 0;         // neither of them and marked as inferred, at any time
  std::string leaves;            // all of it, for people
};

model::Trace open_trace(const std::string& path);
analyze::Explanation explain_planted(const model::Trace& trace, const Planted& planted);
Found look_for(const Planted& planted, const model::Trace& trace, const analyze::Explanation& explanation);

}  // namespace kflight::test
