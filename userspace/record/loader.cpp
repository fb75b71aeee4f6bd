// SPDX-License-Identifier: Apache-2.0
//
// Over 400 lines, as it alone knows the skeleton: configuration, maps, attaching and what userspace reads back.
#include "record/loader.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <numeric>
#include <string_view>
#include <thread>

#include "base/errors.hpp"
#include "base/log.hpp"
#include "base/mapping.hpp"
#include "base/unique_fd.hpp"
#include "kflight_bpf.skel.h"
#include "record/bpf_object.hpp"
#include "record/descriptor_limit.hpp"
#include "record/probes.hpp"

namespace kflight::record {
namespace {

constexpr std::uint32_t kCpusPerRing = 16;
constexpr std::uint32_t kOtherDescriptors = 512;  // programs, maps and links, the control socket and dumps: about 150
constexpr int kFlushTries = 100;  // a batch is busy for well under a microsecond
constexpr std::chrono::milliseconds kFlushPause{1};  // a full ring is being read
constexpr int kFlushPauses = 50;  // of a flush, as it must not take long; shorter than kf_config.flush_age_ns

// The end of what libbpf printed, for the error message of a failed load: the verifier gives its reason last. Loading is
// single-threaded.
thread_local std::string libbpf_words;

int collect_libbpf_words(libbpf_print_level level, const char* format, va_list args) {
  constexpr std::size_t kMost = 3000;
  if (level == LIBBPF_DEBUG) return 0;
  va_list again;
  va_copy(again, args);
  const int length = std::vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length < 0) return 0;
  std::string text(static_cast<std::size_t>(length) + 1, '\0');
  std::vsnprintf(text.data(), text.size(), format, args);
  text.pop_back();
  log_debug("libbpf: {}", std::string_view(text).substr(0, text.find('\n')));
  libbpf_words += text;
  if (libbpf_words.size() > kMost) libbpf_words.erase(0, libbpf_words.find('\n', libbpf_words.size() - kMost) + 1);
  return 0;
}

// "... processed 1234 insns (limit 1000000) ...", in a program's log.
std::uint64_t processed_instructions(std::string_view log) {
  constexpr std::string_view kWord = "processed ";
  const std::size_t at = log.rfind(kWord);
  std::uint64_t count = 0;
  if (at != log.npos) std::from_chars(log.data() + at + kWord.size(), log.data() + log.size(), count);
  return count;
}

std::string missing_privilege() {
  return geteuid() == 0 ? "this root lacks a capability (a container?): CAP_BPF, CAP_PERFMON and CAP_SYS_RESOURCE are "
                          "needed, see `kflight doctor`"
                        : "run it as root, or give it CAP_BPF and CAP_PERFMON; `kflight doctor` says more";
}

Error load_error(int error, std::string_view tried) {
  const bool refused_by_verifier = libbpf_words.find("\nprocessed ") != libbpf_words.npos;
  if ((error == EPERM || error == EACCES) && !refused_by_verifier)
    return {Errc::kPermission, fmt::format("{}: {}; {}", tried, errno_text(error), missing_privilege())};
  std::string words = libbpf_words.empty() ? "" : fmt::format("\n{}", libbpf_words);
  return {Errc::kUnsupported, fmt::format("{}: {}; `kflight doctor` shows what this kernel lacks{}", tried,
                                          errno_text(error), words)};
}

// One slot per possible thread id where that is cheap (40 bytes each), else 64 Ki of them.
std::uint32_t parked_slots() {
  std::ifstream file("/proc/sys/kernel/pid_max");
  std::uint64_t pid_max = 0;
  file >> pid_max;
  return static_cast<std::uint32_t>(std::bit_ceil(std::clamp<std::uint64_t>(pid_max, 1024, 65536)));
}

// What the kernel gives of a stack (kernel.perf_event_max_stack), as far as we have room.
std::uint32_t stack_frames() {
  std::ifstream file("/proc/sys/kernel/perf_event_max_stack");
  std::uint32_t most = KF_STACK_FRAMES;
  file >> most;
  return std::clamp<std::uint32_t>(most, 1, KF_STACK_FRAMES);
}

bool takes_stacks(const kf_config& config) { return config.stacks != KF_STACKS_NONE || config.sample_hz != 0; }

// The software clock of one CPU, whatever runs on it.
UniqueFd open_sample_clock(std::uint32_t cpu, std::uint32_t hz) {
  perf_event_attr clock{};
  clock.type = PERF_TYPE_SOFTWARE;
  clock.size = sizeof clock;
  clock.config = PERF_COUNT_SW_CPU_CLOCK;
  clock.freq = 1;
  clock.sample_freq = hz;
  return UniqueFd(static_cast<int>(
      syscall(SYS_perf_event_open, &clock, -1, static_cast<int>(cpu), -1, PERF_FLAG_FD_CLOEXEC)));
}

// "0-3,8" -> {0,1,2,3,8}
std::vector<std::uint32_t> read_cpu_list(const char* path) {
  std::ifstream file(path);
  std::vector<std::uint32_t> cpus;
  std::uint32_t first = 0;
  while (file >> first) {
    std::uint32_t last = first;
    if (file.peek() == '-') file.get(), file >> last;
    for (std::uint32_t cpu = first; cpu <= last && cpus.size() < 8192; ++cpu) cpus.push_back(cpu);
    if (file.peek() == ',') file.get();
  }
  return cpus;
}

}  // namespace

