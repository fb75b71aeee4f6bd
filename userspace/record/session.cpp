// SPDX-License-Identifier: Apache-2.0
//
// One loop owns the whole life of a recorder: start, signals, requests, dumps, end. Over 400 lines, because what may happen
// while something else is going on is only seen in one place.
#include "record/session.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <deque>
#include <system_error>
#include <thread>
#include <utility>

#include "base/clocks.hpp"
#include "base/errors.hpp"
#include "base/log.hpp"
#include "dump/writer.hpp"
#include "record/awaited_ends.hpp"
#include "record/child_command.hpp"
#include "record/control_socket.hpp"
#include "record/dump_store.hpp"
#include "record/inbox.hpp"
#include "record/privileges.hpp"
#include "record/sandbox.hpp"
#include "record/service_manager.hpp"
#include "record/session_json.hpp"
#include "record/trigger_policy.hpp"

namespace kflight::record {
namespace {

using std::chrono::nanoseconds;
using Clock = std::chrono::steady_clock;

constexpr nanoseconds kStatusPeriod = std::chrono::seconds(1);
constexpr nanoseconds kLastSteps = std::chrono::seconds(10);  // of a command that has exited, until it can be reaped
constexpr std::size_t kMostWaitingDumps = 16;  // whoever asks faster than the disk writes is told so

// SIGINT, SIGTERM, SIGUSR1 and SIGCHLD arrive through a descriptor. SIGHUP is ignored: a lost terminal must not end a
// recording.
Result<UniqueFd> take_signals(CommandSignals& before) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1, SIGCHLD}) sigaddset(&set, number);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  before = {.hangup = ::signal(SIGHUP, SIG_IGN), .pipe = ::signal(SIGPIPE, SIG_IGN)};
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return errno_error(errno, "creating a signal descriptor");
  return fd;
}

// One dump to be written: a trigger's, or one that somebody asked for.
struct DumpJob {
  Cause cause;
  std::string path;                   // where to; empty: the store chooses
  std::optional<ControlReply> reply;  // who waits for it
  bool triggered = false;
};

// What dumps say about the command. Its arguments may be passwords, so they are left out unless wanted.
std::string command_text(const SessionOptions& options) {
  if (options.keep_arguments) return fmt::format("{}", fmt::join(options.command, " "));
  const std::size_t arguments = options.command.size() - 1;
  return arguments == 0 ? options.command.front()
                        : fmt::format("{} [{} argument{}]", options.command.front(), arguments, arguments == 1 ? "" : "s");
}

std::vector<std::string> triggers_of(const Cause& cause) {
  std::vector<std::string> triggers{cause.trigger};
  triggers.insert(triggers.end(), cause.also.begin(), cause.also.end());
  return triggers;
}

class Session {
 public:
  Session(SessionOptions options, SessionObserver& observer)
      : options_(std::move(options)),
        observer_(observer),
        policy_({.cooldown = options_.cooldown, .max_dumps = options_.max_dumps}) {}
  ~Session();

  Result<int> run();

 private:
  Result<> start();
  void give_up_privileges();
  void save_what_was_left();
  void loop();
  void wait_for_something();
  void on_signals();
  void on_timers();
  void look_for_control_socket();

  void on_fired(const Cause& cause);
  void count_merged_firings();
  void on_returned(const kf_ctl& record);
  void tell_end(const std::string& path, const kf_ctl& call);
  void on_target_exit(std::uint32_t tgid, std::uint32_t status, std::uint64_t left);
  void on_request(const std::string& request_untrusted, ControlReply reply);
  void on_dump_request(const ControlRequest& request, ControlReply reply);
  void on_written(Result<StoredDump> stored, nanoseconds took);

  void dump_now(DumpJob job);
  void start_next_job();
  void write_pending_trigger();
  void end(std::string why);
  void end_when_exhausted();
  int exit_status();
  std::string status_json() const;

