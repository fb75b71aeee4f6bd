// SPDX-License-Identifier: Apache-2.0
//
// stack_keeper.hpp - what a recording remembers about stacks: the stacks themselves and what was mapped where.
// The consumer's thread brings what is new; a dump copies it out. Nothing is done per event: only stacks met for the
// first time, and processes of which one was. Neither of them waits for another process: a thread of its own reads what lies
// there, and a dump goes without what it does not bring within `kPatience`.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "base/mutex.hpp"
#include "dump/writer.hpp"
#include "record/maps_keeper.hpp"
#include "record/patient_thread.hpp"
#include "record/stack_store.hpp"
#include "record/waiting_stacks.hpp"
#include "record/window.hpp"

namespace kflight::record {

class StackKeeper {
 public:
  // `resend` has the kernel send every stack in use again. `on_start` is called on the thread that reads, before this returns.
  explicit StackKeeper(std::function<void()> resend, const std::function<void()>& on_start = {})
      : store_(kMaxBytes, std::move(resend)), reader_(kPatience, on_start) {}

  // What a dump says of stacks.
  struct Collected {
    dump::RecordBlob stacks;
    std::vector<kf_base_stack> waits;
    MapsKeeper::Known maps;
    std::vector<std::uint64_t> kernel_addresses;  // that the stacks consist of

    Result<> write(dump::DumpWriter& writer) const;
  };
  // While one lives nothing is forgotten: from before the window is pinned until its stacks are collected.
  class Hold {
   public:
    explicit Hold(StackKeeper* keeper) : keeper_(keeper) {  // may be null
      if (keeper_ != nullptr) ++keeper_->holds_;
    }
    ~Hold() { release(); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    void release() {
      if (StackKeeper* const keeper = std::exchange(keeper_, nullptr)) --keeper->holds_;
    }

   private:
    StackKeeper* keeper_;
  };

  void on_stack(std::span<const std::byte> record) KF_EXCLUDES(mutex_);
  void on_target(std::uint32_t tgid);
  void on_fork(std::uint32_t child, std::uint32_t parent);
  std::vector<WaitingStack> read_waiting(std::span<const kf_waiter> waiters, std::uint32_t max_frames);
  // Before a dump: keeps the stacks of `waiting` too, and waits, but not for long, until the processes have been looked at
  // whose stacks came last.
  void settle(std::span<const WaitingStack> waiting = {}) KF_EXCLUDES(mutex_);
  // Forgets what the window no longer needs; about once a second.
  void tidy(const Window& window) KF_EXCLUDES(mutex_);

  std::uint64_t lost() const KF_EXCLUDES(mutex_);
  // All that there is. `base_stacks` of waits since before the window, `waiting` of those that go on at its end, as settle()
  // had them.
  Collected collect(std::span<const kf_base_stack> base_stacks, std::span<const WaitingStack> waiting) KF_EXCLUDES(mutex_);

 private:
  static constexpr std::uint64_t kMaxBytes = 16 << 20;
  static constexpr std::chrono::nanoseconds kPatience = std::chrono::milliseconds(250);

  std::atomic<unsigned> holds_ = 0;
  mutable Mutex mutex_;
  StackStore store_ KF_GUARDED_BY(mutex_);
  PatientThread reader_;
  MapsKeeper maps_{reader_};
};

}  // namespace kflight::record