std::vector<std::uint32_t> online_cpus() { return read_cpu_list("/sys/devices/system/cpu/online"); }
std::uint32_t possible_cpus() {
  const int count = libbpf_num_possible_cpus();
  return count > 0 ? static_cast<std::uint32_t>(count) : 1;
}

struct Loader::Impl {
  struct DestroyLink {
    void operator()(bpf_link* link) const noexcept { bpf_link__destroy(link); }
  };
  KernelCaps caps;
  kf_config config{};
  std::uint64_t ring_bytes = 0;
  std::vector<UniqueFd> rings;
  std::vector<int> ring_fds;
  Mapping parked_mapping;  // the array of parked calls, shared with the kernel
  const kf_parked_call* parked = nullptr;
  BpfObject object;
  std::vector<std::unique_ptr<bpf_link, DestroyLink>> links;
  std::unique_ptr<bpf_link, DestroyLink> iterator, wait_iterator;
  std::vector<VerifiedProgram> verified;

  Result<> create_rings();
  Result<> place_rings();
  Result<> choose_programs();
  Result<> load_programs(bool count_instructions);
  Result<> check_pid_namespace() const;
  Result<> learn_regs_offset();
  Result<> map_parked_calls();
  Result<> attach_samples();
};

namespace {

bool wanted(const Probe& probe, const kf_config& config) {
  switch (probe.use) {
    case ProbeUse::kAlways: return true;
    case ProbeUse::kCauses: return config.causes;
    case ProbeUse::kSyscalls: return config.syscalls != KF_SYSCALLS_OFF;
  }
  return false;
}

}  // namespace

Result<> Loader::Impl::create_rings() {
  for (std::uint32_t i = 0; i < config.n_rings; ++i) {
    UniqueFd ring(bpf_map_create(BPF_MAP_TYPE_RINGBUF, "kf_ring", 0, 0, static_cast<std::uint32_t>(ring_bytes), nullptr));
    if (!ring)
      return load_error(errno, fmt::format("creating BPF ring buffer {} of {}, of {} bytes", i + 1, config.n_rings, ring_bytes));
    ring_fds.push_back(ring.get());
    rings.push_back(std::move(ring));
  }
  return place_rings();
}

// After each update of a map of maps the kernel waits until no program uses what was there before, for milliseconds; a
// batch waits once. Kernels before 5.19 know no batch here.
Result<> Loader::Impl::place_rings() {
  std::vector<std::uint32_t> places(ring_fds.size());
  std::iota(places.begin(), places.end(), 0);
  auto count = static_cast<std::uint32_t>(places.size());
  const int map = bpf_map__fd(object->maps.rings);
  if (bpf_map_update_batch(map, places.data(), ring_fds.data(), &count, nullptr) == 0) return {};
  for (const std::uint32_t place : places)
    if (bpf_map_update_elem(map, &place, &ring_fds[place], BPF_ANY)) return load_error(errno, "placing a BPF ring buffer");
  return {};
}

Result<> Loader::Impl::choose_programs() {
  for (const Probe& probe : kProbes) {
    bpf_program* program = bpf_object__find_program_by_name(object->obj, probe.program);
    if (!program) return Error{Errc::kInternal, fmt::format("BPF program {} is not in the object", probe.program)};
    const bool present = caps.has_tracepoint(probe.tracepoint);
    if (!present && probe.required && wanted(probe, config))
      return Error{Errc::kUnsupported, fmt::format("this kernel has no tracepoint {}: {}", probe.tracepoint, probe.lack)};
    bpf_program__set_autoload(program, present && wanted(probe, config));
  }
  bpf_program__set_autoload(object->progs.kf_sample, config.sample_hz != 0);
  bpf_program__set_autoload(object->progs.kf_wait_iter, config.stack_wait_ns != 0);
  return {};
}

