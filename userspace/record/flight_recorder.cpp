// SPDX-License-Identifier: Apache-2.0
//
// The facade: puts loader, consumer, window and triggers together. The consumer's thread hands chunks to the window and
// judges control records; write_to runs on the caller's thread and reads the window through a snapshot, so that neither
// waits for the other. About 550 lines: the order in which parts come up, write and go down is one story.
#include "kflight/flight_recorder.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>

#include "base/clocks.hpp"
#include "base/log.hpp"
#include "base/mutex.hpp"
#include "base/units.hpp"
#include "dump/schema.hpp"
#include "dump/syscalls.hpp"
#include "dump/writer.hpp"
#include "record/consumer.hpp"
#include "record/fd_links.hpp"
#include "record/firing.hpp"
#include "record/host.hpp"
#include "record/kernel_symbols.hpp"
#include "record/loader.hpp"
#include "record/loss_watch.hpp"
#include "record/name_patterns.hpp"
#include "record/open_calls.hpp"
#include "record/privileges.hpp"
#include "record/rate.hpp"
#include "record/recorded_config.hpp"
#include "record/stack_keeper.hpp"
#include "record/target_set.hpp"
#include "record/timer_functions.hpp"
#include "record/triggers.hpp"
#include "record/waiting_stacks.hpp"
#include "record/watched_calls.hpp"
#include "record/window.hpp"
#include "record/window_keeper.hpp"

namespace kflight {
namespace {

using namespace record;
using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr std::uint64_t kFlushAgeNs = 100'000'000;
constexpr std::uint32_t kOpenCallsMax = 16384;
constexpr nanoseconds kHousekeeping = std::chrono::seconds(1);
constexpr int kStateZstdLevel = -10;  // written every second and seldom read: what costs least
constexpr std::size_t kMostTargetsTold = 1024;  // in a dump's metadata: the latest

// No rule and no record is about shorter calls.
kf_u64 quick_ns(const kf_config& wire) {
  if (wire.syscalls != KF_SYSCALLS_SLOW) return 0;
  kf_u64 least = wire.slow_floor_ns;
  for (std::uint32_t i = 0; i < wire.n_rules; ++i) least = std::min(least, wire.rules[i].min_ns);
  return least;
}

std::uint32_t wire_mode(Syscalls syscalls) {
  switch (syscalls) {
    case Syscalls::kAll: return KF_SYSCALLS_ALL;
    case Syscalls::kSlow: return KF_SYSCALLS_SLOW;
    default: return KF_SYSCALLS_OFF;
  }
}

std::uint32_t wire_mode(Stacks stacks) {
  switch (stacks) {
    case Stacks::kAll: return KF_STACKS_ALL;
    case Stacks::kBlocked: return KF_STACKS_BLOCKED;
    default: return KF_STACKS_NONE;
  }
}

}  // namespace

struct FlightRecorder::Impl {
  explicit Impl(FlightRecorderConfig c) : config(std::move(c)) {}

  const FlightRecorderConfig config;
  std::atomic<bool> running{false};

  // Constant between start() and stop().
  std::optional<TriggerSet> triggers;
  Syscalls syscalls = Syscalls::kBlocked;
  HostInfo host;
  std::uint64_t started_ns = 0;
  std::uint64_t cpu_at_start_ns = 0;
  std::optional<Loader> loader;
  std::unique_ptr<Window> window;
  std::unique_ptr<Consumer> consumer;
  std::optional<StackKeeper> stacks;  // nothing: none are taken
  std::optional<WindowKeeper> keeper;  // nothing: the window is lost with this process
  std::optional<LossWatch> losses;     // of this run: the counters that it compares with begin at 0 in each
  std::optional<RateMeter> rate;

  // Consumer's thread only.
  std::optional<InflightScan> inflight;
  WatchedCalls watched;
  Clock::time_point housekeeping_at{};
  std::uint64_t control_lost = 0;  // when last looked at

  std::atomic<std::uint64_t> triggers_fired{0};  // those that on_trigger was told
  std::atomic<std::uint64_t> merged_before{0};   // merged firings of earlier runs
  std::atomic<std::uint64_t> dumps_written{0};