  SessionOptions options_;
  SessionObserver& observer_;
  TriggerPolicy policy_;
  Inbox inbox_;
  UniqueFd signals_;
  ServiceManager service_ = ServiceManager::from_environment();
  std::atomic<bool> said_ready_ = false;  // before that a service manager expects no signs of life
  std::optional<ChildCommand> child_;
  std::unique_ptr<DumpStore> store_;
  std::unique_ptr<FlightRecorder> recorder_;
  std::unique_ptr<ControlServer> control_;
  bool control_lost_ = false;
  std::uint64_t started_ns_ = 0;

  std::uint64_t merged_firings_ = 0;  // those that the policy knows of
  std::optional<Cause> pending_;      // a trigger that waits for its tail
  Clock::time_point pending_due_{};
  std::deque<DumpJob> jobs_;          // to be written; the writer reads the first one, which must not move
  std::thread writer_;
  bool writing_ = false;
  AwaitedEnds ends_;                  // of the calls in flight that triggers' dumps are about
  std::string last_path_;

  Clock::time_point status_due_{};
  std::optional<Clock::time_point> end_due_;
  std::optional<std::string> ending_;  // why
  bool targets_gone_ = false;          // the command among them
  std::vector<ControlReply> stop_replies_;
};

Session::~Session() {
  if (writer_.joinable()) writer_.join();
}

Result<> Session::start() {
  KF_TRY(require_privileges());  // before a folder that only root may write to says something less helpful
  CommandSignals before;
  KF_TRY_ASSIGN(signals_, take_signals(before));
  KF_TRY_ASSIGN(store_, DumpStore::open({.directory = options_.out_dir,
                                         .name = options_.name,
                                         .max_dump_bytes = options_.max_dump_bytes}));
  KF_TRY_ASSIGN(control_, ControlServer::start(options_.name, [this](const std::string& request, ControlReply reply) {
    auto shared = std::make_shared<ControlReply>(std::move(reply));
    inbox_.post([this, request, shared] { on_request(request, std::move(*shared)); });
  }));
  save_what_was_left();
  FlightRecorderConfig& config = options_.recorder;
  config.window_file = window_path(options_.name);
  if (!options_.command.empty()) {
    KF_TRY_ASSIGN(ChildCommand child, ChildCommand::prepare(options_.command, before));
    child_.emplace(std::move(child));
    config.target.pids.push_back(static_cast<std::uint32_t>(child_->pid()));
    config.command_text = command_text(options_);
  }
  config.post = options_.post;
  config.cooldown = options_.cooldown;
  config.on_trigger = [this](const Cause& cause) { inbox_.post([this, cause] { on_fired(cause); }); };
  config.on_resolved = [this](const kf_ctl& call) { inbox_.post([this, call] { on_returned(call); }); };
  config.on_target_exit = [this](std::uint32_t tgid, std::uint32_t status, std::uint64_t left) {
    inbox_.post([this, tgid, status, left] { on_target_exit(tgid, status, left); });
  };
  // Not by way of our loop: that may wait for a disk, and a stuck disk must not end the recording of it.
  config.on_heartbeat = [this] {
    if (said_ready_) service_.alive();
  };
  if (options_.sandbox) {
    config.on_thread_start = [kept = steady_capabilities()] {
      if (auto given_up = keep_only_capabilities(kept); !given_up) log_warn("{}", given_up.error().what);
    };
  }
  recorder_ = std::make_unique<FlightRecorder>(config);
  KF_TRY(recorder_->start());
  if (options_.sandbox) give_up_privileges();
  started_ns_ = boottime_ns();
  if (!config.target.everyone && !options_.wait && recorder_->stats().targets_alive == 0)
    return Error{Errc::kNotFound,
                 config.target.comm_globs.empty()
                     ? std::string("the target ended before recording began")
                     : fmt::format("no process is named {} now; with --wait the recorder waits for one to start",
                                   fmt::join(config.target.comm_globs, " or "))};
  return {};
}

