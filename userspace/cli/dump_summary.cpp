// SPDX-License-Identifier: Apache-2.0
//
// dump_summary.cpp - what fired and the call first, then how much the file can be trusted, then who recorded it and
// how.
#include "cli/dump_summary.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/escape.hpp"
#include "base/units.hpp"
#include "cli/event_text.hpp"
#include "cli/report.hpp"
#include "cli/summary_text.hpp"
#include "cli/times.hpp"
#include "dump/code_names.hpp"
#include "dump/syscalls.hpp"

namespace kflight::cli {

namespace {

constexpr std::size_t kLossesShown = 8, kDamageShown = 8, kCallsShown = 8;

std::string duration(std::uint64_t ns) { return format_duration(static_cast<std::int64_t>(ns)); }
std::string safe(std::string_view text_untrusted) { return escape_for_terminal(text_untrusted); }

std::string comm_of(const kf_open_call& call) { return safe({call.comm, ::strnlen(call.comm, sizeof call.comm)}); }
std::string text_of(const kf_open_call& call) {
  const std::vector<std::uint64_t> args(std::begin(call.args), std::end(call.args));
  return safe(dump::describe_call(call.nr, call.abi, args));
}

// The holes in the window, as the chunks' numbers and the recorder's own notes tell.
struct Hole {
  std::uint64_t from_ns;
  std::uint64_t to_ns;
  std::string what;
};

std::vector<Hole> holes_in(const Dump& dump) {
  std::vector<Hole> holes;
  for (const Event& event : dump.events())
    if (const auto* loss = std::get_if<LossEvent>(&event))
      holes.push_back(
          {loss->from_ns, loss->ts_ns,
           fmt::format("cpu {}: {} events, {}", loss->cpu, loss->count == 0 ? "some" : format_count(loss->count),
                       dump::loss_reason(loss->reason))});
  for (const kf_loss& loss : dump.losses())
    if (loss.kind != KF_LOSS_WINDOW)  // these are holes in the numbering already
      holes.push_back({loss.from_ns, loss.to_ns,
                       fmt::format("{}{} {}", loss.lane == 0xffffffff ? "" : fmt::format("cpu {}: ", loss.lane),
                                   loss.count == 0 ? "some" : format_count(loss.count), dump::loss_kind(loss.kind))});
  return holes;
}

// Stacks that events name, and those among them that are not in the dump.
struct StackCount {
  std::uint64_t named = 0;
  std::uint64_t lost = 0;
  std::array<std::uint64_t, 4> by_role{};

  std::uint64_t waits() const { return by_role[KF_STACK_BLOCK] + by_role[KF_STACK_WAITED]; }
};

StackCount count_stacks(const Dump& dump) {
  StackCount count;
  for (const Event& event : dump.events()) {
    const auto* e = std::get_if<StackEvent>(&event);
    if (e == nullptr) continue;
    if (!e->of_call()) ++count.by_role[e->role & 3];
    count.lost += std::uint64_t{e->kernel_lost} + e->user_lost;
    for (const std::uint64_t id : {e->kernel_stack, e->user_stack})
      if (id != 0) dump.stack(id) != nullptr ? ++count.named : ++count.lost;
  }
  return count;
}

const kf_ctl* resolution_of(const Dump& dump, const Cause& cause) {
  for (const kf_ctl& call : dump.resolutions())
    if (call.tid == cause.tid && call.nr == cause.nr && call.enter_ns == cause.enter_ns) return &call;
  return nullptr;
}

class Summary {
 public:
  Summary(const Dump& dump, const std::string& path, std::size_t columns)
      : dump_(dump), meta_(dump.meta()), path_(path), clock_(dump), report_(columns) {}

  std::string text() {
    headline();
    cause();
    report_.blank();
    window();
    losses();
    stacks();
    damage();
    report_.blank();
    targets();
    config();
    cost();
    return report_.text();
  }

 private:
  void headline() {
    report_.fact("dump", "{}, {}, {}{}", safe(path_), format_bytes(dump_.file_bytes()),
                 dump_.complete() ? "complete" : "INCOMPLETE", dump_.damage().empty() ? "" : ", DAMAGED");
    const HostInfo& host = meta_.host;
    report_.fact("host", "{}, Linux {} {}, {} CPUs", safe(host.hostname), safe(host.kernel_release), safe(host.machine),
                 host.cpus_online);
  }

  void cause() {
    const Cause& cause = meta_.cause;
    report_.fact("fired", "{}{}", cause.trigger.empty() ? "not known" : safe(cause.trigger),
                 cause.merged > 0 ? fmt::format(" ({} more firings meanwhile)", format_count(cause.merged)) : "");
    if (cause.fired_ns != 0)
      report_.fact("at", "{} ({} s from the window's end)", clock_.wall(cause.fired_ns),
                   clock_.relative(cause.fired_ns));
    if (!cause.note.empty()) report_.fact("note", "{}", safe(cause.note));
    if (!cause.has_call) return;
    report_.fact("thread", "{}:{} of process {}", safe(cause.comm.view()), cause.tid, cause.tgid);
    call(cause);
    if (cause.call_in_flight) in_flight(cause);
  }

