// SPDX-License-Identifier: Apache-2.0
//
// consumer.hpp - the one thread that empties the kernel's rings. Data rings are polled (the kernel wakes it only when one
// is a quarter full), so an idle machine costs four wakeups a second and a busy one a few dozen; the control ring wakes
// it at once. Per chunk it does one copy, per event nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "base/mapping.hpp"
#include "base/mutex.hpp"
#include "base/unique_fd.hpp"
#include "kflight/result.hpp"
#include "kflight/wire.h"

struct ring_buffer;

namespace kflight::record {

class Consumer {
 public:
  struct Handlers {  // all called on the consumer's thread; must not throw
    std::function<void()> on_start;  // first, before start() returns
    std::function<void(const void* chunk, std::size_t bytes)> on_chunk;
    std::function<void(const kf_ctl&)> on_control;
    std::function<void(const void* record, std::size_t bytes)> on_stack;  // a kf_stack and its words
    std::function<std::chrono::nanoseconds()> on_tick;  // regular work; returns when it wants to be called again
  };

  explicit Consumer(Handlers handlers) : handlers_(std::move(handlers)) {}
  ~Consumer() { stop(); }

  // The rings must outlive the consumer's thread.
  struct Rings {
    std::span<const int> data;
    int control = -1;
    int stacks = -1;  // -1: there is none
    std::uint64_t bytes = 0;  // of each data ring
  };
  Result<> start(const Rings& rings);
  void stop() noexcept;

  // Returns when all that was in the rings at the call has been handed to the handlers. False: a record in one of them stayed
  // unfinished, and what lies behind it in the ring. Any thread but the consumer's.
  bool drain() KF_EXCLUDES(mutex_);

  std::uint64_t polls() const noexcept { return polls_.load(std::memory_order_relaxed); }
  // CPU time of the thread so far, ns.
  std::uint64_t cpu_ns() const noexcept;

 private:
  struct FreeRing {
    void operator()(ring_buffer* ring) const noexcept;
  };
  // How far a ring has been written and read, in bytes since its creation.
  class RingPositions {
   public:
    static Result<RingPositions> of(int ring);
    std::uint64_t produced() const noexcept { return read(producer_); }
    std::uint64_t consumed() const noexcept { return read(consumer_); }

   private:
    static std::uint64_t read(const Mapping& page) noexcept;
    Mapping consumer_, producer_;
  };
  static int on_data(void* self, void* data, std::size_t bytes);
  static int on_control(void* self, void* data, std::size_t bytes);
  static int on_stack(void* self, void* data, std::size_t bytes);

  void begin();
  void run();
  void consume_all();
  bool consume_to_producers();
  void finish_drains() KF_EXCLUDES(mutex_);
  std::chrono::nanoseconds next_poll(std::uint64_t bytes, std::chrono::nanoseconds since) const;

  Handlers handlers_;
  std::uint64_t ring_bytes_ = 0;
  std::uint64_t consumed_bytes_ = 0;  // consumer's thread only
  UniqueFd epoll_;
  UniqueFd wake_;  // eventfd: stop or drain
  std::unique_ptr<ring_buffer, FreeRing> data_;
  std::unique_ptr<ring_buffer, FreeRing> control_;  // control records, and stacks
  std::vector<RingPositions> positions_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> polls_{0};
  Mutex mutex_;
  CondVar drained_;
  std::uint64_t drains_wanted_ KF_GUARDED_BY(mutex_) = 0;
  std::uint64_t drains_done_ KF_GUARDED_BY(mutex_) = 0;
  bool drained_all_ KF_GUARDED_BY(mutex_) = true;  // the last time
  std::thread thread_;
};

}  // namespace kflight::record
