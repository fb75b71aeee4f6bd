// SPDX-License-Identifier: Apache-2.0
//
// check_text.cpp - verdicts with their evidence, laid out or as JSON.
#include "cli/check_text.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/escape.hpp"
#include "base/units.hpp"
#include "cli/command_help.hpp"
#include "cli/thread_names.hpp"
#include "cli/times.hpp"

namespace kflight::cli {

namespace {

using analyze::CheckReport;
using analyze::Evidence;
using analyze::InvariantReport;
using analyze::Verdict;
using Json = nlohmann::ordered_json;

constexpr std::size_t kVerdictColumns = 10, kNameColumns = 20, kTextColumn = kVerdictColumns + kNameColumns;

std::string_view short_verdict(Verdict verdict) {
  constexpr std::string_view kWords[] = {"ok", "VIOLATED", "-"};
  return kWords[static_cast<std::size_t>(verdict)];
}

std::string numbers(const InvariantReport& one) {
  std::string out;
  if (one.violations > 0) out += fmt::format("{} violations", format_count(one.violations));
  if (one.checked > 0) out += fmt::format("{}{} checked", out.empty() ? "" : ", ", format_count(one.checked));
  if (one.excused > 0) out += fmt::format(", {} excused by losses", format_count(one.excused));
  return out;
}

void append_evidence(std::string& out, const Evidence& evidence, const DumpClock& clock, const ThreadNames& names) {
  std::string line = "  ";
  if (evidence.ts_ns != 0) line += clock.relative(evidence.ts_ns) + "  ";
  if (evidence.cpu) line += fmt::format("cpu {}  ", *evidence.cpu);
  if (evidence.tid) {
    names.append(line, *evidence.tid);
    line += "  ";
  }
  out += line + evidence.what + '\n';
}

void append_line(std::string& out, std::size_t columns, std::string_view verdict, std::string_view name,
                 std::string_view text) {
  out += fmt::format("{:<{}}{:<{}}{}\n", verdict, kVerdictColumns, name, kNameColumns,
                     wrap_text(text, kTextColumn, kTextColumn, columns));
}

Json as_json(const Evidence& evidence) {
  Json json;
  if (evidence.ts_ns != 0) json["ts_ns"] = evidence.ts_ns;
  if (evidence.cpu) json["cpu"] = *evidence.cpu;
  if (evidence.tid) json["tid"] = *evidence.tid;
  json["what"] = evidence.what;
  return json;
}

Json as_json(const InvariantReport& one) {
  Json json{{"name", one.name},       {"proves", one.proves},         {"verdict", analyze::verdict_name(one.verdict)},
            {"checked", one.checked}, {"violations", one.violations}, {"excused", one.excused}};
  if (!one.why_not.empty()) json["why_not"] = one.why_not;
  json["evidence"] = Json::array();
  for (const Evidence& evidence : one.evidence) json["evidence"].push_back(as_json(evidence));
  json["remarks"] = Json::array();
  for (const analyze::Remark& remark : one.remarks)
    json["remarks"].push_back({{"what", remark.what}, {"count", remark.count}});
  return json;
}

}  // namespace

std::string check_as_text(const CheckReport& report, const Dump& dump, const std::string& path, std::size_t columns) {
  const DumpClock clock(dump);
  const ThreadNames names(dump);
  std::size_t counts[3] = {};
  for (const InvariantReport& one : report.invariants) ++counts[static_cast<std::size_t>(one.verdict)];
  std::string out = fmt::format(
      "{}: {}\n", escape_for_terminal(path),
      report.violated() ? fmt::format("{} of {} invariants are VIOLATED", counts[1], report.invariants.size())
                        : "consistent");
  out += wrap_text(fmt::format("{} ok, {} violated, {} not applicable; {} events, {} judged, {} known holes\n",
                               counts[0], counts[1], counts[2], format_count(report.events),
                               format_duration(static_cast<std::int64_t>(report.end_ns - report.begin_ns)),
                               format_count(report.losses)),
                   0, 0, columns) +
         "\n";
  for (const InvariantReport& one : report.invariants) {
    append_line(out, columns, short_verdict(one.verdict), one.name,
                fmt::format("{} ({})", one.proves, one.why_not.empty() ? numbers(one) : one.why_not));
    for (const analyze::Remark& remark : one.remarks)
      append_line(out, columns, "", "", fmt::format("{}: {}", remark.what, format_count(remark.count)));
    for (const Evidence& evidence : one.evidence) append_evidence(out, evidence, clock, names);
    if (one.violations > one.evidence.size())
      out +=
          fmt::format("  ... {} more; --evidence N shows more\n", format_count(one.violations - one.evidence.size()));
  }
  return out;
}

std::string check_as_json(const CheckReport& report, const std::string& path) {
  Json json{{"file", path},
            {"violated", report.violated()},
            {"events", report.events},
            {"begin_ns", report.begin_ns},
            {"end_ns", report.end_ns},
            {"holes", report.losses},
            {"invariants", Json::array()}};
  for (const InvariantReport& one : report.invariants) json["invariants"].push_back(as_json(one));
  return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace kflight::cli
