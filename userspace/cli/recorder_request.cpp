// SPDX-License-Identifier: Apache-2.0
//
// recorder_request.cpp - socket files of dead recorders are told from living ones by asking them.
#include "cli/recorder_request.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/escape.hpp"
#include "record/control_client.hpp"
#include "record/recorder_name.hpp"

namespace kflight::cli {

namespace {

constexpr std::chrono::milliseconds kPingTimeout{2000};

Errc code_of(std::string_view word) {
  constexpr std::pair<std::string_view, Errc> kWords[] = {
      {"usage", Errc::kUsage}, {"not-found", Errc::kNotFound},      {"permission", Errc::kPermission},
      {"busy", Errc::kBusy},   {"unsupported", Errc::kUnsupported}, {"io", Errc::kIo}};
  for (const auto& [name, code] : kWords)
    if (name == word) return code;
  return Errc::kInternal;
}

// Those that answer: a socket file alone may have been left behind. One we may not talk to counts, so that the request
// itself says why.
std::vector<std::string> living_recorders() {
  std::vector<std::string> living;
  for (const std::string& name : record::recorder_names()) {
    const auto reply = record::control_request(name, R"({"op":"status"})", kPingTimeout);
    if (reply || reply.error().code != Errc::kNotFound) living.push_back(name);
  }
  return living;
}

}  // namespace

Result<std::string> choose_recorder(const std::string& name) {
  if (!name.empty()) return name;
  const auto names = living_recorders();
  if (names.empty())
    return Error{Errc::kNotFound, fmt::format("no recorder is running (looked in {}); start one with `kflight record`",
                                              record::runtime_directory())};
  if (names.size() > 1)
    return Error{Errc::kUsage, fmt::format("{} recorders are running: {}; say which with --name", names.size(),
                                           escape_for_terminal(fmt::format("{}", fmt::join(names, ", "))))};
  return names.front();
}

Result<std::string> request_recorder(const std::string& name, const std::string& request_json,
                                     std::chrono::milliseconds timeout) {
  KF_TRY_ASSIGN(const std::string reply, record::control_request(name, request_json, timeout));
  const auto json = nlohmann::json::parse(reply, nullptr, false);
  if (!json.is_object() || !json.contains("ok"))
    return Error{Errc::kIo, fmt::format("recorder '{}' answered something that is no reply; is it another version? "
                                        "Compare `kflight version`",
                                        name)};
  if (json["ok"] == true) return reply;
  const auto text = [&](const char* key) {
    return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
  };
  return Error{code_of(text("code")), fmt::format("recorder '{}': {}", name, escape_for_terminal(text("error")))};
}

}  // namespace kflight::cli
