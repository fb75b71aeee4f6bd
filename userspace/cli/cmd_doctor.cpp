// SPDX-License-Identifier: Apache-2.0
//
// cmd_doctor.cpp - `kflight doctor`: can this machine record, with these privileges? Says it first, then why. The last
// word has the kernel itself: the BPF programs are loaded, not attached, and removed again.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "cli/health.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/report.hpp"

namespace kflight::cli {

namespace {

constexpr std::size_t kLabelColumns = 9;

std::string_view mark(Health health) {
  constexpr std::string_view kMarks[] = {"ok", "note", "FAILED"};
  return kMarks[static_cast<std::size_t>(health)];
}

// Nothing to say about these but that they are there: they share a line.
bool is_plain(const Finding& finding) {
  return finding.health == Health::kOk && finding.advice.empty() &&
         (finding.found == "held" || finding.found == "present");
}

std::string as_text(const std::vector<Finding>& findings, bool can_record) {
  Report report(terminal_columns(), kLabelColumns);
  std::vector<std::string> plain;
  for (const Finding& finding : findings) {
    if (is_plain(finding)) {
      plain.push_back(finding.name);
      continue;
    }
    report.fact(mark(finding.health), "{}: {}", finding.name, finding.found);
    if (!finding.advice.empty()) report.line("", "-> " + finding.advice);
  }
  report.fact(mark(Health::kOk), "present: {}", fmt::join(plain, ", "));
  return fmt::format("{}\n{}",
                     can_record ? "Recording will work here.\n" : "Recording will NOT work here: see FAILED below.\n",
                     report.text());
}

std::string as_json(const std::vector<Finding>& findings, bool can_record) {
  nlohmann::ordered_json json{{"can_record", can_record}, {"findings", nlohmann::ordered_json::array()}};
  for (const Finding& finding : findings)
    json["findings"].push_back({{"name", finding.name},
                                {"health", mark(finding.health)},
                                {"found", finding.found},
                                {"advice", finding.advice}});
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

int cmd_doctor(const DoctorOptions& options) {
  const auto findings = examine_machine();
  bool can_record = true;
  for (const Finding& finding : findings) can_record = can_record && finding.health != Health::kFailed;
  const int printed = print_and_finish(options.json ? as_json(findings, can_record) : as_text(findings, can_record));
  return can_record ? printed : kExitFailed;
}

}  // namespace kflight::cli
