// SPDX-License-Identifier: Apache-2.0
//
// `kflight record`: starts a session and tells what happens. Standard output carries the lines scripts wait for (`ready`,
// `dump PATH`; one JSON object per line with --json), standard error what a person wants to see, with a status line that
// is rewritten every second when it is a terminal.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/escape.hpp"
#include "base/log.hpp"
#include "base/units.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "dump/syscalls.hpp"
#include "record/privileges.hpp"
#include "record/session.hpp"

namespace kflight::cli {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::nanoseconds;

std::string call_text(const Cause& cause) {
  std::string text = dump::describe_call(cause.nr, cause.abi, cause.args);
  if (!cause.fd_path.empty()) text += fmt::format(" on {}", cause.fd_path);
  return escape_for_terminal(text);
}

std::string trigger_text(const Cause& cause) {
  if (!cause.has_call) return cause.trigger;
  const std::string who = fmt::format("{}[{}]", escape_for_terminal(cause.comm.view()), cause.tid);
  const auto lasted = static_cast<std::int64_t>((cause.call_in_flight ? cause.fired_ns : cause.exit_ns) - cause.enter_ns);
  return fmt::format("{}: {} of {} {} {}", cause.trigger, call_text(cause), who,
                     cause.call_in_flight ? "has not returned for" : "took", format_duration(lasted));
}

std::uint64_t lost_events(const LossInfo& losses) {
  return losses.ring_events + losses.nested_events + losses.recursion + losses.window;
}

std::string exit_text(std::uint32_t status) {
  if (status & 0x7f) return fmt::format("killed by signal {}", status & 0x7f);
  return fmt::format("exit status {}", status >> 8 & 0xff);
}

// Lines for scripts, whole and in order. What standard output does not take waits here: a reader who does not read, or a
// terminal that was stopped, holds nothing up.
class Lines {
 public:
  // False: so much waits already that this line is left out.
  bool add(std::string_view line) {
    constexpr std::size_t kMost = 1 << 20;
    flush();
    const bool has_room = waiting_.size() + line.size() < kMost;
    if (has_room) waiting_.append(line).push_back('\n');
    flush();
    return has_room;
  }
  // Waits for up to so long in all.
  void flush(std::chrono::milliseconds patience = {}) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!waiting_.empty()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      pollfd fd{fd_, POLLOUT, 0};
      if (::poll(&fd, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0))) != 1) return;
      // So much a pipe that is ready takes at once.
      const ssize_t written = ::write(fd_, waiting_.data(), std::min<std::size_t>(waiting_.size(), PIPE_BUF));
      if (written > 0) waiting_.erase(0, static_cast<std::size_t>(written));
      else if (written < 0 && errno == EAGAIN) return;
      else if (written < 0 && errno != EINTR) waiting_.clear();  // nobody reads any more
    }
  }

 private:
  const int fd_ = without_waiting(STDOUT_FILENO);
  std::string waiting_;
};

class Reporter : public record::SessionObserver {
 public:
  explicit Reporter(const RecordOptions& options)
      : json_(options.json), quiet_(options.quiet), live_(!options.quiet && ::isatty(2)), options_(options) {}

  void on_ready(const FlightRecorder& recorder) override {
    const RecorderStats stats = recorder.stats();
    if (json_) {
      emit({{"event", "ready"},
            {"name", options_.name},
            {"pid", ::getpid()},
            {"targets_alive", stats.targets_alive},
            {"missing", recorder.missing_features()},
            {"missing_privileges", missing_privileges_}});
    } else {
      tell("ready");
    }
    say("recording {}; keeping the last {}, at most {}; dumps go to {}", what_is_recorded(stats),
        format_duration(options_.min_age), format_bytes(options_.max_bytes), escape_for_terminal(options_.out_dir));
    if (options_.triggers.empty())
      say("no trigger given: `kflight dump{}` or SIGUSR1 (kill -USR1 {}) writes a dump", name_flag(), ::getpid());
    for (const std::string& line : recorder.missing_features()) complain("this kernel has {}", line);
    for (const std::string& line : missing_privileges_) complain("{}", line);
  }

  void on_recovered(const record::RecoveryReport& report) override {
    if (json_) {
      emit({{"event", "recovered"}, {"path", report.path}, {"bytes", report.bytes}, {"pid", report.what.pid}});
    } else {
      tell("recovered " + report.path);
    }
    say("saved the window of the recorder that was killed (PID {}): {} events of {}", report.what.pid,
        format_count(report.what.events), format_duration(static_cast<std::int64_t>(report.what.window_ns)));
  }

  void on_trigger(const Cause& cause, nanoseconds dump_in) override {
    say("{}; dump in {}", trigger_text(cause), format_duration(dump_in));
  }

  void on_dump(const record::DumpReport& report) override {
    if (json_) {
      emit({{"event", "dump"},
            {"path", report.path},
            {"bytes", report.bytes},
            {"took_ns", report.took.count()},
            {"trigger", report.cause.trigger},
            {"merged", report.cause.merged}});
    } else {
      clear_status();
      tell("dump " + report.path);
    }
    say("wrote {} in {}{}", format_bytes(report.bytes), format_duration(report.took),
        report.cause.merged ? fmt::format("; it stands for {} firings", report.cause.merged + 1) : "");
  }

  void on_dump_failed(const Error& error) override {
    if (json_) emit({{"event", "dump-failed"}, {"error", error.what}});
    complain("a dump failed, recording goes on: {}", error.what);
  }

