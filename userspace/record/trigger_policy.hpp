// SPDX-License-Identifier: Apache-2.0
//
// trigger_policy.hpp - whether a firing gets a dump of its own. Pure logic: times come in, nothing is read. One thread.
//
//   idle --fire--> pending (the tail after the trigger is still being recorded) --begin_writing--> writing --finish-->
//   idle
//
// Firings while pending belong to that dump. Those while one is written, during the cooldown after it, or after close()
// get none; all are counted.
#pragma once

#include <chrono>
#include <cstdint>

namespace kflight::record {

enum class Verdict {
  kDump,      // start a dump: it is pending now
  kMerged,    // part of the pending dump
  kWriting,   // a dump is being written; too late to be part of it
  kCooldown,  // too soon after the last one
  kEnough,    // max_dumps have been written, or close() was called
};

class TriggerPolicy {
 public:
  struct Options {
    std::chrono::nanoseconds cooldown{0};  // from the end of one dump to the next firing that counts
    std::uint64_t max_dumps = 0;           // 0: no limit
  };
  struct Counts {
    std::uint64_t fired = 0;
    std::uint64_t merged = 0;
    std::uint64_t suppressed = 0;  // kWriting, kCooldown, kEnough
    std::uint64_t dumps = 0;       // written
    std::uint64_t failures = 0;
  };

  explicit TriggerPolicy(const Options& options) : options_(options) {}

  Verdict fire(std::uint64_t now_ns);
  // Firings that came just after one that fire() was told: they never start a dump.
  void fire_more(std::uint64_t firings);
  // Returns how many further firings the pending dump stands for (Cause::merged).
  std::uint64_t begin_writing();
  // A failed dump does not count towards max_dumps, but the cooldown follows it too: a full disk is not hammered.
  void finish(std::uint64_t now_ns, bool written);
  // No firing starts a dump any more.
  void close() noexcept { closed_ = true; }

  // No trigger will ever get a dump again.
  bool exhausted() const noexcept { return options_.max_dumps != 0 && counts_.dumps >= options_.max_dumps; }
  const Counts& counts() const noexcept { return counts_; }

 private:
  enum class Phase { kIdle, kPending, kWriting };
  Verdict judge(std::uint64_t now_ns) const;

  const Options options_;
  Phase phase_ = Phase::kIdle;
  std::uint64_t merged_ = 0;  // into the pending dump
  std::uint64_t cooldown_until_ns_ = 0;
  bool closed_ = false;
  Counts counts_;
};

}  // namespace kflight::record