Result<> Loader::Impl::load_programs(bool count_instructions) {
  constexpr std::uint32_t kStatistics = 4;  // BPF_LOG_STATS: the count and nothing else
  constexpr std::size_t kLogBytes = 4096;
  std::vector<std::pair<bpf_program*, std::vector<char>>> logs;
  bpf_program* program = nullptr;
  if (count_instructions) bpf_object__for_each_program(program, object->obj) {
    if (!bpf_program__autoload(program)) continue;
    std::vector<char>& log = logs.emplace_back(program, std::vector<char>(kLogBytes)).second;
    bpf_program__set_log_level(program, kStatistics);
    bpf_program__set_log_buf(program, log.data(), log.size());
  }
  if (const int error = kflight_bpf__load(object.get()); error) {
    const auto refused = std::find_if(logs.rbegin(), logs.rend(), [](const auto& log) { return log.second[0] != '\0'; });
    if (refused != logs.rend()) libbpf_words += refused->second.data();
    return load_error(-error, "loading the BPF programs");
  }
  for (const auto& [loaded, log] : logs)
    verified.push_back({bpf_program__name(loaded), processed_instructions({log.data(), strnlen(log.data(), log.size())})});
  return {};
}

// The events belong to the links: closing those ends them.
Result<> Loader::Impl::attach_samples() {
  for (const std::uint32_t cpu : online_cpus()) {
    UniqueFd clock = open_sample_clock(cpu, config.sample_hz);
    if (!clock && errno == ENXIO) continue;  // went offline since we looked
    if (!clock)
      return load_error(errno, fmt::format("opening a clock of {} Hz on CPU {} (kernel.perf_event_max_sample_rate is the "
                                           "most there may be)", config.sample_hz, cpu));
    bpf_link* link = bpf_program__attach_perf_event(object->progs.kf_sample, clock.get());
    if (!link) return load_error(errno, fmt::format("attaching the sampling program to CPU {}", cpu));
    (void)clock.release();  // the link closes it
    links.emplace_back(link);
  }
  return {};
}

// BPF reports process ids of the initial PID namespace; inside another one every --pid would name a stranger.
Result<> Loader::Impl::check_pid_namespace() const {
  LIBBPF_OPTS(bpf_test_run_opts, options);
  if (bpf_prog_test_run_opts(bpf_program__fd(object->progs.kf_whoami), &options))
    return load_error(errno, "running a BPF program (BPF_PROG_RUN)");
  if (options.retval == static_cast<std::uint32_t>(getpid())) return {};
  return Error{Errc::kUnsupported,
               fmt::format("kflight runs in a PID namespace of its own (it is process {} here, {} on the host), so process "
                           "ids would be mixed up; run it in the host's namespace (docker run --pid=host, or nsenter -t 1 -p)",
                           getpid(), options.retval)};
}

// User registers lie at the same place of every task's stack; asking once saves a helper call per event.
Result<> Loader::Impl::learn_regs_offset() {
  if (!config.has_rdonly_cast || !config.has_task_pt_regs) return {};
  LIBBPF_OPTS(bpf_test_run_opts, options);
  if (bpf_prog_test_run_opts(bpf_program__fd(object->progs.kf_regs_offset), &options))
    return load_error(errno, "running a BPF program (BPF_PROG_RUN)");
  object->bss->regs_offset = options.retval;
  return {};
}

Result<> Loader::Impl::map_parked_calls() {
  if (!config.parked_slots) return {};
  const std::size_t bytes = config.parked_slots * sizeof(kf_parked_call);  // whole pages: at least 1024 slots
  KF_TRY_ASSIGN(parked_mapping, Mapping::shared(bpf_map__fd(object->maps.parked), 0, bytes, "the BPF map of parked calls"));
  parked = reinterpret_cast<const kf_parked_call*>(parked_mapping.bytes().data());
  return {};
}

