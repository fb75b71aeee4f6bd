// SPDX-License-Identifier: Apache-2.0
//
// trigger_policy.hpp - whether a firing gets a dump of its own. Pure logic: times come in, nothing is read. One thread.
//
//   idle --fire--> pending (the tail after the trigger is still being recorded) --begin_writing--> idle, a dump is written
//   --finish--> its trigger's cooldown begins
//
// Firings while pending belong to that dump, whichever trigger they are of. While a dump is written, another trigger may
// fire for the next one already: what it saw may never come again. Firings of a trigger while its dump is written or during
// the cooldown after it, and all after close(), get none. All are counted.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace kflight::record {

enum class Verdict {
  kDump,      // start a dump: it is pending now
  kMerged,    // part of the pending dump
  kCooldown,  // too soon after the last one of this trigger, which may still be being written
  kEnough,    // max_dumps have been written, or close() was called
};

class TriggerPolicy {
 public:
  struct Options {
    std::chrono::nanoseconds cooldown{0};  // from the end of one dump to the next firing of its trigger that counts
    std::uint64_t max_dumps = 0;           // 0: no limit
  };
  struct Counts {
    std::uint64_t fired = 0;
    std::uint64_t merged = 0;
    std::uint64_t suppressed = 0;  // kCooldown, kEnough
    std::uint64_t dumps = 0;       // written
    std::uint64_t failures = 0;
  };

  explicit TriggerPolicy(const Options& options) : options_(options) {}

  // Each trigger has its own cooldown: one of these that is free is enough for a dump, which is then that of all of them.
  // Their texts are few.
  using Triggers = std::vector<std::string>;
  bool is_free(std::uint64_t now_ns, const std::string& trigger) const;
  Verdict fire(std::uint64_t now_ns, const Triggers& triggers);
  // Firings that came just after one that fire() was told, or that have their dump already: they never start one.
  void fire_more(std::uint64_t firings);
  // Returns how many further firings the pending dump stands for (Cause::merged).
  std::uint64_t begin_writing();
  // Of the dump that `triggers` started. A failed one does not count towards max_dumps, but the cooldown follows it too: a
  // full disk is not hammered.
  void finish(std::uint64_t now_ns, const Triggers& triggers, bool written);
  // No firing starts a dump any more.
  void close() noexcept { closed_ = true; }

  // No trigger will ever get a dump again.
  bool exhausted() const noexcept { return options_.max_dumps != 0 && counts_.dumps >= options_.max_dumps; }
  const Counts& counts() const noexcept { return counts_; }

 private:
  Verdict judge(std::uint64_t now_ns, const Triggers& triggers) const;

  struct Turn {
    std::uint64_t dumps_on_their_way = 0;
    std::uint64_t cooldown_until_ns = 0;
  };
  const Options options_;
  bool pending_ = false;
  std::uint64_t merged_ = 0;   // into the pending dump
  std::uint64_t writing_ = 0;  // dumps
  std::map<std::string, Turn> turns_;  // by trigger
  bool closed_ = false;
  Counts counts_;
};

}  // namespace kflight::record
