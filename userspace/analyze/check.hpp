// SPDX-License-Identifier: Apache-2.0
//
// check.hpp - can this dump be believed? Statements that hold in every correct dump, whatever was recorded: numbers
// without gaps, one thread on one CPU, nobody runs before being woken, counts that agree with the kernel's own. What
// recorded losses or damage explain is excused and counted; only what nothing explains is a violation.
//
// One pass over the chunks, one over the merged events; memory in proportion to threads and CPUs. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kflight/dump.hpp"

namespace kflight::analyze {

struct CheckOptions {
  std::size_t evidence = 5;         // kept per invariant; the rest is counted
  std::size_t explanations = 1000;  // random stretches of threads' time to explain, by check_trace()
};

struct Evidence {
  std::uint64_t ts_ns = 0;  // 0: belongs to no time
  std::optional<std::uint16_t> cpu;
  std::optional<std::uint32_t> tid;
  std::string what;
};

enum class Verdict { kOk, kViolated, kNotApplicable };
std::string_view verdict_name(Verdict verdict);  // "ok", "violated", "not applicable"

// Something that is no violation but worth a number, e.g. wakings that came before the sleep.
struct Remark {
  std::string what;
  std::uint64_t count = 0;
};

struct InvariantReport {
  std::string_view name;
  std::string_view proves;
  Verdict verdict = Verdict::kOk;
  std::string why_not;        // with kNotApplicable
  std::uint64_t checked = 0;  // facts looked at
  std::uint64_t violations = 0;
  std::uint64_t excused = 0;  // would be violations, but losses or damage explain them
  std::vector<Evidence> evidence;
  std::vector<Remark> remarks;
};

struct CheckReport {
  std::vector<InvariantReport> invariants;
  std::uint64_t events = 0;    // decoded, those before the window included
  std::uint64_t begin_ns = 0;  // the time checked
  std::uint64_t end_ns = 0;
  std::uint64_t losses = 0;  // holes, of any kind
  bool violated() const;
};

CheckReport check_dump(const Dump& dump, const CheckOptions& options = {});

}  // namespace kflight::analyze
