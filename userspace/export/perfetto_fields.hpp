// SPDX-License-Identifier: Apache-2.0
//
// perfetto_fields.hpp - field numbers of the Perfetto messages we write, by message, as protos/perfetto/trace/*.proto
// numbers them. Only what is used.
#pragma once

#include <protozero/pbf_builder.hpp>

namespace kflight::exports::pf {

using Tag = protozero::pbf_tag_type;

enum class Trace : Tag { kPacket = 1 };

enum class Packet : Tag {
  kFtraceEvents = 1,
  kProcessTree = 2,
  kClockSnapshot = 6,
  kTimestamp = 8,
  kSequenceId = 10,  // trusted_packet_sequence_id
  kTrackEvent = 11,
  kSequenceFlags = 13,
  kSystemInfo = 45,
  kTrackDescriptor = 60,
};
inline constexpr std::uint32_t kStateCleared = 1, kNeedsState = 2;  // sequence_flags

enum class ClockSnapshot : Tag { kClocks = 1, kPrimaryTraceClock = 2 };
enum class Clock : Tag { kClockId = 1, kTimestamp = 2 };
inline constexpr std::uint32_t kRealtime = 1, kMonotonic = 3, kBoottime = 6;  // BuiltinClock

enum class SystemInfo : Tag { kUtsname = 1 };
enum class Utsname : Tag { kSysname = 1, kVersion = 2, kRelease = 3, kMachine = 4 };

enum class ProcessTree : Tag { kProcesses = 1, kThreads = 2 };
enum class Process : Tag { kPid = 1, kPpid = 2, kCmdline = 3 };
enum class Thread : Tag { kTid = 1, kName = 2, kTgid = 3 };

enum class Bundle : Tag { kCpu = 1, kEvent = 2, kLostEvents = 3, kCompactSched = 4, kPreviousBundleEnd = 10 };
enum class CompactSched : Tag {
  kSwitchTimestamp = 1,
  kSwitchPrevState = 2,
  kSwitchNextPid = 3,
  kSwitchNextPrio = 4,
  kInternTable = 5,
  kSwitchNextComm = 6,
  kWakingTimestamp = 7,
  kWakingPid = 8,
  kWakingTargetCpu = 9,
  kWakingPrio = 10,
  kWakingComm = 11,
  kWakingFlags = 12,
};

enum class FtraceEvent : Tag {
  kTimestamp = 1,
  kPid = 2,  // the current task
  kSchedBlockedReason = 18,
  kSchedWaking = 20,
  kTaskNewtask = 235,
  kTaskRename = 236,
  kSchedProcessFree = 240,
  kSysEnter = 329,
  kSysExit = 330,
};
enum class SchedBlockedReason : Tag { kPid = 1, kIoWait = 3 };
enum class SchedWaking : Tag { kComm = 1, kPid = 2, kPrio = 3, kSuccess = 4, kTargetCpu = 5 };
enum class TaskNewtask : Tag { kPid = 1, kComm = 2, kCloneFlags = 3 };
enum class TaskRename : Tag { kPid = 1, kOldcomm = 2, kNewcomm = 3 };
enum class SchedProcessFree : Tag { kComm = 1, kPid = 2, kPrio = 3 };
enum class SysEnter : Tag { kId = 1, kArgs = 2 };
enum class SysExit : Tag { kId = 1, kRet = 2 };

enum class TrackDescriptor : Tag { kUuid = 1, kName = 2, kThread = 4, kParentUuid = 5 };
enum class ThreadDescriptor : Tag { kPid = 1, kTid = 2 };
enum class TrackEvent : Tag { kDebugAnnotations = 4, kType = 9, kTrackUuid = 11, kCategories = 22, kName = 23 };
inline constexpr std::int32_t kSliceBegin = 1, kSliceEnd = 2, kInstant = 3;  // TrackEvent.Type
enum class DebugAnnotation : Tag { kUint = 3, kString = 6, kName = 10 };

template <class Field>
using Message = protozero::pbf_builder<Field>;

}  // namespace kflight::exports::pf
