// SPDX-License-Identifier: Apache-2.0
//
// cmd_status.cpp - `kflight status`: what a running recorder holds, loses and costs.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/escape.hpp"
#include "base/units.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/recorder_request.hpp"
#include "cli/report.hpp"
#include "cli/summary_text.hpp"
#include "dump/meta.hpp"

namespace kflight::cli {

namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kTimeout{10'000};

std::uint64_t number(const json& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_number_unsigned()
             ? object[key].get<std::uint64_t>()
             : 0;
}
std::string text(const json& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_string()
             ? escape_for_terminal(object[key].get_ref<const std::string&>())
             : "";
}

void add_triggers(Report& report, const json& status) {
  std::string_view label = "triggers";
  for (const json& trigger : status.value("triggers", json::array())) {
    report.line(label, trigger.is_string() ? escape_for_terminal(trigger.get_ref<const std::string&>()) : "?");
    label = "";
  }
  const json fired = status.value("fired", json::object());
  report.fact(label, "fired {} times: {} joined a dump under way, {} got none (too soon after one)",
              format_count(number(fired, "total")), format_count(number(fired, "merged")),
              format_count(number(fired, "suppressed")));
}

std::string as_text(const json& status) {
  // These parts are written as in a dump's metadata, so its reader reads them.
  const DumpMeta meta = dump::meta_from_json(status.dump(-1, ' ', true, json::error_handler_t::replace)).meta;
  const json dumps = status.value("dumps", json::object());
  Report report(terminal_columns());
  report.fact("recorder", "{} (pid {}), kflight {}, running for {}", text(status, "name"), number(status, "pid"),
              text(status, "version"), format_duration(static_cast<std::int64_t>(number(status, "uptime_ns"))));
  if (status.value("everyone", false))
    report.line("target", "every process");
  else
    report.fact("target", "{} processes alive", format_count(number(status, "targets_alive")));
  report.line("window", window_text(meta.window, number(status, "min_age_ns"), number(status, "max_bytes")));
  const std::string file = text(status, "window_file");
  report.line("", file.empty() ? "lost if the recorder is killed" : "outlives the recorder in " + file);
  report.fact("rate", "{} events/s; {} seen since the start",
              format_count(static_cast<std::uint64_t>(status.value("events_per_second", 0.0))),
              format_count(number(status, "events_seen")));
  const auto losses = losses_text(meta.losses);
  if (losses.empty()) report.line("losses", "none");
  for (const std::string& loss : losses) report.line(&loss == &losses.front() ? "losses" : "", loss);
  add_triggers(report, status);
  report.fact("dumps", "{} written, {} failed", format_count(number(dumps, "written")),
              format_count(number(dumps, "failed")));
  if (const std::string last = text(dumps, "last"); !last.empty()) report.fact("", "last {}", last);
  report.line("cost", recorder_cost_text(meta.cost)).line("", bpf_cost_text(meta.cost));
  for (const json& lack : status.value("missing", json::array()))
    if (lack.is_string()) report.line("missing", escape_for_terminal(lack.get_ref<const std::string&>()));
  return report.text();
}

Result<std::string> request_status(const StatusOptions& options) {
  KF_TRY_ASSIGN(const std::string name, choose_recorder(options.name));
  return request_recorder(name, R"({"op":"status"})", kTimeout);
}

}  // namespace

int cmd_status(const StatusOptions& options) {
  const auto reply = request_status(options);
  if (!reply) return fail(reply.error());
  return print_and_finish(options.json ? *reply + "\n" : as_text(json::parse(*reply, nullptr, false)));
}

}  // namespace kflight::cli