// Without it the recorder is easier to misuse but records as well: a reason to tell, none to stop. The writer's threads
// inherit what the main thread has left.
void Session::give_up_privileges() {
  // Only to write into a folder of whoever became root by sudo: the other threads do not get it.
  const std::uint64_t for_folder = store_->belongs_to_another() ? capability_to_write_anywhere() : 0;
  auto given_up = keep_only_capabilities(steady_capabilities() | for_folder);
  if (given_up) given_up = install_syscall_filter(child_ ? child_->pid() : 0);
  if (!given_up) log_warn("{}; recording goes on with more privileges than it needs", given_up.error().what);
}

// A window of this name that nobody has locked is of a recorder that was killed. Whatever is wrong with it, it must not
// keep this one from recording.
void Session::save_what_was_left() {
  const std::string path = window_path(options_.name);
  const auto left = Leftover::open(path);
  if (!left) {
    if (left.error().code == Errc::kNotFound) return;
    log_warn("{}", left.error().what);
    if (left.error().code == Errc::kDamaged) ::unlink(path.c_str());
    return;
  }
  RecoveryReport report;
  const auto stored = store_->store("recovered", read_all_clocks().realtime, [&](ByteSink& sink) -> Result<> {
    KF_TRY_ASSIGN(report.what, write_recovered(*left, sink));
    return {};
  });
  if (!stored && stored.error().code != Errc::kDamaged) {
    const std::string name = unsaved_name(options_.name);
    log_warn("cannot save what a killed recorder left behind: {}", stored.error().what);
    if (left->rename_to(window_path(name))) log_warn("kept it: `kflight recover --name {}` tries again", name);
    return;
  }
  if (const auto removed = left->remove(); !removed) log_warn("{}", removed.error().what);
  if (!stored) return log_warn("removed what a killed recorder left behind: {}", stored.error().what);
  report.path = stored->path;
  report.bytes = stored->bytes;
  observer_.on_recovered(report);
}

Result<int> Session::run() {
  KF_TRY(start());
  observer_.on_ready(*recorder_);
  service_.ready();
  said_ready_ = true;
  const auto now = Clock::now();
  status_due_ = now + kStatusPeriod;
  if (options_.duration) end_due_ = now + *options_.duration;
  if (child_) KF_TRY(child_->release());
  loop();
  const RecorderStats stats = recorder_->stats();
  recorder_->stop();
  observer_.on_end(*ending_, stats);
  for (ControlReply& reply : stop_replies_) reply.send(ok_json());
  return exit_status();
}

// The kernel tells that a process exits before it can be reaped. A command that outlives the recording is not waited for.
int Session::exit_status() {
  if (!child_) return 0;
  const auto status = targets_gone_ ? child_->wait(kLastSteps) : child_->reap();
  if (!status && targets_gone_) log_warn("{} exits, but has not ended yet; its exit status is not known", options_.command.front());
  return status.value_or(0);
}

void Session::loop() {
  while (!ending_ || writing_ || !jobs_.empty()) {
    wait_for_something();
    on_signals();
    inbox_.run();
    on_timers();
  }
}

void Session::wait_for_something() {
  auto until = status_due_;
  if (pending_) until = std::min(until, pending_due_);
  if (end_due_) until = std::min(until, *end_due_);
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
  pollfd fds[] = {{signals_.get(), POLLIN, 0}, {inbox_.fd(), POLLIN, 0}};
  ::poll(fds, 2, static_cast<int>(std::max<std::int64_t>(wait.count(), 0)));
}

void Session::on_signals() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    switch (info.ssi_signo) {
      case SIGUSR1: {
        DumpJob job;
        job.cause = {.trigger = "signal", .kind = "signal", .fired_ns = boottime_ns()};
        dump_now(std::move(job));
        break;
      }
      case SIGCHLD:
        if (child_) child_->reap();
        break;
      default:
        if (child_ && info.ssi_signo == SIGTERM) child_->signal(SIGTERM);
        end(fmt::format("{} received", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM"));
    }
  }
}