  void call(const Cause& cause) {
    report_.line("call", safe(dump::describe_call(cause.nr, cause.abi, cause.args)));
    if (!cause.fd_path.empty()) report_.fact("file", "{}", safe(cause.fd_path));
    if (cause.call_in_flight) return;
    const std::string result = dump::describe_result(cause.nr, cause.ret);
    if (cause.enter_ns == 0) return report_.fact("result", "{}; when the call began is not known", result), void();
    report_.fact("result", "{} after {}, from {} to {}", result, duration(cause.exit_ns - cause.enter_ns),
                 clock_.relative(cause.enter_ns), clock_.relative(cause.exit_ns));
    reach(cause.enter_ns);
  }

  void in_flight(const Cause& cause) {
    const std::string since = cause.enter_ns == 0 ? "an unknown time" : duration(cause.fired_ns - cause.enter_ns);
    report_.fact("state", "had not returned after {}, when the trigger fired", since);
    if (const kf_ctl* end = resolution_of(dump_, cause))
      report_.fact("ended", "{} after {}, at {}", dump::describe_result(end->nr, end->ret),
                   duration(end->exit_ns - end->enter_ns), clock_.wall(end->exit_ns));
    else
      report_.line("ended", "not known: it was still in progress when this file was last written");
    if (cause.enter_ns != 0) reach(cause.enter_ns);
  }

  // Does the window hold the whole call?
  void reach(std::uint64_t enter_ns) {
    if (enter_ns < dump_.window_begin_ns())
      report_.fact("", "WARNING: it began {} before the window does; a larger --max-bytes or --min-age holds all of it",
                   duration(dump_.window_begin_ns() - enter_ns));
  }

  void window() {
    report_.line("window", window_text(meta_.window, meta_.config.min_age_ns, meta_.config.max_bytes));
    if (dump_.window_end_ns() != 0)
      report_.fact("", "{} to", clock_.wall(dump_.window_begin_ns()))
          .fact("", "{}", clock_.wall(dump_.window_end_ns()));
  }

  void losses() {
    const auto holes = holes_in(dump_);
    if (holes.empty()) report_.line("losses", "none in the window");
    for (std::size_t i = 0; i < std::min(holes.size(), kLossesShown); ++i)
      report_.fact(i == 0 ? "losses" : "", "{} to {}  {}", clock_.relative(holes[i].from_ns),
                   clock_.relative(holes[i].to_ns), holes[i].what);
    if (holes.size() > kLossesShown)
      report_.fact("", "... {} more: kflight info --json", format_count(holes.size() - kLossesShown));
    for (const std::string& way : losses_text(meta_.losses)) report_.fact("", "since the start: {}", way);
  }

  void stacks() {
    const RecordedConfig& config = meta_.config;
    if (config.stacks.empty() || (config.stacks == "none" && config.sample_hz == 0)) return;
    const StackCount count = count_stacks(dump_);
    std::string asked = safe(config.stacks);
    if (config.sample_hz != 0) asked += fmt::format(", {} samples a second", config.sample_hz);
    if (config.stack_wait_ns != 0) asked += fmt::format(", of waits from {} on", duration(config.stack_wait_ns));
    report_.fact("stacks", "{} ({} different ones) of {} waits, {} wakings, {} samples; asked for: {}",
                 format_count(count.named), format_count(dump_.stacks().size()), format_count(count.waits()),
                 format_count(count.by_role[KF_STACK_WAKER]), format_count(count.by_role[KF_STACK_SAMPLE]), asked);
    if (count.lost > 0) report_.fact("", "{} more were lost: there was no room for them{}", format_count(count.lost),
                                        meta_.cause.kind == "recovered" ? ", or the recorder died before it saved them" : "");
  }

  void damage() {
    if (dump_.damage().empty()) return report_.line("damage", "none"), void();
    std::size_t shown = 0;
    for (const Damage& one : dump_.damage()) {
      if (shown == kDamageShown) {
        report_.fact("", "... {} more", dump_.damage().size() - shown);
        return;
      }
      report_.fact(shown++ == 0 ? "damage" : "", "{} at byte {}: {}", format_bytes(one.bytes), format_count(one.offset),
                   safe(one.what));
    }
  }

  void targets() {
    const RecordedConfig& config = meta_.config;
    const auto all = dump_.tasks();
    const auto ours = std::ranges::count_if(all, [](const kf_task& t) { return (t.flags & KF_TASK_TARGET) != 0; });
    std::string asked = config.everyone ? "every process" : "";
    if (!config.command.empty()) asked = "-- " + safe(config.command);
    if (!config.target_pids.empty())
      asked += fmt::format("{}--pid {}", asked.empty() ? "" : ", ", fmt::join(config.target_pids, " --pid "));
    for (const std::string& glob : config.comm_globs)
      asked += fmt::format("{}--comm '{}'", asked.empty() ? "" : ", ", safe(glob));
    report_.fact("target", "{}{}", asked.empty() ? "not known" : asked, config.follow ? "" : ", without children");
    for (const ProcessInfo& process : meta_.targets) report_.fact("", "{} {}", process.tgid, safe(process.exe));
    if (all.empty())
      report_.line("threads", "the dump has no snapshot of them");
    else
      report_.fact("threads", "{} at the dump, {} of the target", format_count(all.size()),
                   format_count(static_cast<std::uint64_t>(ours)));
    open_calls();
  }

