// SPDX-License-Identifier: Apache-2.0
#include "analyze/explain_words.hpp"

#include <fmt/format.h>

#include "analyze/explain_stacks.hpp"
#include "base/escape.hpp"
#include "base/units.hpp"
#include "dump/code_names.hpp"
#include "dump/kernel_names.hpp"
#include "dump/syscalls.hpp"
#include "model/descriptors.hpp"

namespace kflight::analyze {

using model::kNone;

namespace {

std::string thread_text(const ExplainedOperation& e, model::ThreadId id) {
  return model::thread_name(e.timeline(), id, e.explanation.end_ns);
}

// The part of a disk or CPU row that one of its lines is.
std::string part_text(const BlameLine& line) {
  const auto disk = [&line](std::string_view step) {
    return line.by_op ? fmt::format("{} {}", dump::block_op_name(static_cast<std::uint8_t>(line.detail)), step)
                      : std::string(step);
  };
  switch (line.category) {
    case Category::kDiskBeforeSubmit:
      return disk("before submit");
    case Category::kDiskQueue:
      return disk(line.detail & kHeldBack ? "held back by an I/O limit" : "queue");
    case Category::kDiskService:
      return disk("service");
    case Category::kDiskCompletion:
      return disk("completion");
    case Category::kWorkqueue:
      switch (static_cast<model::State>(line.detail)) {
        case model::State::kRunning:
          return "the kworker ran";
        case model::State::kRunnable:
          return "the kworker waited for a CPU";
        case model::State::kUnknown:
          return "what the kworker did is not known";
        default:
          return "the kworker slept";
      }
    case Category::kCpuUser:
      return "user";
    case Category::kCpuSys:
      return dump::syscall_name(line.detail & 0xffff, line.detail >> 16);
    default:
      return "user or kernel";
  }
}

std::string parts_text(const BlameRow& row) {
  constexpr std::size_t kMost = 4;
  std::string text;
  for (std::size_t i = 0; i < row.lines.size() && i < kMost; ++i)
    text += fmt::format("{}{} {}", i == 0 ? "" : ", ", part_text(row.lines[i]), duration_text(row.lines[i].ns));
  return row.lines.size() > kMost ? text + ", ..." : text;
}

// The thread whose state the largest part of the row is: for a wait that ends a chain the one that waited.
model::ThreadId sufferer(const ExplainedOperation& e, const BlameRow& row) {
  const ChainNode& node = e.blame.nodes[row.node];
  return node.thread != model::kNoThread ? node.thread : e.blame.nodes[node.parent].thread;
}

std::string cpu_text(std::uint16_t cpu) { return cpu == model::kNoCpu ? "the CPUs" : fmt::format("CPU {}", cpu); }

// A cause that needs no numbers. `whose` is the thread it held up.
std::string plain_text(Category category, const Who& whom, const std::string& who, const std::string& whose,
                       std::uint16_t cpu) {
  switch (category) {
    case Category::kContention:
      return fmt::format("{} had {} while {} was runnable", who, cpu_text(cpu), whose);
    case Category::kWakeLatency:
      return fmt::format("idle {} waking up for {}", who, whose);
    case Category::kEnqueue:
      return fmt::format("{} on its way to a run queue", whose);
    case Category::kCpuQuota:
      return fmt::format("{} out of its cgroup's CPU quota", whose);
    case Category::kIrq:
      return whom.id & kTookCpu ? fmt::format("{} interrupted {}", who, cpu_text(cpu)) : "interrupts";
    case Category::kNetwork:
      return fmt::format("network: {} waited for the other end", whose);
    case Category::kTimer:
      return fmt::format("timer set by {} itself", who);
    case Category::kTimerOvershoot:
      return "timer late";
    case Category::kWorkqueue:
      return whom.kind == Who::Kind::kWork ? fmt::format("{} waited for a kworker", who)
                                           : "work item of the kernel, started by a timer";
    case Category::kStopped:
      if (whom.kind == Who::Kind::kThread && who != whose) return fmt::format("{} stopped by {}", whose, who);
      return fmt::format("{} stopped by a signal or a tracer", whose);
    case Category::kRcu:
      return "RCU grace period";
    case Category::kKernelUnattributed:
      return fmt::format("{} woken by the kernel, cause not recorded", whose);
    case Category::kStillBlocked:
      return fmt::format("{} still waiting when the window ended", who);
    case Category::kUnknown:
      return whom.kind == Who::Kind::kCpu ? fmt::format("{} was runnable, nobody knows who had {}", whose, who)
                                          : fmt::format("not known what {} did", whose);
    default:
      return who;
  }
}

}  // namespace

std::string duration_text(std::uint64_t ns) { return format_duration(static_cast<std::int64_t>(ns)); }

std::string percent_text(std::uint64_t ns, std::uint64_t of_ns) {
  return fmt::format("{:.1f} %", of_ns == 0 ? 0.0 : 100.0 * static_cast<double>(ns) / static_cast<double>(of_ns));
}

std::string who_text(const ExplainedOperation& e, const Who& who) {
  switch (who.kind) {
    case Who::Kind::kThread:
    case Who::Kind::kCgroup:
      return thread_text(e, who.id);
    case Who::Kind::kCpu:
      return who.id == model::kNoCpu ? "an unknown CPU" : fmt::format("CPU {}", who.id);
    case Who::Kind::kDisk:
      return who.id == 0 ? "disk" : fmt::format("disk {}:{}", who.id >> 20, who.id & 0xfffff);
    case Who::Kind::kNetwork:
      return "network";
    case Who::Kind::kKernel:
      return "kernel";
    case Who::Kind::kIrq:
      return who.id & kTookCpu ? dump::interrupt_name(who.id >> 16 & 0xf, who.id & 0xffff) : "interrupt";
    case Who::Kind::kWork:
      return "work item " + function_text(e, e.timeline().works()[who.id].function);
  }
  return "unknown";
}

std::string row_text(const ExplainedOperation& e, const BlameRow& row) {
  const std::string who = who_text(e, row.who);
  const Category category = row.lines.front().category;
  switch (category) {
    case Category::kCpu:
    case Category::kCpuUser:
    case Category::kCpuSys: {
      const bool split = row.lines.size() > 1 || category != Category::kCpu;
      return fmt::format("{} on CPU{}{}", who, split ? fmt::format(" ({})", parts_text(row)) : "",
                         hottest_text(e, row.who));
    }
    case Category::kDiskBeforeSubmit:
    case Category::kDiskQueue:
    case Category::kDiskService:
    case Category::kDiskCompletion:
      return fmt::format("{} ({})", who, parts_text(row));
    case Category::kWorkqueue:
      if (row.who.kind == Who::Kind::kWork) return fmt::format("{} waited for a kworker ({})", who, parts_text(row));
      break;
    default:
      break;
  }
  const std::string whose = thread_text(e, sufferer(e, row));
  if (category == Category::kContention && row.culprits > 1)
    return fmt::format("{} threads named {} had the CPU while {} was runnable", row.culprits, who, whose);
  return plain_text(category, row.who, who, whose, row.cpu);
}

std::string leaf_text(const ExplainedOperation& e, const Leaf& leaf) {
  const std::string who = who_text(e, leaf.who);
  switch (leaf.category) {
    case Category::kCpu:
      return fmt::format("{} on CPU", who);
    case Category::kCpuUser:
      return fmt::format("{} on CPU, user code", who);
    case Category::kCpuSys:
      return fmt::format("{} on CPU, {}", who, dump::syscall_name(leaf.detail & 0xffff, leaf.detail >> 16));
    case Category::kDiskBeforeSubmit:
      return fmt::format("{}: before submit", who);
    case Category::kDiskQueue:
      return fmt::format("{}: queue", who);
    case Category::kDiskService:
      return fmt::format("{}: service", who);
    case Category::kDiskCompletion:
      return fmt::format("{}: completion", who);
    default:
      return plain_text(leaf.category, leaf.who, who, thread_text(e, leaf.thread), leaf.cpu);
  }
}

std::string cause_text(const ExplainedOperation& e, const BlameRow& row) {
  switch (row.lines.front().category) {
    case Category::kDiskBeforeSubmit:
    case Category::kDiskQueue:
    case Category::kDiskService:
    case Category::kDiskCompletion:
      return who_text(e, row.who);
    default:
      return row_text(e, row);
  }
}

std::string chain_text(const ExplainedOperation& e, std::uint32_t index) {
  std::string text;
  for (std::uint32_t i = index; i != kNone; i = e.blame.nodes[i].parent) {
    const ChainNode& node = e.blame.nodes[i];
    if (node.thread == model::kNoThread) continue;
    text = text.empty() ? thread_text(e, node.thread) : fmt::format("{} > {}", thread_text(e, node.thread), text);
  }
  return text;
}

std::string wait_text(const ExplainedOperation& e, const ChainNode& node) {
  const Hop& hop = e.explanation.hops[node.hop];
  if (hop.interval == kNone) return "its birth";
  const model::Thread& thread = e.timeline().thread(hop.thread);
  const model::Interval& blocked = thread.intervals[hop.interval];
  const model::WaitKind kind = model::wait_kind(thread, blocked);
  const bool says_nothing =
      blocked.call() == kNone && kind != model::WaitKind::kPageFault && kind != model::WaitKind::kKernelLock;
  std::string text = says_nothing ? "" : model::wait_object(e.trace, thread, blocked);
  const std::string how = how_text(e, hop);
  if (how.empty()) return text;
  return text.empty() ? how : fmt::format("{} ({})", text, how);
}

std::string wait_and_place_text(const ExplainedOperation& e, const ChainNode& node) {
  const std::string place = wait_place_text(e, e.explanation.hops[node.hop]);
  const std::string wait = wait_text(e, node);
  return wait.empty() && !place.empty() ? "a wait" + place : wait + place;
}

std::string category_text(Category category) {
  switch (category) {
    case Category::kCpu:
      return "on CPU";
    case Category::kCpuUser:
      return "on CPU, user code";
    case Category::kCpuSys:
      return "on CPU, system calls";
    case Category::kContention:
      return "runnable, CPU busy";
    case Category::kWakeLatency:
      return "runnable, CPU waking up";
    case Category::kEnqueue:
      return "on its way to a run queue";
    case Category::kCpuQuota:
      return "out of CPU quota";
    case Category::kStopped:
      return "stopped";
    case Category::kStillBlocked:
      return "still waiting";
    default: {
      std::string text(category_name(category));
      for (char& c : text)
        if (c == ':' || c == '-') c = ' ';
      return text;
    }
  }
}

}  // namespace kflight::analyze
