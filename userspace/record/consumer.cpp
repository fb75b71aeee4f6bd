// SPDX-License-Identifier: Apache-2.0
#include "record/consumer.hpp"

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <latch>

#include "base/errors.hpp"
#include "base/log.hpp"

namespace kflight::record {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using Clock = std::chrono::steady_clock;

constexpr nanoseconds kShortestPoll = milliseconds(10);
constexpr nanoseconds kLongestPoll = milliseconds(250);
constexpr int kDrainTries = 10000;
constexpr int kNice = -10;  // under full load the rings must still be emptied in time; it runs for microseconds

// Edge triggered: a ring that was filled without a wakeup must not wake us.
Result<> watch(int epoll, int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) return errno_error(errno, "watching a BPF ring buffer");
  return {};
}

}  // namespace

// A BPF ring buffer's first page holds the consumer's position, the second the producer's (Documentation/bpf/ringbuf.rst).
Result<Consumer::RingPositions> Consumer::RingPositions::of(int ring) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  RingPositions positions;
  KF_TRY_ASSIGN(positions.consumer_, Mapping::shared(ring, 0, page, "a BPF ring buffer's position"));
  KF_TRY_ASSIGN(positions.producer_, Mapping::shared(ring, page, page, "a BPF ring buffer's position"));
  return positions;
}

std::uint64_t Consumer::RingPositions::read(const Mapping& page) noexcept {
  return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(page.bytes().data()), __ATOMIC_ACQUIRE);
}

void Consumer::FreeRing::operator()(ring_buffer* ring) const noexcept { ring_buffer__free(ring); }

int Consumer::on_data(void* self, void* data, std::size_t bytes) {
  auto* consumer = static_cast<Consumer*>(self);
  consumer->consumed_bytes_ += bytes;
  consumer->handlers_.on_chunk(data, bytes);
  return 0;
}

int Consumer::on_control(void* self, void* data, std::size_t bytes) {
  if (bytes >= sizeof(kf_ctl)) static_cast<Consumer*>(self)->handlers_.on_control(*static_cast<const kf_ctl*>(data));
  return 0;
}

int Consumer::on_stack(void* self, void* data, std::size_t bytes) {
  static_cast<Consumer*>(self)->handlers_.on_stack(data, bytes);
  return 0;
}

