// SPDX-License-Identifier: Apache-2.0
//
// loss_watch.hpp - keeps the books of everything a recording loses, and when. The rings' losses follow from the numbers
// in the chunk headers, so they cost a few instructions per chunk; what only counters know (a program the kernel skipped,
// control records) is looked at once a second and for each dump, which dates it to that second.
//
// see() is called by the consumer's thread for every chunk, on_hotplug() for a CPU's steps offline and back; the rest from
// any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <vector>

#include "base/mutex.hpp"
#include "kflight/dump.hpp"
#include "kflight/dump_format.h"

namespace kflight::record {

class LossWatch {
 public:
  explicit LossWatch(std::uint32_t lanes) : lanes_(lanes) {}

  // `samples`: the CPUs' running threads are sampled (--sample).
  void start(std::uint64_t now_ns, bool samples = false) KF_EXCLUDES(mutex_);
  void see(const kf_chunk& chunk) noexcept;          // before the window has it: no dump lacks more than is counted
  void handed_over(const kf_chunk& chunk) noexcept;  // the window has it
  void look(std::uint64_t now_ns, std::uint64_t recursion_misses, std::uint64_t capped, const kf_counters& counters)
      KF_EXCLUDES(mutex_);

  void on_hotplug(const kf_ctl& step) KF_EXCLUDES(mutex_);  // a KF_CTL_CPU

  LossInfo totals() const KF_EXCLUDES(mutex_);  // all but what the window dropped
  // What a dump that ends at to_ns lacks of CPUs whose newest events could not be had: all since the last chunk that was
  // handed over. To be asked before the window is pinned.
  std::vector<kf_loss> unflushed(const std::vector<std::uint32_t>& cpus, std::uint64_t to_ns) const;
  // Losses that may lie at or after from_ns, of a dump that ends at to_ns.
  std::vector<kf_loss> within(std::uint64_t from_ns, std::uint64_t to_ns, const std::vector<kf_loss>& unflushed = {})
      const KF_EXCLUDES(mutex_);

 private:
  struct Lane {
    std::uint64_t events_through = 0;   // numbers the next chunk should begin with
    std::uint64_t nested_received = 0;
    std::uint64_t nested_lost = 0;
    std::atomic<std::uint64_t> last_ns{0};  // of the chunks so far; any thread
  };
  struct Step {  // offline, or back
    std::uint64_t from_ns = 0;  // 0: there is none
    std::uint64_t to_ns = 0;    // 0: under way
  };
  struct Absence {
    Step going, coming;
  };
  struct Count {
    std::uint32_t kind;  // KF_LOSS_*
    std::uint64_t total = 0;
  };
  static constexpr std::size_t kMostEntries = 4096;  // over an hour of losses in every second

  void add(const kf_loss& loss) KF_REQUIRES(mutex_);
  void note(Count& count, std::uint64_t total, std::uint64_t now_ns) KF_REQUIRES(mutex_);

  std::vector<Lane> lanes_;           // consumer's thread
  std::atomic<std::uint64_t> ring_events_{0};
  std::atomic<std::uint64_t> nested_events_{0};

  mutable Mutex mutex_;
  std::uint64_t looked_ns_ KF_GUARDED_BY(mutex_) = 0;
  Count recursion_ KF_GUARDED_BY(mutex_) = {KF_LOSS_RECURSION};
  Count control_ KF_GUARDED_BY(mutex_) = {KF_LOSS_CONTROL};
  Count inflight_ KF_GUARDED_BY(mutex_) = {KF_LOSS_INFLIGHT};
  Count stacks_ KF_GUARDED_BY(mutex_) = {KF_LOSS_STACK};
  Count capped_ KF_GUARDED_BY(mutex_) = {KF_LOSS_CAPPED};
  std::vector<kf_loss> entries_ KF_GUARDED_BY(mutex_);
  std::map<std::uint32_t, Absence> absent_ KF_GUARDED_BY(mutex_);  // CPUs that are offline or on their way
  bool samples_ KF_GUARDED_BY(mutex_) = false;
  // CPUs that came back, and when: the kernel has dropped their sampling clocks, and we may not open new ones.
  std::map<std::uint32_t, std::uint64_t> unsampled_ KF_GUARDED_BY(mutex_);
};

}  // namespace kflight::record
