// SPDX-License-Identifier: Apache-2.0
//
// session_json.hpp - what goes over the control socket, as JSON text. Requests are untrusted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kflight/flight_recorder.hpp"
#include "kflight/result.hpp"
#include "record/trigger_policy.hpp"

namespace kflight::record {

// {"op":"status"}   {"op":"stop"}   {"op":"dump","path":"/absolute/file.kfr","note":"why"}  path and note may be left out
struct ControlRequest {
  enum class Op { kStatus, kDump, kStop };
  Op op = Op::kStatus;
  std::string path;
  std::string note;
};
Result<ControlRequest> parse_request(std::string_view text_untrusted);

struct SessionStatus {
  std::string name;
  std::uint64_t uptime_ns = 0;
  RecorderStats stats;
  const FlightRecorderConfig* config = nullptr;
  TriggerPolicy::Counts policy;
  std::uint64_t dump_failures = 0;
  std::string last_dump;
  std::vector<std::string> missing;
};

// Every reply is an object with "ok": true or false.
std::string to_json(const SessionStatus& status);
std::string dump_json(const std::string& path, std::uint64_t bytes);
std::string ok_json();
std::string error_json(const Error& error);  // {"ok":false,"code":"busy","error":"..."}

}  // namespace kflight::record