void Session::on_timers() {
  const auto now = Clock::now();
  if (pending_ && now >= pending_due_) write_pending_trigger();
  if (end_due_ && now >= *end_due_) end("the time given by --duration is over");
  if (now >= status_due_) {
    status_due_ = now + kStatusPeriod;
    count_merged_firings();
    observer_.on_second(*recorder_);
    look_for_control_socket();
  }
}

void Session::look_for_control_socket() {
  if (control_lost_ || control_->reachable()) return;
  control_lost_ = true;
  log_warn("the control socket '{}' was removed or replaced: recording goes on, but dump, status and stop do not find this "
           "recorder any more; kill -USR1 {} writes a dump, kill {} ends it",
           control_->path(), ::getpid(), ::getpid());
}

// ------------------------------------------------------------------ triggers

// A call that a dump shows in flight has its dump, which is told how it ends.
void Session::on_fired(const Cause& cause) {
  if (ends_.awaits(cause)) {
    policy_.fire_more(1);
    return count_merged_firings();
  }
  // The dump is named after one that may start it.
  const std::uint64_t now_ns = boottime_ns();
  std::vector<std::string> triggers = triggers_of(cause);
  const auto free = std::ranges::find_if(triggers, [&](const auto& trigger) { return policy_.is_free(now_ns, trigger); });
  if (free != triggers.end()) std::rotate(triggers.begin(), free, free + 1);
  const Verdict verdict = policy_.fire(now_ns, triggers);
  count_merged_firings();
  if (verdict != Verdict::kDump) return;
  pending_ = cause;
  pending_->trigger = triggers.front();
  pending_->also.assign(triggers.begin() + 1, triggers.end());
  ends_.expect(cause);
  pending_due_ = Clock::now() + options_.post;
  observer_.on_trigger(*pending_, options_.post);
}

// They came within a millisecond of the last one that on_fired was told, so they get what that one got as long as they are
// counted before anything changes.
void Session::count_merged_firings() {
  const std::uint64_t now = recorder_->merged_firings();
  policy_.fire_more(now - std::exchange(merged_firings_, now));
}

void Session::write_pending_trigger() {
  count_merged_firings();
  DumpJob job;
  job.cause = *std::exchange(pending_, std::nullopt);
  job.cause.merged = policy_.begin_writing();
  job.triggered = true;
  dump_now(std::move(job));
}

void Session::on_returned(const kf_ctl& record) {
  const auto path = ends_.ended(record);
  if (!path) return;
  tell_end(*path, record);
  end_when_exhausted();
}

void Session::tell_end(const std::string& path, const kf_ctl& call) {
  if (call.exit_ns == 0)
    return log_warn("the call that {} shows in flight has ended, but the recorder missed when and how", path);
  const auto appended = dump::append_resolution(path, {&call, 1});
  if (appended) return observer_.on_resolved(path, call);
  if (appended.error().code != Errc::kNotFound) return observer_.on_dump_failed(appended.error());
  log_warn("{} is gone, so the end of the call that it shows in flight was not added", path);
}

void Session::on_target_exit(std::uint32_t tgid, std::uint32_t status, std::uint64_t left) {
  observer_.on_target_exit(tgid, status, left);
  if (left != 0) return;
  targets_gone_ = true;
  if (!options_.wait) end("the target has ended");
}

// ------------------------------------------------------------------ dumps

void Session::dump_now(DumpJob job) {
  if (!job.triggered && jobs_.size() >= kMostWaitingDumps) {
    const Error busy{Errc::kBusy, fmt::format("{} dumps are waiting to be written already; try again later", jobs_.size())};
    observer_.on_dump_failed(busy);
    if (job.reply) job.reply->send(error_json(busy));
    return;
  }
  if (!job.cause.received_ns) job.cause.received_ns = boottime_ns();
  jobs_.push_back(std::move(job));
  start_next_job();
}