Result<Loader> Loader::load(kf_config config, KernelCaps caps, const LoadOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->caps = std::move(caps);
  libbpf_words.clear();
  libbpf_set_print(collect_libbpf_words);

  const std::uint32_t cpus = options.cpus != 0 ? options.cpus : possible_cpus();
  config.n_rings = (cpus + kCpusPerRing - 1) / kCpusPerRing;
  config.cpus_per_ring = kCpusPerRing;
  impl->ring_bytes = std::min(options.ring_bytes, std::bit_floor(kMostRingBytes / config.n_rings));
  config.wake_bytes = static_cast<std::uint32_t>(impl->ring_bytes / 4);
  config.has_prev_state = impl->caps.switch_has_prev_state;
  config.has_task_pt_regs = impl->caps.has_task_pt_regs;
  config.has_preempt_count = impl->caps.has_preempt_count;
  config.preempt_count_delta = impl->caps.preempt_count_delta;
  config.hardirq_shift = impl->caps.hardirq_shift;
  config.has_current_task = impl->caps.has_current_task && impl->caps.has_rdonly_cast;
  config.current_task_delta = impl->caps.current_task_delta;
  config.has_rdonly_cast = impl->caps.has_rdonly_cast;
  config.preemptible = impl->caps.preemptible;
  config.softirqs_are_threads = impl->caps.softirqs_are_threads;
  config.block_has_queue = impl->caps.block_has_queue;
  config.has_quotas = impl->caps.has_throttled || impl->caps.has_throttle_count;
  config.has_blocked_on = impl->caps.has_blocked_on;
  config.has_rt_mutex_owner = impl->caps.has_rt_mutex_owner;
  config.stack_frames = stack_frames();
  if (!impl->caps.has_stacks) config.stacks = KF_STACKS_NONE, config.sample_hz = 0;
  if (config.stacks == KF_STACKS_NONE) config.stack_wait_ns = 0;
  const bool parks = config.syscalls != KF_SYSCALLS_OFF || config.stack_wait_ns != 0;
  config.parked_slots = impl->caps.has_compare_and_swap && parks ? parked_slots() : 0;
  impl->config = config;
  // Of a clock both the perf event and its link.
  KF_TRY(allow_descriptors(kOtherDescriptors + config.n_rings + (config.sample_hz ? 2 * online_cpus().size() : 0)));

  impl->object = open_bpf_object(impl->caps.is_old());
  if (!impl->object) return load_error(errno, "opening the BPF object");
  std::memcpy(const_cast<kf_config*>(&impl->object->rodata->config), &config, sizeof config);
  std::memcpy(const_cast<kf_name_matcher*>(&impl->object->rodata->names), &options.names, sizeof options.names);
  bpf_map__set_max_entries(impl->object->maps.rings, config.n_rings);
  bpf_map__set_max_entries(impl->object->maps.open_calls, options.open_calls_max);
  bpf_map__set_max_entries(impl->object->maps.parked, std::max(config.parked_slots, 1u));
  if (!takes_stacks(config)) {
    bpf_map__set_max_entries(impl->object->maps.stack_filter, 1);
    bpf_map__set_max_entries(impl->object->maps.stack_ring, static_cast<std::uint32_t>(sysconf(_SC_PAGESIZE)));
  }
  KF_TRY(impl->choose_programs());
  KF_TRY(impl->load_programs(options.count_instructions));
  KF_TRY(impl->check_pid_namespace());
  KF_TRY(impl->learn_regs_offset());
  KF_TRY(impl->map_parked_calls());
  KF_TRY(impl->create_rings());
  return Loader(std::move(impl));
}

Loader::Loader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;
Loader::~Loader() = default;

Result<> Loader::attach() {
  LIBBPF_OPTS(bpf_iter_attach_opts, options);
  impl_->iterator.reset(bpf_program__attach_iter(impl_->object->progs.kf_task_iter, &options));
  if (!impl_->iterator) return load_error(errno, "attaching the task iterator");
  if (impl_->config.stack_wait_ns != 0) {
    impl_->wait_iterator.reset(bpf_program__attach_iter(impl_->object->progs.kf_wait_iter, &options));
    if (!impl_->wait_iterator) return load_error(errno, "attaching the iterator over waiting threads");
  }
  for (const Probe& probe : kProbes) {
    bpf_program* program = bpf_object__find_program_by_name(impl_->object->obj, probe.program);
    if (!bpf_program__autoload(program)) continue;
    bpf_link* link = bpf_program__attach(program);
    if (!link) {
      Error error = load_error(errno, fmt::format("attaching {} to tracepoint {}", probe.program, probe.tracepoint));
      detach();
      return error;
    }
    impl_->links.emplace_back(link);
  }
  if (impl_->config.sample_hz == 0) return {};
  Result<> sampling = impl_->attach_samples();
  if (!sampling) detach();
  return sampling;
}

