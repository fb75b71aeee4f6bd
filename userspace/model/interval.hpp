// SPDX-License-Identifier: Apache-2.0
//
// interval.hpp - the records a Timeline is made of: what a thread did from one instant to the next, who ended its
// waits, which system calls it was in, who held each CPU. They are packed because a window of ten million events makes
// about as many of them; an end is nowhere stored, it is the beginning of the next record of the same thread or CPU.
// Times are CLOCK_BOOTTIME ns, all stretches half open.
#pragma once

#include <cstdint>

#include "kflight/wire.h"

namespace kflight::model {

// Index into Timeline::threads(): one life of a thread, so that a reused tid gives another one.
using ThreadId = std::uint32_t;
inline constexpr ThreadId kNoThread = 0xffffffff;    // not known
inline constexpr ThreadId kIdleThread = 0xfffffffe;  // any CPU's idle task

inline constexpr std::uint32_t kNone = 0xffffffff;  // no such entry in a side table
inline constexpr std::uint16_t kNoCpu = 0xffff;

enum class State : std::uint8_t {
  kUnknown,    // nothing is known, or events that would tell are lost
  kNotBorn,    // before its fork; only in query results, never stored
  kRunning,    // on Interval::cpu
  kRunnable,   // waits for a CPU
  kThrottled,  // runnable, but its cgroup is out of CPU quota
  kBlocked,    // waits to be woken
  kStopped,    // by a signal or a tracer
  kExited,
};

// Why a thread is kRunnable.
enum class RunnableWhy : std::uint8_t {
  kWoken,
  kPreempted,
  kYielded,
  kNew,       // forked, has not run yet
  kNoWake,    // it was switched out to sleep and in again without anybody waking it: a signal was pending
  kRefilled,  // its cgroup has CPU quota again
};

// Interval::flags
inline constexpr std::uint8_t kIntervalIowait = 1;    // blocked with in_iowait set
inline constexpr std::uint8_t kIntervalUnplaced = 2;  // runnable on a queue nobody named: cpu is where it ran last
inline constexpr std::uint8_t kIntervalInferred =
    4;  // state or bounds follow from other facts, their own events are missing
inline constexpr std::uint8_t kIntervalInSequence =
    8;  // begins at a switch-out, the thread's next one after that before

struct Interval {
  std::uint64_t begin_ns = 0;  // of the first interval maybe before the window
  std::uint32_t wake = kNone;  // blocked, stopped, unknown: the wake that ended it; runnable: that began it
  std::uint32_t link = kNone;  // see call() and first_move()
  std::uint16_t cpu = kNoCpu;  // running: here; runnable: first queue it was put on; otherwise where it ran last
  State state = State::kUnknown;
  std::uint8_t detail = 0;  // runnable: RunnableWhy; otherwise KF_ST_* of its switch-out
  std::uint8_t flags = 0;
  std::uint8_t prio = KF_DEFAULT_PRIO;  // kernel priority, lower is better
  std::uint16_t reserved = 0;