void Session::start_next_job() {
  if (writing_ || jobs_.empty()) return;
  if (writer_.joinable()) writer_.join();
  writing_ = true;
  const auto write_it = [this, &job = jobs_.front()] {
    const auto began = Clock::now();
    const auto write = [&](ByteSink& sink) -> Result<> {
      KF_TRY(recorder_->write_to(sink, job.cause));
      return {};
    };
    auto stored = job.path.empty() ? store_->store(job.cause.kind, read_all_clocks().realtime, write)
                                   : store_->store_at(job.path, write);
    const nanoseconds took = Clock::now() - began;
    auto shared = std::make_shared<Result<StoredDump>>(std::move(stored));
    inbox_.post([this, shared, took] { on_written(std::move(*shared), took); });
  };
  try {
    writer_ = std::thread(write_it);
  } catch (const std::system_error& error) {
    auto failed = std::make_shared<Result<StoredDump>>(errno_error(
        error.code().value(), "starting the thread that writes a dump", "raise pids.max or ulimit -u; the next dump is tried again"));
    inbox_.post([this, failed] { on_written(std::move(*failed), {}); });
  }
}

void Session::on_written(Result<StoredDump> stored, nanoseconds took) {
  if (writer_.joinable()) writer_.join();
  writing_ = false;
  DumpJob job = std::move(jobs_.front());
  jobs_.pop_front();
  if (job.triggered) policy_.finish(boottime_ns(), triggers_of(job.cause), stored.has_value());
  if (stored) {
    last_path_ = stored->path;
    observer_.on_dump({stored->path, stored->bytes, took, job.cause});
    if (!stored->removal_error.empty()) log_warn("{}", stored->removal_error);
    if (job.reply) job.reply->send(dump_json(stored->path, stored->bytes));
    if (const auto end = ends_.written(job.cause, stored->path)) tell_end(stored->path, *end);
  } else {
    ends_.forget(job.cause);
    observer_.on_dump_failed(stored.error());
    if (job.reply) job.reply->send(error_json(stored.error()));
  }
  start_next_job();
  end_when_exhausted();
}

// With --max-dumps N there is nothing more to wait for after N, except for the ends of calls that they show in flight.
void Session::end_when_exhausted() {
  if (policy_.exhausted() && !writing_ && ends_.empty())
    end(fmt::format("{} triggered dump{} written, as many as --max-dumps allows", options_.max_dumps,
                    options_.max_dumps == 1 ? "" : "s"));
}

void Session::end(std::string why) {
  if (ending_) return;
  ending_ = std::move(why);
  end_due_.reset();  // nothing to wake up for any more
  service_.stopping(*ending_);
  if (pending_) write_pending_trigger();
  policy_.close();  // a dump that still had to wait for its tail would never be written
}

// ------------------------------------------------------------------ control socket

void Session::on_request(const std::string& request_untrusted, ControlReply reply) {
  auto request = parse_request(request_untrusted);
  if (!request) return reply.send(error_json(request.error()));
  switch (request->op) {
    case ControlRequest::Op::kStatus:
      count_merged_firings();
      return reply.send(status_json());
    case ControlRequest::Op::kDump: return on_dump_request(*request, std::move(reply));
    case ControlRequest::Op::kStop:
      stop_replies_.push_back(std::move(reply));
      return end("asked to stop through the control socket");
  }
}

void Session::on_dump_request(const ControlRequest& request, ControlReply reply) {
  if (ending_) return reply.send(error_json({Errc::kBusy, "the recorder is ending"}));
  DumpJob job;
  job.cause = {.trigger = "manual", .kind = "manual", .fired_ns = boottime_ns(), .note = request.note};
  job.path = request.path;
  job.reply.emplace(std::move(reply));
  dump_now(std::move(job));
}

std::string Session::status_json() const {
  SessionStatus status;
  status.name = options_.name;
  status.uptime_ns = boottime_ns() - started_ns_;
  status.stats = recorder_->stats();
  status.config = &recorder_->config();
  status.policy = policy_.counts();
  status.dump_failures = store_->counts().failed;
  status.last_dump = last_path_;
  status.missing = recorder_->missing_features();
  return to_json(status);
}

}  // namespace

Result<int> run_session(SessionOptions options, SessionObserver& observer) {
  return Session(std::move(options), observer).run();
}

}  // namespace kflight::record