void Loader::detach() noexcept {
  while (!impl_->links.empty()) impl_->links.pop_back();
}

const std::vector<VerifiedProgram>& Loader::verified() const noexcept { return impl_->verified; }

const KernelCaps& Loader::caps() const noexcept { return impl_->caps; }
std::span<const int> Loader::data_rings() const noexcept { return impl_->ring_fds; }
std::uint64_t Loader::ring_bytes() const noexcept { return impl_->ring_bytes; }
int Loader::control_ring() const noexcept { return bpf_map__fd(impl_->object->maps.control); }
int Loader::stack_ring() const noexcept {
  return takes_stacks(impl_->config) ? bpf_map__fd(impl_->object->maps.stack_ring) : -1;
}

std::uint32_t Loader::stack_frames_max() const noexcept { return impl_->config.stack_frames; }

void Loader::resend_stacks() const noexcept {
  __atomic_add_fetch(&impl_->object->bss->stack_epoch, 1, __ATOMIC_SEQ_CST);
}

Result<std::vector<std::uint32_t>> Loader::flush() const {
  const int program = bpf_program__fd(impl_->object->progs.kf_flush);
  std::vector<std::uint32_t> silent;
  int pauses = 0;
  for (const std::uint32_t cpu : online_cpus()) {
    LIBBPF_OPTS(bpf_test_run_opts, options, .flags = BPF_F_TEST_RUN_ON_CPU, .cpu = cpu);
    bool handed_over = false;
    for (int tries = 0; !handed_over && tries < kFlushTries; ++tries) {
      options.retval = 0;
      if (bpf_prog_test_run_opts(program, &options)) {
        if (errno == ENXIO) break;  // went offline since we looked
        return errno_error(errno, fmt::format("flushing the batch of CPU {}", cpu));
      }
      handed_over = options.retval == 0;
      if (options.retval != KF_FLUSH_NO_ROOM) continue;
      if (++pauses > kFlushPauses) break;
      std::this_thread::sleep_for(kFlushPause);
    }
    if (!handed_over) silent.push_back(cpu);
  }
  return silent;
}