  mutable Mutex start_mutex;       // serializes start and stop
  // Held by whoever asks a running recorder something, and while it becomes one that does not run. Not while its threads
  // end: their callbacks may ask, too.
  mutable Mutex asking_mutex;
  mutable Mutex write_mutex;       // held by the one running write_to
  KernelSymbols kernel_symbols KF_GUARDED_BY(write_mutex);
  mutable Mutex targets_mutex;
  std::deque<ProcessInfo> targets KF_GUARDED_BY(targets_mutex);

  Result<> compile_triggers();
  Stacks chosen_stacks() const;
  nanoseconds chosen_stack_wait() const;
  kf_config make_config() const;
  Result<> add_targets(const kf_name_matcher& names, std::span<const kf_task> tasks);
  void note_target(std::uint32_t tgid);
  Result<> make_window();
  Result<> save_state();
  Result<> bring_up();
  void begin_counts();
  void tear_down() noexcept;

  void on_control(const kf_ctl& record);
  void scan_inflight();
  void on_call_end(const kf_ctl& end);
  kf_counters count_losses();
  void look_for_missed_exits(const kf_counters& counters);
  nanoseconds on_tick();
  void fire(const Cause& cause);
  std::uint64_t merged_firings() const KF_REQUIRES(asking_mutex);