  void open_calls() {
    std::size_t shown = 0;
    for (const kf_open_call& call : dump_.open_calls()) {
      if (shown == kCallsShown) {
        report_.fact("", "... {} more", dump_.open_calls().size() - shown);
        return;
      }
      const std::string since = call.enter_ns == 0 || call.enter_ns > dump_.window_end_ns()
                                    ? ""
                                    : ", for " + duration(dump_.window_end_ns() - call.enter_ns);
      report_.fact(shown++ == 0 ? "in flight" : "", "{}:{} {}{}", comm_of(call), call.tid, text_of(call), since);
    }
  }

  void config() {
    const RecordedConfig& config = meta_.config;
    report_.fact("recorded", "syscalls {}{}, scope {}, post {}", safe(config.syscalls),
                 config.syscalls == "slow" ? fmt::format(" (over {})", duration(config.slow_floor_ns)) : "",
                 safe(config.scope), duration(config.post_ns));
    for (const std::string& trigger : config.triggers)
      report_.line(&trigger == &config.triggers.front() ? "triggers" : "", safe(trigger));
    for (const std::string& lack : config.missing)
      report_.line(&lack == &config.missing.front() ? "missing" : "", safe(lack));
  }

  void cost() {
    report_.line("cost", recorder_cost_text(meta_.cost)).line("", bpf_cost_text(meta_.cost));
    report_.fact("by", "kflight {}, dump {} of its run", safe(meta_.config.kflight_version), meta_.dump_number);
  }

  const Dump& dump_;
  const DumpMeta& meta_;
  const std::string& path_;
  DumpClock clock_;
  Report report_;
};

using Json = nlohmann::ordered_json;

Json calls_as_json(const Dump& dump) {
  Json calls = Json::array();
  for (const kf_open_call& call : dump.open_calls())
    calls.push_back({{"tid", call.tid},
                     {"tgid", call.tgid},
                     {"comm", comm_of(call)},
                     {"call", text_of(call)},
                     {"nr", call.nr},
                     {"enter_ns", call.enter_ns},
                     {"since_ns", call.since_ns}});
  return calls;
}

Json resolutions_as_json(const Dump& dump) {
  Json calls = Json::array();
  for (const kf_ctl& call : dump.resolutions())
    calls.push_back({{"tid", call.tid},
                     {"tgid", call.tgid},
                     {"nr", call.nr},
                     {"enter_ns", call.enter_ns},
                     {"exit_ns", call.exit_ns},
                     {"ret", call.ret},
                     {"result", dump::describe_result(call.nr, call.ret)}});
  return calls;
}

}  // namespace

std::string summary_as_text(const Dump& dump, const std::string& path, std::size_t columns) {
  return Summary(dump, path, columns).text();
}

std::string summary_as_json(const Dump& dump, const std::string& path) {
  Json json{{"file", path},
            {"file_bytes", dump.file_bytes()},
            {"complete", dump.complete()},
            {"damage", Json::array()},
            {"window_begin_ns", dump.window_begin_ns()},
            {"window_end_ns", dump.window_end_ns()},
            {"threads", dump.tasks().size()},
            {"losses_in_window", Json::array()},
            {"open_calls", calls_as_json(dump)},
            {"resolutions", resolutions_as_json(dump)}};
  for (const Damage& one : dump.damage())
    json["damage"].push_back({{"offset", one.offset}, {"bytes", one.bytes}, {"what", one.what}});
  for (const Hole& hole : holes_in(dump))
    json["losses_in_window"].push_back({{"from_ns", hole.from_ns}, {"to_ns", hole.to_ns}, {"what", hole.what}});
  const StackCount stacks = count_stacks(dump);
  json["stacks"] = {{"named", stacks.named},
                    {"lost", stacks.lost},
                    {"different", dump.stacks().size()},
                    {"waits", stacks.waits()},
                    {"wakings", stacks.by_role[KF_STACK_WAKER]},
                    {"samples", stacks.by_role[KF_STACK_SAMPLE]}};
  const Cause& cause = dump.meta().cause;
  if (cause.has_call) json["call"] = dump::describe_call(cause.nr, cause.abi, cause.args);
  if (cause.has_call && !cause.call_in_flight) json["result"] = dump::describe_result(cause.nr, cause.ret);
  // What the file says of itself comes last: it does not replace what reading it has found.
  if (const Json meta = Json::parse(dump.meta_json(), nullptr, false); meta.is_object())
    for (const auto& [key, value] : meta.items())
      if (!json.contains(key)) json[key] = value;
  return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace kflight::cli