namespace {

// All that an iterator program writes in one run.
template <class Record>
Result<std::vector<Record>> read_all(const bpf_link* iterator, std::string_view what) {
  const UniqueFd fd(bpf_iter_create(bpf_link__fd(iterator)));
  if (!fd) return errno_error(errno, fmt::format("starting {}", what));
  std::vector<Record> records;
  records.reserve(1024);
  std::size_t have = 0;
  for (;;) {
    // Records can be torn across reads; the vector's bytes are the buffer.
    const std::size_t want = have + 64 * sizeof(Record);
    records.resize((want + sizeof(Record) - 1) / sizeof(Record));
    const ssize_t got =
        ::read(fd.get(), reinterpret_cast<char*>(records.data()) + have, records.size() * sizeof(Record) - have);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return errno_error(errno, fmt::format("reading {}", what));
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  records.resize(have / sizeof(Record));
  return records;
}

}  // namespace

Result<std::vector<kf_task>> Loader::snapshot() const {
  return read_all<kf_task>(impl_->iterator.get(), "the task snapshot");
}

Result<std::vector<kf_waiter>> Loader::waiters() const {
  if (!impl_->wait_iterator) return std::vector<kf_waiter>{};
  return read_all<kf_waiter>(impl_->wait_iterator.get(), "the list of waiting threads");
}

Result<> Loader::add_target(std::uint32_t tgid) const {
  const std::uint32_t one = 1;
  if (bpf_map__update_elem(impl_->object->maps.targets, &tgid, sizeof tgid, &one, sizeof one, BPF_ANY))
    return errno_error(errno, fmt::format("making process {} a target", tgid), "at most 65536 processes can be targets");
  __atomic_add_fetch(&impl_->object->bss->target_gen, 1, __ATOMIC_SEQ_CST);
  return {};
}

void Loader::remove_target(std::uint32_t tgid) const {
  bpf_map__delete_elem(impl_->object->maps.targets, &tgid, sizeof tgid, 0);
  __atomic_add_fetch(&impl_->object->bss->target_gen, 1, __ATOMIC_SEQ_CST);
}

std::vector<std::uint32_t> Loader::targets() const {
  std::vector<std::uint32_t> tgids;
  const int map = bpf_map__fd(impl_->object->maps.targets);
  std::uint32_t key = 0;
  for (const std::uint32_t* previous = nullptr; bpf_map_get_next_key(map, previous, &key) == 0; previous = &key)
    if (tgids.size() < 65536) tgids.push_back(key);
    else break;
  return tgids;
}

namespace {

// Calls fn with every value of a hash map keyed by thread id.
template <class Value, class Fn>
void for_each_value(int map, Fn&& fn) {
  constexpr std::uint32_t kBatch = 256;
  std::uint32_t tids[kBatch];
  Value values[kBatch];
  std::uint32_t cursor = 0;
  for (bool first = true, more = true; more; first = false) {
    std::uint32_t count = kBatch;
    more = bpf_map_lookup_batch(map, first ? nullptr : &cursor, &cursor, tids, values, &count, nullptr) == 0;
    if (!more && errno != ENOENT) return;
    std::for_each_n(values, count, fn);
  }
}

}  // namespace

std::vector<kf_open_call> Loader::calls_in_flight() const {
  std::vector<kf_open_call> calls;
  if (impl_->config.syscalls == KF_SYSCALLS_OFF) return calls;
  const auto add = [&](const kf_parked_call& call) {
    if (call.tid && call.enter_ns) calls.push_back({.tid = call.tid, .nr = call.nr, .enter_ns = call.enter_ns});
  };
  for (std::uint32_t i = 0; i < impl_->config.parked_slots; ++i) add(impl_->parked[i]);
  for_each_value<kf_parked_call>(bpf_map__fd(impl_->object->maps.open_calls), add);
  std::vector<kf_cpu_call> running(possible_cpus());
  const std::uint32_t zero = 0;
  if (bpf_map_lookup_elem(bpf_map__fd(impl_->object->maps.calls), &zero, running.data()) == 0)
    for (const kf_cpu_call& call : running)
      if (call.tid) calls.push_back({.tid = call.tid, .nr = call.nr, .enter_ns = call.enter_ns});
  return calls;
}

// An entry may be there already, of a call that ended before it was asked for: the thread's next return would take it
// away, and be this call's.
Result<> Loader::watch_call(std::uint32_t tid, std::uint64_t enter_ns) const {
  const auto put = [&](std::uint64_t how) {
    return bpf_map__update_elem(impl_->object->maps.watched, &tid, sizeof tid, &enter_ns, sizeof enter_ns, how) == 0;
  };
  if (!put(BPF_NOEXIST)) {
    if (errno == EEXIST && (put(BPF_EXIST) || errno == ENOENT)) return {};  // ENOENT: taken away this moment
    return errno_error(errno, fmt::format("watching the call of thread {}", tid), "its end will not be added to the dump");
  }
  __atomic_add_fetch(&impl_->object->bss->watched_count, 1, __ATOMIC_SEQ_CST);
  return {};
}

kf_counters Loader::counters() const noexcept { return impl_->object->bss->counters; }

namespace {

template <class Fn>
void for_each_loaded(kflight_bpf* object, Fn&& fn) {
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object->obj) {
    const int fd = bpf_program__fd(program);
    bpf_prog_info info{};
    __u32 size = sizeof info;
    if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0) fn(program, info);
  }
}

}  // namespace

std::uint64_t Loader::recursion_misses() const {
  std::uint64_t misses = 0;
  for_each_loaded(impl_->object.get(), [&](const bpf_program*, const bpf_prog_info& info) { misses += info.recursion_misses; });
  return misses;
}

std::uint64_t Loader::capped_events() const {
  std::vector<kf_cap> caps(possible_cpus());
  const std::uint32_t zero = 0;
  std::uint64_t events = 0;
  if (bpf_map_lookup_elem(bpf_map__fd(impl_->object->maps.caps), &zero, caps.data()) == 0)
    for (const kf_cap& cap : caps) events += cap.capped;
  return events;
}

std::vector<std::uint64_t> Loader::work_functions() const {
  std::vector<std::uint64_t> addresses;
  const int map = bpf_map__fd(impl_->object->maps.work_functions);
  std::uint64_t key = 0;
  for (const std::uint64_t* previous = nullptr; bpf_map_get_next_key(map, previous, &key) == 0; previous = &key)
    if (addresses.size() < 1024) addresses.push_back(key);
    else break;
  return addresses;
}

std::vector<ProgramCost> Loader::program_costs() const {
  std::vector<ProgramCost> costs;
  for_each_loaded(impl_->object.get(), [&](const bpf_program* program, const bpf_prog_info& info) {
    costs.push_back({bpf_program__name(program), info.run_cnt, info.run_time_ns});
  });
  return costs;
}

}  // namespace kflight::record
