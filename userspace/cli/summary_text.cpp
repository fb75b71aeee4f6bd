// SPDX-License-Identifier: Apache-2.0
//
// summary_text.cpp - wording shared by `kflight info` and `kflight status`.
#include "cli/summary_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/escape.hpp"
#include "base/units.hpp"

namespace kflight::cli {

namespace {

constexpr std::size_t kProgramsShown = 3;

std::string duration(std::uint64_t ns) { return format_duration(static_cast<std::int64_t>(ns)); }

double percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string reach_reason(const WindowInfo& window, std::uint64_t min_age_ns, std::uint64_t max_bytes) {
  if (window.limited_by == "max-bytes") {
    const bool enough = window.to_ns - window.from_ns >= min_age_ns;
    return fmt::format("as far as --max-bytes {} allows{}", format_bytes(max_bytes),
                       enough ? "" : fmt::format(", less than --min-age {}", duration(min_age_ns)));
  }
  if (window.limited_by == "min-age")
    return fmt::format("older events than --min-age {} are dropped", duration(min_age_ns));
  if (window.limited_by == "start") return "back to the start of recording";
  return "its limit is not known";
}

}  // namespace

std::string window_text(const WindowInfo& window, std::uint64_t min_age_ns, std::uint64_t max_bytes) {
  const double bytes_each =
      window.events == 0 ? 0 : static_cast<double>(window.bytes) / static_cast<double>(window.events);
  std::string out = fmt::format("{}, {}; {} events in {} ({:.1f} B each), {} chunks",
                                duration(window.to_ns - std::min(window.from_ns, window.to_ns)),
                                reach_reason(window, min_age_ns, max_bytes), format_count(window.events),
                                format_bytes(window.bytes), bytes_each, format_count(window.chunks));
  if (window.pinned_extra_bytes > 0)
    out += fmt::format("; {} more held by a running dump", format_bytes(window.pinned_extra_bytes));
  return out;
}

std::vector<std::string> losses_text(const LossInfo& losses) {
  struct Way {
    std::uint64_t count;
    std::string_view what;
  };
  const Way ways[] = {{losses.ring_events, "events: the kernel's ring was full (--ring-bytes)"},
                      {losses.nested_events, "events of nested interrupts"},
                      {losses.recursion, "events the kernel did not deliver: the program was already running"},
                      {losses.window, "events: a dump held the whole window (--max-bytes)"},
                      {losses.control, "trigger records: the control ring was full"},
                      {losses.inflight, "calls without a start: too many at once, their duration is unknown"},
                      {losses.stacks, "stacks: there was no room for them"},
                      {losses.capped, "events of disk requests and signals: a CPU had too many to keep them all"}};
  std::vector<std::string> out;
  for (const Way& way : ways)
    if (way.count > 0) out.push_back(fmt::format("{} {}", format_count(way.count), way.what));
  return out;
}

std::string recorder_cost_text(const OwnCost& cost) {
  return fmt::format("recorder: {:.2f} % of a CPU ({} in {}), {} resident, {} polls",
                     percent(cost.recorder_cpu_ns, cost.recording_ns), duration(cost.recorder_cpu_ns),
                     duration(cost.recording_ns), format_bytes(cost.rss_bytes), format_count(cost.polls));
}

std::string bpf_cost_text(const OwnCost& cost) {
  std::uint64_t total_ns = 0;
  for (const ProgramCost& program : cost.programs) total_ns += program.run_ns;
  if (total_ns == 0) return "BPF programs: not measured (sysctl kernel.bpf_stats_enabled=1 does, at a cost)";
  auto programs = cost.programs;
  std::ranges::sort(programs, std::greater{}, &ProgramCost::run_ns);
  std::vector<std::string> shown;
  for (const ProgramCost& program : programs)
    if (shown.size() < kProgramsShown && program.run_count > 0)
      shown.push_back(fmt::format("{} {} x {} ns", escape_for_terminal(program.name), format_count(program.run_count),
                                  program.run_ns / program.run_count));
  return fmt::format("BPF programs: {:.2f} % of a CPU; {}", percent(total_ns, cost.recording_ns),
                     fmt::join(shown, ", "));
}

}  // namespace kflight::cli