  void on_resolved(const std::string& path, const kf_ctl& call) override {
    if (json_) emit({{"event", "resolved"}, {"path", path}, {"duration_ns", call.exit_ns - call.enter_ns}, {"ret", call.ret}});
    say("the call in flight has returned {} after {}; added to {}", dump::describe_result(call.nr, call.ret),
        format_duration(static_cast<std::int64_t>(call.exit_ns - call.enter_ns)), escape_for_terminal(path));
  }

  void on_target_exit(std::uint32_t tgid, std::uint32_t status, std::uint64_t left) override {
    if (json_) emit({{"event", "target-exit"}, {"pid", tgid}, {"status", status}, {"left", left}});
    if (tgid == 0) return say("no process of the target is left; which ones ended when was missed");
    say("process {} has ended ({}), {} left", tgid, exit_text(status), left);
  }

  void on_second(const FlightRecorder& recorder) override {
    lines_.flush();
    if (!live_ || !stderr_takes_some()) return;
    const RecorderStats stats = recorder.stats();
    const double window_s = static_cast<double>(stats.window.to_ns - stats.window.from_ns) / 1e9;
    const double cpu = stats.cost.recording_ns
                           ? 100.0 * static_cast<double>(stats.cost.recorder_cpu_ns) / static_cast<double>(stats.cost.recording_ns)
                           : 0;
    std::string line = fmt::format("window {:.1f} s {} ({})  {}/s  lost {}  fired {}  dumps {}  cpu {:.2f} %", window_s,
                                   format_bytes(stats.window.bytes), stats.window.limited_by,
                                   format_count(static_cast<std::uint64_t>(stats.events_per_second)),
                                   lost_events(stats.losses), stats.triggers_fired, stats.dumps_written, cpu);
    if (line.size() >= columns_) line.resize(columns_ - 1);  // a second row would stay behind
    write_to_stderr("\r\033[K" + line);
    status_shown_ = true;
  }

  void on_end(const std::string& why, const RecorderStats& stats) override {
    if (json_)
      emit({{"event", "end"},
            {"why", why},
            {"events_seen", stats.events_seen},
            {"lost", lost_events(stats.losses)},
            {"fired", stats.triggers_fired},
            {"dumps", stats.dumps_written}});
    say("ended: {}; {} events seen, {} lost, {} firing{}, {} dump{}", why, format_count(stats.events_seen),
        format_count(lost_events(stats.losses)), stats.triggers_fired, stats.triggers_fired == 1 ? "" : "s",
        stats.dumps_written, stats.dumps_written == 1 ? "" : "s");
    lines_.flush(std::chrono::seconds(1));
  }

 private:
  std::string name_flag() const { return options_.name == "default" ? "" : " --name " + options_.name; }

  std::string what_is_recorded(const RecorderStats& stats) const {
    if (options_.all) return "every process";
    if (!options_.command.empty()) return escape_for_terminal(options_.command.front());
    return fmt::format("{} process{}", stats.targets_alive, stats.targets_alive == 1 ? "" : "es");
  }

  void emit(const Json& object) {
    tell(object.dump(-1, ' ', true, Json::error_handler_t::replace));
  }

  void tell(const std::string& line) {
    if (!lines_.add(line)) complain("nobody reads standard output, 1 MiB waits; left out: {}", escape_for_terminal(line));
  }

  void clear_status() {
    if (std::exchange(status_shown_, false)) write_to_stderr("\r\033[K");
  }

  template <class... Args>
  void complain(fmt::format_string<Args...> format, Args&&... args) {
    clear_status();
    const std::time_t now = std::time(nullptr);
    write_to_stderr(fmt::format("{:%H:%M:%S} {}\n", fmt::localtime(now), fmt::format(format, std::forward<Args>(args)...)));
  }
  template <class... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) {
    if (!quiet_) complain(format, std::forward<Args>(args)...);
  }

  const bool json_, quiet_, live_;
  const std::size_t columns_ = columns_of(STDERR_FILENO);
  const RecordOptions& options_;
  const std::vector<std::string> missing_privileges_ = record::missing_privileges();  // before any are given up
  bool status_shown_ = false;
  Lines lines_;
};

record::SessionOptions session_options(const RecordOptions& options) {
  record::SessionOptions session;
  session.name = options.name;
  session.out_dir = options.out_dir;
  session.post = options.post;
  session.cooldown = options.cooldown;
  session.max_dumps = options.max_dumps;
  session.max_dump_bytes = options.max_dump_bytes;
  session.duration = options.duration;
  session.wait = options.wait;
  session.command = options.command;
  session.keep_arguments = options.keep_arguments;
  session.sandbox = options.sandbox;
  FlightRecorderConfig& recorder = session.recorder;
  recorder.min_age = options.min_age;
  recorder.max_bytes = options.max_bytes;
  recorder.ring_bytes = options.ring_bytes;
  recorder.target = {.pids = options.pids, .comm_globs = options.comm_globs, .everyone = options.all, .follow = options.follow};
  recorder.probes = {.syscalls = options.syscalls, .scope = options.scope,
                     .causes = options.causes,
                     .stacks = options.stacks,
                     .stack_wait = options.stack_wait,
                     .sample_hz = options.sample_hz};
  if (options.slow_floor) recorder.probes.slow_floor = *options.slow_floor;
  recorder.without = options.without;
  for (const std::string& text : options.triggers) recorder.triggers.push_back({text});
  return session;
}

}  // namespace

int cmd_record(const RecordOptions& options) {
  never_wait_for_stderr();
  Reporter reporter(options);
  auto status = record::run_session(session_options(options), reporter);
  return status ? *status : fail(status.error());
}

}  // namespace kflight::cli
