// SPDX-License-Identifier: Apache-2.0
//
// explain.hpp - where did this thread's time go, at each instant, and who caused it? The answer is pointwise: a running
// thread is its own cause; for a runnable one it is whoever holds the CPU it queues for; for a blocked one it is the
// cause of what woke it, followed over the same stretch of time: another thread's doing, a device, a timer. What comes
// out are leaves that tile the asked interval exactly. A pure function of the Timeline; depth is bounded, no recursion.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/trace.hpp"

namespace kflight::analyze {

// What the time of a leaf was spent on. Append only: the names are part of the JSON schema.
enum class Category : std::uint8_t {
  kCpu,  // on CPU, user or kernel not known
  kCpuUser,
  kCpuSys,  // in a system call
  kIrq,
  kContention,   // runnable while another thread had the CPU
  kWakeLatency,  // runnable on an idle CPU that had not yet woken up
  kEnqueue,      // between the waking and the run queue
  kCpuQuota,
  kDiskBeforeSubmit,
  kDiskQueue,
  kDiskService,
  kDiskCompletion,
  kNetwork,
  kTimer,
  kTimerOvershoot,
  kWorkqueue,
  kStopped,
  kRcu,
  kKernelUnattributed,
  kStillBlocked,
  kUnknown,
};
inline constexpr std::size_t kCategories = static_cast<std::size_t>(Category::kUnknown) + 1;
std::string_view category_name(Category category);

enum class Quality : std::uint8_t { kExact, kInferred, kUnknown };
std::string_view quality_name(Quality quality);

struct Who {
  enum class Kind : std::uint8_t { kThread, kCpu, kDisk, kNetwork, kKernel, kCgroup, kIrq, kWork };
  Kind kind = Kind::kKernel;
  // ThreadId, CPU, device, ThreadId of a throttled thread, interrupt or vector, of a work item the index
  // in Timeline::works() of the first one with its function.
  std::uint32_t id = 0;
  friend bool operator==(const Who&, const Who&) = default;
};

inline constexpr std::uint32_t kHeldBack = 256;  // in Leaf::detail
// In Who::id of interrupts that had the CPU, rather than woke somebody: with cause << 16 | detail of the longest.
inline constexpr std::uint32_t kTookCpu = 1u << 31;

struct Leaf {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  Who who;
  std::uint32_t hop = model::kNone;           // the wait that led here; kNone: the asked thread itself
  model::ThreadId thread = model::kNoThread;  // whose state this is
  // System call of kCpuSys; of disks the operation and 256 (kHeldBack) for what an I/O limit did; of kWorkqueue the
  // worker's State.
  std::uint32_t detail = 0;
  std::uint16_t cpu = model::kNoCpu;
  Category category = Category::kUnknown;
  Quality quality = Quality::kExact;

  std::uint64_t length_ns() const noexcept { return end_ns - begin_ns; }
};

// One step of a chain: `thread` waited, and what it waited for is followed further.
struct Hop {
  std::uint32_t parent = model::kNone;
  model::ThreadId thread = model::kNoThread;
  std::uint32_t interval = model::kNone;    // its blocked interval; kNone: it was not born yet
  model::ThreadId next = model::kNoThread;  // followed on; kNoThread: the chain ends here
  std::uint32_t request = model::kNone;     // in Timeline::block_requests(): what the wait ended with
  std::uint32_t work = model::kNone;        // in Timeline::works(): the work item that ended it
  std::uint32_t judged = model::kNone;      // the interval whose waking ended the wait: `interval` or a later part of it
};

struct Explanation {
  model::ThreadId thread = model::kNoThread;
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  std::vector<Leaf> leaves;  // by time; they tile [begin_ns, end_ns)
  std::vector<Hop> hops;
  std::uint64_t cycles = 0;         // chains that came back to themselves: none unless events are missing
  std::uint64_t false_wakeups = 0;  // wakings after which the thread went on waiting for the same
  std::uint32_t deepest = 0;

  std::uint64_t length_ns() const noexcept { return end_ns - begin_ns; }
};

Explanation explain(const model::Trace& trace, model::ThreadId thread, std::uint64_t begin_ns, std::uint64_t end_ns);

}  // namespace kflight::analyze
