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
  return finding.health == Health::kOk && finding.advice.empty() && finding.found == "present";
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

std::string as_json(const Examination& examination, bool can_record) {
  nlohmann::ordered_json json{{"can_record", can_record}, {"findings", nlohmann::ordered_json::array()}};
  for (const Finding& finding : examination.findings) {
    nlohmann::ordered_json entry{{"name", finding.name},
                                 {"health", mark(finding.health)},
                                 {"found", finding.found},
                                 {"advice", finding.advice}};
    if (!finding.feature.empty()) entry["id"] = finding.feature;
    json["findings"].push_back(std::move(entry));
  }
  json["programs"] = nlohmann::ordered_json::array();
  for (const record::VerifiedProgram& program : examination.programs)
    json["programs"].push_back({{"name", program.name}, {"verified_instructions", program.instructions}});
  return json.dump(2, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

int cmd_doctor(const DoctorOptions& options) {
  const Examination examination = examine_machine();
  const std::vector<Finding>& findings = examination.findings;
  bool can_record = true;
  for (const Finding& finding : findings) can_record = can_record && finding.health != Health::kFailed;
  const int printed = print_and_finish(options.json ? as_json(examination, can_record) : as_text(findings, can_record));
  return can_record ? printed : kExitFailed;
}

}  // namespace kflight::cli
