// SPDX-License-Identifier: Apache-2.0
//
// cmd_recover.cpp - `kflight recover`: a dump of the window that a killed recorder left behind, which is then removed.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/clocks.hpp"
#include "base/escape.hpp"
#include "base/units.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "record/dump_store.hpp"
#include "record/recorder_name.hpp"
#include "record/recover.hpp"

namespace kflight::cli {

namespace {

// One that cannot be opened counts, so that opening it says why.
std::vector<std::string> left_behind() {
  std::vector<std::string> names;
  for (const std::string& name : record::window_names()) {
    const auto left = record::Leftover::open(record::window_path(name));
    if (left || left.error().code != Errc::kBusy) names.push_back(name);
  }
  return names;
}

Result<std::string> choose_leftover(const std::string& name) {
  if (!name.empty()) return name;
  const auto names = left_behind();
  if (names.empty())
    return Error{Errc::kNotFound, fmt::format("no recorder was killed and left a window behind (looked in {}); `kflight "
                                              "dump` writes the window of a running one",
                                              record::window_directory())};
  if (names.size() > 1)
    return Error{Errc::kUsage, fmt::format("{} recorders left a window behind: {}; say which with --name", names.size(),
                                           fmt::join(names, ", "))};
  return names.front();
}

Result<record::Leftover> open_leftover(const std::string& name) {
  auto left = record::Leftover::open(record::window_path(name));
  if (left) return left;
  if (left.error().code == Errc::kBusy)
    return Error{Errc::kBusy, fmt::format("recorder '{0}' is running; `kflight dump --name {0}` writes its window", name)};
  if (left.error().code == Errc::kNotFound)
    return Error{Errc::kNotFound, fmt::format("no recorder named '{}' left a window behind (looked in {})", name,
                                              record::window_directory())};
  return left.error();
}

struct Outcome {
  record::StoredDump dump;
  record::Recovered what;
};

Result<Outcome> recover(const RecoverOptions& options) {
  KF_TRY_ASSIGN(const std::string name, choose_leftover(options.name));
  KF_TRY_ASSIGN(const record::Leftover left, open_leftover(name));
  std::error_code failed;
  const auto here = std::filesystem::current_path(failed).string();
  const auto slash = options.out_file.rfind('/');
  const auto directory = options.out_file.empty() ? here : options.out_file.substr(0, std::max<std::size_t>(slash, 1));
  KF_TRY_ASSIGN(const auto store, record::DumpStore::open({.directory = directory, .name = name}));
  Outcome outcome;
  const auto write = [&](ByteSink& sink) -> Result<> {
    KF_TRY_ASSIGN(outcome.what, record::write_recovered(left, sink));
    return {};
  };
  auto dump = options.out_file.empty() ? store->store("recovered", read_all_clocks().realtime, write)
                                       : store->store_at(options.out_file, write);
  if (!dump && dump.error().code == Errc::kDamaged)  // now and ever
    return Error{Errc::kDamaged, fmt::format("{}; `rm {}` frees the memory", dump.error().what, record::window_path(name))};
  if (!dump) return dump.error();
  outcome.dump = *dump;
  KF_TRY(left.remove());
  record::clear_name_of_the_dead(name);
  return outcome;
}

}  // namespace

int cmd_recover(const RecoverOptions& options) {
  const auto done = recover(options);
  if (!done) return fail(done.error());
  const auto& [dump, what] = *done;
  if (options.json) {
    const nlohmann::ordered_json json{{"path", dump.path},           {"bytes", dump.bytes},
                                      {"pid", what.pid},             {"events", what.events},
                                      {"window_ns", what.window_ns}, {"damaged_chunks", what.damaged_chunks}};
    return print_and_finish(json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n");
  }
  return print_and_finish(fmt::format("dump {}\n{} events of {} until the recorder with PID {} died{}\n",
                                      escape_for_terminal(dump.path), format_count(what.events),
                                      format_duration(static_cast<std::int64_t>(what.window_ns)), what.pid,
                                      what.damaged_chunks == 0
                                          ? ""
                                          : fmt::format("; {} damaged chunks are left out", what.damaged_chunks)));
}

}  // namespace kflight::cli