Result<> Consumer::start(const Rings& rings) {
  ring_bytes_ = rings.bytes;
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !wake_) return errno_error(errno, "creating the consumer's event descriptors");
  KF_TRY(watch(epoll_.get(), wake_.get(), EPOLLIN));
  for (const int ring : rings.data) {
    if (!data_) {
      data_.reset(ring_buffer__new(ring, on_data, this, nullptr));
      if (!data_) return errno_error(errno, "mapping a BPF ring buffer");
    } else if (const int error = ring_buffer__add(data_.get(), ring, on_data, this); error) {
      return errno_error(-error, "mapping a BPF ring buffer");
    }
    KF_TRY(watch(epoll_.get(), ring, EPOLLIN | EPOLLET));
    KF_TRY_ASSIGN(RingPositions positions, RingPositions::of(ring));
    positions_.push_back(std::move(positions));
  }
  control_.reset(ring_buffer__new(rings.control, on_control, this, nullptr));
  if (!control_) return errno_error(errno, "mapping the control ring");
  KF_TRY(watch(epoll_.get(), rings.control, EPOLLIN | EPOLLET));
  if (rings.stacks >= 0) {
    if (const int error = ring_buffer__add(control_.get(), rings.stacks, on_stack, this); error)
      return errno_error(-error, "mapping the ring of stacks");
    KF_TRY(watch(epoll_.get(), rings.stacks, EPOLLIN | EPOLLET));
    KF_TRY_ASSIGN(RingPositions positions, RingPositions::of(rings.stacks));
    positions_.push_back(std::move(positions));
  }
  stopping_ = false;
  // Signals belong to the threads of the program, not to ours.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::latch set_up(1);
  thread_ = std::thread([this, &set_up] {
    begin();
    set_up.count_down();
    run();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  set_up.wait();
  return {};
}

void Consumer::stop() noexcept {
  if (!thread_.joinable()) return;
  stopping_ = true;
  eventfd_write(wake_.get(), 1);
  thread_.join();
  control_.reset();
  data_.reset();
  positions_.clear();
}

void Consumer::consume_all() {
  ring_buffer__consume(control_.get());
  ring_buffer__consume(data_.get());
  polls_.fetch_add(1, std::memory_order_relaxed);
}

// As late as possible while a ring that fills at the current rate stays below an eighth.
nanoseconds Consumer::next_poll(std::uint64_t bytes, nanoseconds since) const {
  if (bytes == 0) return kLongestPoll;
  const double fill_time_ns =
      static_cast<double>(since.count()) * static_cast<double>(ring_bytes_) / 8.0 / static_cast<double>(bytes);
  return std::clamp(nanoseconds(static_cast<std::int64_t>(std::min(fill_time_ns, 1e12))), kShortestPoll, kLongestPoll);
}

void Consumer::begin() {
  pthread_setname_np(pthread_self(), "kflight-consume");
  const auto self = static_cast<id_t>(syscall(SYS_gettid));
  if (getpriority(PRIO_PROCESS, self) > kNice && setpriority(PRIO_PROCESS, self, kNice))
    log_debug("consumer keeps its normal priority: {}", errno_text(errno));
  if (handlers_.on_start) handlers_.on_start();
}

void Consumer::run() {
  auto polled_at = Clock::now();
  auto poll_at = polled_at + kShortestPoll;
  auto tick_at = polled_at;
  while (!stopping_) {
    const auto wait = std::chrono::ceil<milliseconds>(std::min(poll_at, tick_at) - Clock::now());
    epoll_event events[8];
    const int ready = epoll_wait(epoll_.get(), events, 8, static_cast<int>(std::max<std::int64_t>(wait.count(), 0)));
    bool ring_woke = false;
    for (int i = 0; i < ready; ++i) {
      if (events[i].data.fd != wake_.get()) ring_woke = true;
    }
    const auto now = Clock::now();
    if (ring_woke || now >= poll_at) {
      const std::uint64_t before = consumed_bytes_;
      consume_all();
      poll_at = now + next_poll(consumed_bytes_ - before, now - polled_at);
      polled_at = now;
    }
    finish_drains();
    if (now >= tick_at) tick_at = now + handlers_.on_tick();
  }
  consume_all();
  finish_drains();
}

// libbpf stops at a record that another CPU is still writing, and ours may lie behind it: go on until what was in the
// rings when we began has been read. A writer is at work for about a microsecond.
bool Consumer::consume_to_producers() {
  std::vector<std::uint64_t> targets;
  for (const RingPositions& ring : positions_) targets.push_back(ring.produced());
  for (int tries = 0; tries < kDrainTries; ++tries) {
    consume_all();
    bool done = true;
    for (std::size_t i = 0; i < positions_.size(); ++i) done &= positions_[i].consumed() >= targets[i];
    if (done) return true;
    sched_yield();
  }
  log_warn("a BPF ring buffer could not be emptied: a record in it stayed unfinished; the dump lacks what is behind it");
  return false;
}

void Consumer::finish_drains() {
  eventfd_t ignored;
  eventfd_read(wake_.get(), &ignored);
  std::uint64_t wanted = 0;
  {
    MutexLock lock(mutex_);
    if (drains_wanted_ == drains_done_) return;
    wanted = drains_wanted_;
  }
  const bool all = consume_to_producers();
  MutexLock lock(mutex_);
  drained_all_ = all;
  drains_done_ = wanted;
  drained_.notify_all();
}

bool Consumer::drain() {
  MutexLock lock(mutex_);
  if (!thread_.joinable()) return true;
  const std::uint64_t mine = ++drains_wanted_;
  eventfd_write(wake_.get(), 1);
  while (drains_done_ < mine) drained_.wait(mutex_);
  return drained_all_;
}

std::uint64_t Consumer::cpu_ns() const noexcept {
  clockid_t clock;
  timespec time{};
  if (!thread_.joinable() || pthread_getcpuclockid(const_cast<std::thread&>(thread_).native_handle(), &clock) ||
      clock_gettime(clock, &time))
    return 0;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace kflight::record