  RunnableWhy why() const noexcept { return static_cast<RunnableWhy>(detail); }
  // Index into Thread::calls of the call it was in when it left the CPU.
  std::uint32_t call() const noexcept { return state == State::kRunnable ? kNone : link; }
  // Index into Timeline's moves of the first one to another queue.
  std::uint32_t first_move() const noexcept { return state == State::kRunnable ? link : kNone; }
};
static_assert(sizeof(Interval) == 24);

// What the CPU that did a waking was busy with, as far as its cause register said.
enum class CauseKind : std::uint8_t {
  kNotNoted,
  kTimer,      // an expiring timer; Wake::cause_ref is by how many ns it was late, kNone when that is not known
  kBlock,      // completion of a block request: Wake::cause_ref is its index in Timeline::block_requests()
  kNetRx,      // network receive processing, cause_ref is KF_NET_*
  kSoftirq,    // another softirq, cause_ref is its vector
  kIrq,        // a device interrupt, cause_ref is its number
  kWorkqueue,  // a work item: Wake::cause_ref is its index in Timeline::works(), kNone when that is not known
  kIpi,        // an interrupt sent by another CPU
  kSent,       // network receive processing of a packet that the thread Wake::cause_ref has sent on this machine
};

// Wake::flags
inline constexpr std::uint8_t kWakeLost = 1;    // the waking itself is missing, only its consequence was seen
inline constexpr std::uint8_t kWakeEarly = 2;   // came while the sleeper was still switching out
inline constexpr std::uint8_t kWakeMerged = 4;  // one event told of the waking and the enqueue
inline constexpr std::uint8_t kWakeOtherTimer = 8;  // of CauseKind::kTimer: of none that a process sets for itself

struct Wake {
  std::uint64_t ts_ns = 0;
  std::uint64_t enqueued_ns = 0;  // put on a queue; 0: not seen
  ThreadId waker = kNoThread;     // current task of the waking CPU: the waker, when ctx is a task's
  std::uint32_t cause_ref = 0;
  std::uint16_t cpu = kNoCpu;  // where the waker ran
  std::uint16_t waker_nr = KF_WAKER_NO_SYS;
  CauseKind cause = CauseKind::kNotNoted;
  std::uint8_t ctx = KF_CTX_TASK;
  std::uint8_t flags = 0;
  std::uint8_t signal = 0;  // the signal it came with; 0: none
};
static_assert(sizeof(Wake) == 32);

// A runnable thread goes to another queue.
struct Move {
  std::uint64_t ts_ns = 0;
  std::uint32_t next = kNone;  // further move of the same wait
  std::uint16_t cpu = kNoCpu;
  std::uint16_t reserved = 0;
};
static_assert(sizeof(Move) == 16);

// Call::flags
inline constexpr std::uint8_t kCallEnterKnown = 1;  // begin_ns is the entry; without it the call was first noticed then
inline constexpr std::uint8_t kCallReturned = 2;    // end_ns and ret are known
inline constexpr std::uint8_t kCallLeft = 4;        // the thread has waited outside of it since: the return is lost

// A system call of one thread. Where entries are not traced one record stands for all equal calls in a row.
struct Call {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;  // without a return: the last switch-out in which the thread was seen in it
  std::int64_t ret = 0;
  std::uint64_t arg0 = 0;
  std::uint32_t arg1 = 0, arg2 = 0, arg3 = 0;  // low halves
  std::uint16_t nr = 0;
  std::uint8_t abi : 2;
  std::uint8_t args_taken : 6;
  std::uint8_t flags = 0;

  Call() : abi(0), args_taken(0) {}
  bool enter_known() const noexcept { return flags & kCallEnterKnown; }
  bool returned() const noexcept { return flags & kCallReturned; }
  bool left() const noexcept { return flags & kCallLeft; }
};
static_assert(sizeof(Call) == 48);

// From begin_ns on `thread` has the CPU.
struct Occupancy {
  std::uint64_t begin_ns = 0;
  ThreadId thread = kNoThread;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(Occupancy) == 16);

// A request to a block device, from the events of the block layer. A time of 0 is not known.
struct BlockRequest {
  std::uint64_t queued_ns = 0;
  std::uint64_t issued_ns = 0;
  std::uint64_t completed_ns = 0;
  ThreadId submitter = kNoThread;
  std::uint32_t dev = 0;       // major << 20 | minor
  std::uint32_t bytes = 0;     // 0: not known, nor is op
  std::uint32_t work = kNone;  // in Timeline::works(): what its submitter, a kworker, executed
  std::uint8_t op = 0;         // REQ_OP_*
  bool failed = false;
  bool issue_guessed = false;  // nothing told of the issue: issued_ns is queued_ns
};

// A work item that a kworker executed, and how it came to be queued.
struct WorkRun {
  std::uint64_t function = 0;  // address in the kernel
  std::uint64_t started_ns = 0;
  ThreadId worker = kNoThread;
  std::uint32_t first_of_function = 0;  // index of the first run of the same function
  Wake queued;                          // like a waking of the item; ts_ns is 0 when it was not seen
};

// What else is known of an interval: who is behind it.
struct IntervalNote {
  enum class Kind : std::uint8_t {
    kMutex,     // a mutex of the kernel that `other` held when the wait began
    kRtMutex,   // a PI futex, or any lock of a PREEMPT_RT kernel
    kRwsem,     // a rw_semaphore of the kernel; `other` had locked it for writing
    kMmapLock,  // the same, that of the thread's address space
    kStop,      // `other` sent the signal that stopped the thread
    kQuota,     // the group `object` has used up its CPU quota
  };
  std::uint64_t begin_ns = 0;  // of the interval
  std::uint64_t object = 0;    // address of the lock, or the group
  ThreadId other = kNoThread;
  Kind kind = Kind::kMutex;
  std::uint8_t signal = 0;  // kStop
};

}  // namespace kflight::model
