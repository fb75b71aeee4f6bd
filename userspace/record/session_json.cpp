// SPDX-License-Identifier: Apache-2.0
#include "record/session_json.hpp"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/escape.hpp"
#include "dump/meta.hpp"

namespace kflight::record {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostNoteBytes = 1024;
constexpr std::size_t kMostPathBytes = 4096;

std::string line(const Json& json) { return json.dump(-1, ' ', true, Json::error_handler_t::replace); }

const char* word_of(Errc code) {
  switch (code) {
    case Errc::kUsage: return "usage";
    case Errc::kNotFound: return "not-found";
    case Errc::kPermission: return "permission";
    case Errc::kUnsupported: return "unsupported";
    case Errc::kBusy: return "busy";
    case Errc::kIo: return "io";
    case Errc::kDamaged: return "damaged";
    case Errc::kInternal: return "internal";
  }
  return "";
}

// A text member; an empty one when it is left out. (Not an ordered object: adding to one takes longer with each member.)
Result<std::string> text_member(const nlohmann::json& object, const char* key, std::size_t most_bytes) {
  const auto member = object.find(key);
  if (member == object.end() || member->is_null()) return std::string();
  if (!member->is_string() || member->get_ref<const std::string&>().size() > most_bytes)
    return Error{Errc::kUsage, std::string("\"") + key + "\" in the request must be a text of at most " +
                                   std::to_string(most_bytes) + " bytes"};
  return member->get<std::string>();
}

}  // namespace

Result<ControlRequest> parse_request(std::string_view text_untrusted) {
  const auto json = nlohmann::json::parse(text_untrusted, nullptr, false);
  if (!json.is_object()) return Error{Errc::kUsage, "the request is no JSON object, such as {\"op\":\"status\"}"};
  ControlRequest request;
  KF_TRY_ASSIGN(const std::string op, text_member(json, "op", 64));
  if (op == "status") {
    request.op = ControlRequest::Op::kStatus;
  } else if (op == "stop") {
    request.op = ControlRequest::Op::kStop;
  } else if (op == "dump") {
    request.op = ControlRequest::Op::kDump;
  } else {
    return Error{Errc::kUsage, "\"op\" in the request is '" + escape_for_terminal(op) + "'; there are status, dump and stop"};
  }
  KF_TRY_ASSIGN(request.path, text_member(json, "path", kMostPathBytes));
  KF_TRY_ASSIGN(request.note, text_member(json, "note", kMostNoteBytes));
  if (!request.path.empty() && request.path.front() != '/')
    return Error{Errc::kUsage, "\"path\" in the request must be absolute: the recorder has its own working directory"};
  return request;
}

std::string to_json(const SessionStatus& status) {
  const RecorderStats& stats = status.stats;
  DumpMeta meta;  // its sections are written the same way in a dump
  meta.window = stats.window;
  meta.losses = stats.losses;
  meta.cost = stats.cost;
  const Json sections = Json::parse(dump::to_json(meta), nullptr, false);
  Json triggers = Json::array();
  for (const TriggerSpec& spec : status.config->triggers) triggers.push_back(spec.text);
  Json json;
  json["ok"] = true;
  json["name"] = status.name;
  json["pid"] = ::getpid();
  json["version"] = KFLIGHT_VERSION;
  json["uptime_ns"] = status.uptime_ns;
  json["everyone"] = status.config->target.everyone;
  json["targets_alive"] = stats.targets_alive;
  json["min_age_ns"] = status.config->min_age.count();
  json["max_bytes"] = status.config->max_bytes;
  json["events_seen"] = stats.events_seen;
  json["hits_seen"] = stats.hits_seen;
  json["chunks_seen"] = stats.chunks_seen;
  json["events_evicted"] = stats.events_evicted;
  json["events_per_second"] = stats.events_per_second;
  json["window"] = sections["window"];
  json["window_file"] = stats.window_file;
  json["losses"] = sections["losses"];
  json["cost"] = sections["cost"];
  json["triggers"] = std::move(triggers);
  json["fired"] = {{"total", stats.triggers_fired},
                   {"merged", status.policy.merged},
                   {"suppressed", status.policy.suppressed}};
  json["dumps"] = {{"written", stats.dumps_written}, {"failed", status.dump_failures}, {"last", status.last_dump}};
  json["missing"] = status.missing;
  return line(json);
}

std::string dump_json(const std::string& path, std::uint64_t bytes) {
  return line({{"ok", true}, {"path", path}, {"bytes", bytes}});
}

std::string ok_json() { return line({{"ok", true}}); }

std::string error_json(const Error& error) {
  return line({{"ok", false}, {"code", word_of(error.code)}, {"error", error.what}});
}

}  // namespace kflight::record