  DumpMeta describe(const Cause& cause, const WindowInfo& window_info, std::uint64_t end_ns) const;
  LossInfo loss_info() const;
  OwnCost own_cost() const;
  Result<> write_known(dump::DumpWriter& writer, const DumpMeta& meta, const WindowSnapshot& snapshot,
                       const std::vector<kf_loss>& unflushed = {});
  Result<std::uint64_t> write(ByteSink& sink, const Cause& cause) KF_REQUIRES(write_mutex);
};

Result<> FlightRecorder::Impl::compile_triggers() {
  KF_TRY_ASSIGN(TriggerSet compiled, TriggerSet::compile(config.triggers));
  triggers.emplace(std::move(compiled));
  syscalls = config.probes.syscalls;
  if (syscalls == Syscalls::kAuto) syscalls = triggers->need_syscalls() ? Syscalls::kSlow : Syscalls::kBlocked;
  if (syscalls == Syscalls::kBlocked && triggers->need_syscalls())
    return Error{Errc::kUsage,
                 fmt::format("trigger '{}' needs to know how long calls take, and --syscalls blocked does not time them; use "
                             "--syscalls slow (or leave it out)", triggers->text(0))};
  return {};
}

// Everybody's stacks would be everybody's cost.
Stacks FlightRecorder::Impl::chosen_stacks() const {
  if (config.probes.stacks != Stacks::kAuto) return config.probes.stacks;
  return config.target.everyone ? Stacks::kNone : Stacks::kBlocked;
}

// Waits much shorter than what is looked for explain nothing.
nanoseconds FlightRecorder::Impl::chosen_stack_wait() const {
  if (chosen_stacks() == Stacks::kNone) return nanoseconds::zero();
  if (config.probes.stack_wait) return *config.probes.stack_wait;
  constexpr nanoseconds kMost = std::chrono::milliseconds(5);
  return std::clamp<nanoseconds>(triggers->shortest().value_or(kMost * 10) / 10, std::chrono::microseconds(10), kMost);
}

kf_config FlightRecorder::Impl::make_config() const {
  kf_config wire{};
  wire.everyone = config.target.everyone;
  wire.scope_target = config.probes.scope == Scope::kTarget;
  wire.syscalls = wire_mode(syscalls);
  wire.follow = config.target.follow;
  wire.own_tgid = static_cast<std::uint32_t>(getpid());
  wire.watch_names = !config.target.comm_globs.empty();
  wire.flush_age_ns = kFlushAgeNs;
  wire.slow_floor_ns = static_cast<std::uint64_t>(config.probes.slow_floor.count());
  for (std::uint32_t nr = 0; nr < KF_SYS_TABLE; ++nr) wire.sys_args[nr] = dump::args_class(nr);
  wire.stacks = wire_mode(chosen_stacks());
  wire.stack_wait_ns = static_cast<std::uint64_t>(chosen_stack_wait().count());
  wire.sample_hz = config.probes.sample_hz;
  wire.causes = config.probes.causes;
  if (wire.causes) std::ranges::copy(timer_functions(), wire.timer_functions);
  triggers->fill(wire);
  wire.quick_ns = quick_ns(wire);
  return wire;
}

// For dumps; the kernel side knows it already.
void FlightRecorder::Impl::note_target(std::uint32_t tgid) {
  std::string executable = executable_of(tgid);
  MutexLock lock(targets_mutex);
  const auto known = std::ranges::find(targets, tgid, &ProcessInfo::tgid);
  if (known != targets.end()) targets.erase(known);
  if (targets.size() == kMostTargetsTold) targets.pop_front();
  targets.push_back({tgid, std::move(executable)});
}

Result<> FlightRecorder::Impl::add_targets(const kf_name_matcher& names, std::span<const kf_task> tasks) {
  KF_TRY_ASSIGN(const std::vector<std::uint32_t> tgids, resolve_targets(config.target, names, tasks));
  for (const std::uint32_t tgid : tgids) {
    KF_TRY(loader->add_target(tgid));
    if (!process_of(tgid)) {  // has ended since, so nobody would take it away again
      loader->remove_target(tgid);
      continue;
    }
    if (stacks) stacks->on_target(tgid);
    note_target(tgid);
  }
  return {};
}

Result<> FlightRecorder::Impl::make_window() {
  Window::Options options{.max_bytes = config.max_bytes, .min_age = config.min_age, .file = config.window_file};
  auto made = Window::create(options);
  if (!made && !options.file.empty() && made.error().code != Errc::kUsage) {
    log_warn("{}; the window will be lost if the recorder is killed", made.error().what);
    options.file.clear();
    made = Window::create(options);
  }
  KF_TRY_ASSIGN(window, std::move(made));
  return {};
}

// An earlier run's are not this one's.
void FlightRecorder::Impl::begin_counts() {
  losses.emplace(possible_cpus());
  rate.emplace();
  control_lost = 0;
  housekeeping_at = {};
  MutexLock lock(targets_mutex);
  targets.clear();
}

Result<> FlightRecorder::Impl::bring_up() {
  begin_counts();
  KF_TRY(compile_triggers());
  KF_TRY(require_host_clock());
  // A target that does not exist is the likeliest mistake: say so before anything is loaded.
  for (const std::uint32_t pid : config.target.pids) KF_TRY(process_of(pid));
  const kf_config wire = make_config();
  KF_TRY_ASSIGN(const kf_name_matcher names, compile_name_patterns(config.target.comm_globs));
  KF_TRY(make_window());
  KF_TRY_ASSIGN(KernelCaps caps, read_kernel_caps(config.without));
  const LoadOptions load{.ring_bytes = config.ring_bytes, .open_calls_max = kOpenCallsMax, .names = names};
  KF_TRY_ASSIGN(Loader loaded, Loader::load(wire, std::move(caps), load));
  loader.emplace(std::move(loaded));
  host = read_host();
  KF_TRY(add_targets(names, {}));  // by number, before the first event
  consumer = std::make_unique<Consumer>(Consumer::Handlers{
      .on_start = config.on_thread_start,
      .on_chunk =
          [this](const void* chunk, std::size_t bytes) {
            const auto* head = bytes >= sizeof(kf_chunk) ? static_cast<const kf_chunk*>(chunk) : nullptr;
            if (head != nullptr) losses->see(*head);
            window->append(chunk, bytes);
            if (head != nullptr) losses->handed_over(*head);
          },
      .on_control = [this](const kf_ctl& record) { on_control(record); },
      .on_stack =
          [this](const void* record, std::size_t bytes) {
            stacks->on_stack({static_cast<const std::byte*>(record), bytes});
          },
      .on_tick = [this] { return on_tick(); },
  });
  KF_TRY(loader->attach());
  // Not before: its thread gives up privileges. Targets by number are looked at below, with those by name.
  if (loader->stack_ring() >= 0) stacks.emplace([this] { loader->resend_stacks(); }, config.on_thread_start);
  started_ns = boottime_ns();
  cpu_at_start_ns = process_cpu_ns();
  window->begin_at(started_ns);
  losses->start(started_ns, wire.sample_hz != 0);
  KF_TRY_ASSIGN(const std::vector<kf_task> tasks, loader->snapshot());
  window->add_snapshot(tasks);
  KF_TRY(add_targets(names, tasks));  // by name too
  if (stacks) stacks->settle();
  if (triggers->scan_interval() > nanoseconds::zero()) inflight.emplace(*triggers);
  if (window->file() != nullptr) {
    if (auto saved = save_state(); !saved) log_warn("{}; recording goes on", saved.error().what);
    keeper.emplace([this] { return save_state(); }, config.on_thread_start);
  }
  return consumer->start({.data = loader->data_rings(),
                          .control = loader->control_ring(),
                          .stacks = loader->stack_ring(),
                          .bytes = loader->ring_bytes()});
}

void FlightRecorder::Impl::tear_down() noexcept {
  keeper.reset();
  if (loader) loader->detach();
  if (consumer) consumer->stop();
  consumer.reset();
  inflight.reset();
  watched = {};
  stacks.reset();
  loader.reset();
  window.reset();  // and with it its file: a recorder that ends in order leaves nothing behind
}

// ------------------------------------------------------------------ consumer's thread

void FlightRecorder::Impl::fire(const Cause& cause) {
  triggers_fired.fetch_add(1, std::memory_order_relaxed);
  if (config.on_trigger) config.on_trigger(cause);
}

void FlightRecorder::Impl::on_control(const kf_ctl& record) {
  switch (record.type) {
    case KF_CTL_SYSCALL:
      if (const auto fired = triggers->match(record); !fired.empty())
        fire(cause_of(record, triggers->texts(fired), boottime_ns()));
      return;
    case KF_CTL_RESOLVED: return on_call_end(record);
    case KF_CTL_TARGET_EXIT:
      if (config.on_target_exit)
        config.on_target_exit(record.tgid, static_cast<std::uint32_t>(record.ret), loader->targets().size());
      return;
    case KF_CTL_EXEC:
      if (stacks) stacks->on_target(record.tgid);
      return note_target(record.tgid);
    case KF_CTL_FORK:
      if (stacks) stacks->on_fork(record.tgid, static_cast<std::uint32_t>(record.args[0]));
      return note_target(record.tgid);
    case KF_CTL_CPU: return losses->on_hotplug(record);
    default: return;
  }
}

void FlightRecorder::Impl::on_call_end(const kf_ctl& end) {
  watched.on_end(end);
  if (config.on_resolved) config.on_resolved(end);
}

// The snapshot is taken only when some call is old enough to matter.
void FlightRecorder::Impl::scan_inflight() {
  const std::uint64_t now_ns = boottime_ns();
  std::optional<Result<std::vector<kf_task>>> tasks;
  const auto complete = [&](kf_open_call& call) {
    if (!tasks) tasks.emplace(loader->snapshot());
    return tasks->has_value() && complete_call(call, **tasks);
  };
  const std::vector<kf_open_call> calls = loader->calls_in_flight();
  for (const kf_ctl& end : watched.gone(calls)) on_call_end(end);
  for (const InflightScan::Hit& hit : inflight->scan(calls, now_ns, complete)) {
    if (auto asked = loader->watch_call(hit.call.tid, hit.call.enter_ns); !asked) log_warn("{}", asked.error().what);
    watched.add(hit.call);
    fire(cause_of(hit.call, triggers->texts(hit.triggers), now_ns));
  }
}

// Of records the control ring had no room for, one may have been the end of the last target.
void FlightRecorder::Impl::look_for_missed_exits(const kf_counters& counters) {
  if (std::exchange(control_lost, counters.control_lost) == counters.control_lost) return;
  if (config.on_target_exit && !config.target.everyone && loader->targets().empty()) config.on_target_exit(0, 0, 0);
}

kf_counters FlightRecorder::Impl::count_losses() {
  kf_counters counters = loader->counters();
  if (stacks) counters.stacks_lost += stacks->lost();
  losses->look(boottime_ns(), loader->recursion_misses(), loader->capped_events(), counters);
  return counters;
}

nanoseconds FlightRecorder::Impl::on_tick() {
  const auto now = Clock::now();
  if (now >= housekeeping_at) {
    housekeeping_at = now + kHousekeeping;
    look_for_missed_exits(count_losses());
    if (stacks) stacks->tidy(*window);
    rate->sample(boottime_ns(), window->stats().hits_appended);
    if (config.on_heartbeat) config.on_heartbeat();
  }
  nanoseconds next = housekeeping_at - now;
  if (inflight) {
    scan_inflight();
    next = std::min(next, triggers->scan_interval());
  }
  return next;
}

std::uint64_t FlightRecorder::Impl::merged_firings() const {
  return merged_before + (running ? loader->counters().control_merged : 0);
}

// ------------------------------------------------------------------ writing

LossInfo FlightRecorder::Impl::loss_info() const {
  LossInfo info = losses->totals();
  const WindowStats stats = window->stats();
  info.window = stats.events_dropped;
  return info;
}

OwnCost FlightRecorder::Impl::own_cost() const {
  OwnCost cost = read_own_cost(started_ns, cpu_at_start_ns);
  cost.polls = consumer ? consumer->polls() : 0;
  cost.programs = loader->program_costs();
  return cost;
}

DumpMeta FlightRecorder::Impl::describe(const Cause& cause, const WindowInfo& window_info, std::uint64_t end_ns) const {
  DumpMeta meta;
  meta.host = host;
  meta.clocks = read_all_clocks();
  meta.cause = cause;
  meta.window = window_info;
  meta.window.to_ns = end_ns;
  meta.losses = loss_info();
  meta.cost = own_cost();
  meta.dump_number = dumps_written.load() + 1;
  meta.config = recorded_config(config, syscalls, chosen_stacks(), chosen_stack_wait(), *triggers);
  meta.config.missing = record::missing_features(loader->caps());
  MutexLock lock(targets_mutex);
  meta.targets.assign(targets.begin(), targets.end());
  return meta;
}

// What is known apart from the window's chunks and from what only the running kernel can say.
Result<> FlightRecorder::Impl::write_known(dump::DumpWriter& writer, const DumpMeta& meta,
                                           const WindowSnapshot& snapshot,
                                           const std::vector<kf_loss>& unflushed) {
  std::vector<kf_loss> lost = losses->within(snapshot.info.from_ns, meta.window.to_ns, unflushed);
  lost.insert(lost.end(), snapshot.losses.begin(), snapshot.losses.end());
  KF_TRY(writer.begin(meta.clocks.realtime));
  KF_TRY(writer.meta(meta));
  KF_TRY(writer.base(snapshot.base_tasks, snapshot.base_lanes));
  return writer.losses(lost);
}

// A dump without chunks, for `kflight recover`. The names of kernel functions it finds out itself.
Result<> FlightRecorder::Impl::save_state() {
  return window->file()->save_state([this](ByteSink& sink) -> Result<> {
    StackKeeper::Hold stacks_held(stacks ? &*stacks : nullptr);
    const WindowSnapshot known = window->pin_base();
    std::optional<StackKeeper::Collected> of_stacks;
    if (stacks) of_stacks = stacks->collect(known.base_stacks, {});
    stacks_held.release();
    dump::DumpWriter writer(sink, kStateZstdLevel);
    KF_TRY(write_known(writer, describe({}, known.info, boottime_ns()), known));
    if (of_stacks) KF_TRY(of_stacks->write(writer));
    KF_TRY(writer.finish());
    return {};
  });
}

Result<std::uint64_t> FlightRecorder::Impl::write(ByteSink& sink, const Cause& cause) {
  KF_TRY_ASSIGN(const std::vector<kf_waiter> waiters, loader->waiters());
  std::vector<WaitingStack> waiting;
  if (stacks) waiting = stacks->read_waiting(waiters, loader->stack_frames_max());
  // The snapshot first: every switch it counts is then in the window, and its own times say where to stop counting.
  KF_TRY_ASSIGN(std::vector<kf_task> tasks, loader->snapshot());
  waiting = still_waiting(std::move(waiting), tasks);
  // Before the window ends: a wait that goes on until then is certainly on what its descriptor is now.
  FdLinks links;
  links.add(cause);
  links.add(tasks);
  const std::uint64_t end_ns = boottime_ns();
  KF_TRY_ASSIGN(const std::vector<std::uint32_t> silent_cpus, loader->flush());
  const bool drained = consumer->drain();
  const std::vector<kf_loss> unflushed = losses->unflushed(drained ? silent_cpus : online_cpus(), end_ns);
  StackKeeper::Hold stacks_held(stacks ? &*stacks : nullptr);
  WindowSnapshot snapshot = window->pin();
  count_losses();  // those of the last second are this dump's, too
  const std::vector<kf_open_call> calls = open_calls(*loader, tasks);
  std::optional<StackKeeper::Collected> of_stacks;
  if (stacks) {
    stacks->settle(waiting);
    of_stacks = stacks->collect(snapshot.base_stacks, waiting);
  }
  stacks_held.release();

  dump::DumpWriter writer(sink);
  KF_TRY(write_known(writer, describe(cause, snapshot.info, end_ns), snapshot, unflushed));
  KF_TRY(writer.schema(dump::schema_json()));
  KF_TRY(writer.tasks(tasks));
  KF_TRY(writer.open_calls(calls));
  std::vector<std::uint64_t> kernel_addresses = loader->work_functions();
  if (of_stacks) {
    KF_TRY(of_stacks->write(writer));
    kernel_addresses.insert(kernel_addresses.end(), of_stacks->kernel_addresses.begin(), of_stacks->kernel_addresses.end());
    of_stacks.reset();
  }
  KF_TRY(writer.kernel_symbols(kernel_symbols.of(kernel_addresses)));
  links.add(snapshot.base_tasks);
  for (auto piece = snapshot.next_piece(); !piece.empty(); piece = snapshot.next_piece()) {
    links.add(piece);
    KF_TRY(writer.chunk_bytes(piece));
  }
  KF_TRY(writer.fd_links(links.records()));
  return writer.finish();
}

// ------------------------------------------------------------------ the facade

FlightRecorder::FlightRecorder(FlightRecorderConfig config) : impl_(std::make_unique<Impl>(std::move(config))) {}

FlightRecorder::~FlightRecorder() { stop(); }

Result<> FlightRecorder::start() {
  MutexLock lock(impl_->start_mutex);
  if (impl_->running) return Error{Errc::kBusy, "this recorder is running already; stop() it before starting it again"};
  KF_TRY(require_privileges());
  Result<> up = impl_->bring_up();
  if (!up) {
    impl_->tear_down();
    return up;
  }
  impl_->running = true;
  return {};
}

void FlightRecorder::stop() noexcept {
  MutexLock lock(impl_->start_mutex);
  {
    MutexLock asking(impl_->asking_mutex);
    if (!impl_->running) return;
    impl_->merged_before = impl_->merged_firings();
    impl_->running = false;
  }
  MutexLock writing(impl_->write_mutex);  // waits for a running write_to
  impl_->tear_down();
}

bool FlightRecorder::enabled() const noexcept { return impl_->running; }

Result<std::uint64_t> FlightRecorder::write_to(ByteSink& sink, const Cause& cause) {
  if (!impl_->write_mutex.try_lock())
    return Error{Errc::kBusy, "another dump of this recorder is being written; try again when it is done"};
  Result<std::uint64_t> written = Error{Errc::kUsage, "the recorder is not running: start() it first"};
  if (impl_->running) written = impl_->write(sink, cause);
  if (written) impl_->dumps_written.fetch_add(1);
  impl_->write_mutex.unlock();
  return written;
}

RecorderStats FlightRecorder::stats() const {
  MutexLock lock(impl_->asking_mutex);
  RecorderStats stats;
  stats.dumps_written = impl_->dumps_written;
  stats.triggers_fired = impl_->triggers_fired + impl_->merged_firings();
  if (!impl_->running) return stats;
  const WindowStats window = impl_->window->stats();
  stats.window = window.info;
  stats.losses = impl_->loss_info();
  stats.cost = impl_->own_cost();
  stats.events_seen = window.events_appended + window.events_dropped + stats.losses.ring_events + stats.losses.nested_events;
  stats.hits_seen = window.hits_appended;
  stats.events_evicted = window.events_evicted;
  stats.chunks_seen = window.chunks_appended + window.chunks_dropped;
  stats.events_per_second = impl_->rate->per_second();
  if (const WindowFile* file = impl_->window->file()) stats.window_file = file->path();
  stats.targets_alive = impl_->config.target.everyone ? 0 : impl_->loader->targets().size();
  return stats;
}

std::uint64_t FlightRecorder::merged_firings() const {
  MutexLock lock(impl_->asking_mutex);
  return impl_->merged_firings();
}

const FlightRecorderConfig& FlightRecorder::config() const noexcept { return impl_->config; }

std::vector<std::string> FlightRecorder::missing_features() const {
  MutexLock lock(impl_->asking_mutex);
  return impl_->running ? kflight::record::missing_features(impl_->loader->caps()) : std::vector<std::string>{};
}

}  // namespace kflight
