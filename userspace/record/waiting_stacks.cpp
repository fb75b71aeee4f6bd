// SPDX-License-Identifier: Apache-2.0
#include "record/waiting_stacks.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <unordered_map>

#include "base/clocks.hpp"
#include "base/mutex.hpp"
#include "base/unique_fd.hpp"

namespace kflight::record {

namespace {

constexpr std::size_t kWord = sizeof(kf_u64);

// Memory of another process around its stack pointer, fetched a page at a time. A frame is rarely far from the one before.
// /proc/PID/mem waits for the process's mmap_lock in a way that being killed ends, which process_vm_readv does not.
class StackMemory {
 public:
  explicit StackMemory(std::uint32_t tgid) : fd_(::open(fmt::format("/proc/{}/mem", tgid).c_str(), O_RDONLY | O_CLOEXEC)) {}

  // False: not mapped, or not ours to read.
  bool read(kf_u64 address, kf_u64& word) {
    if (address % kWord != 0) return false;
    if (address / kBytes != page_ && !fetch(address / kBytes)) return false;
    std::memcpy(&word, bytes_.data() + address % kBytes, kWord);
    return true;
  }

 private:
  static constexpr std::size_t kBytes = 4096;

  bool fetch(kf_u64 page) {
    const bool whole = fd_ && ::pread(fd_.get(), bytes_.data(), kBytes, static_cast<off_t>(page * kBytes)) == ssize_t{kBytes};
    page_ = whole ? page : kNoPage;
    return whole;
  }

  static constexpr kf_u64 kNoPage = ~kf_u64{0};
  const UniqueFd fd_;
  kf_u64 page_ = kNoPage;
  std::array<std::byte, kBytes> bytes_{};
};

// The innermost address, then return addresses along the frame pointers, which only ever lead upwards.
std::vector<kf_u64> walk(StackMemory& memory, const kf_waiter& waiter, std::uint32_t max_frames) {
  std::vector<kf_u64> frames{waiter.ip};
  kf_u64 frame = waiter.fp;
  for (kf_u64 lowest = waiter.sp; frames.size() < max_frames && frame >= lowest;) {
    kf_u64 caller_frame = 0, address = 0;
    if (!memory.read(frame, caller_frame) || !memory.read(frame + kWord, address) || address == 0) break;
    frames.push_back(address);
    lowest = frame + 2 * kWord;
    frame = caller_frame;
  }
  return frames;
}

// What put_tops() of stack.bpf.h takes.
std::vector<kf_u64> tops(StackMemory& memory, const kf_waiter& waiter) {
  std::vector<kf_u64> found;
  for (std::uint32_t i = 0; i < KF_STACK_TOP_WORDS && found.size() < KF_STACK_TOPS; ++i) {
    kf_u64 word = 0;
    if (!memory.read(waiter.sp + i * kWord, word)) break;
    const bool in_program = word >= waiter.text && word < waiter.text_end;
    const bool near = word - (waiter.ip - KF_STACK_LIBRARY_REACH) < 2 * KF_STACK_LIBRARY_REACH;
    if (in_program || near) found.push_back(kf_pack_top(i, word));
  }
  return found;
}

// What a dump asked for, and the thread that reads for it brings.
struct Reading {
  Mutex mutex;
  std::vector<WaitingStack> stacks KF_GUARDED_BY(mutex);
  bool over KF_GUARDED_BY(mutex) = false;  // the dump waits no more

  bool put(std::size_t index, std::vector<std::byte> user) KF_EXCLUDES(mutex) {
    MutexLock lock(mutex);
    if (!over) stacks[index].user = std::move(user);
    return !over;
  }
  std::vector<WaitingStack> take() KF_EXCLUDES(mutex) {
    MutexLock lock(mutex);
    over = true;
    return std::move(stacks);
  }
};

}  // namespace

std::vector<std::byte> read_user_stack(const kf_waiter& waiter, std::uint32_t max_frames) {
  if (waiter.ip == 0) return {};
  StackMemory memory(waiter.tgid);
  kf_u64 word = 0;
  if (!memory.read(waiter.sp & ~(kWord - 1), word)) return {};
  std::vector<kf_u64> words = walk(memory, waiter, max_frames);
  kf_stack head{};
  head.frames = static_cast<kf_u16>(words.size());
  const std::vector<kf_u64> near_top = tops(memory, waiter);
  head.tops = static_cast<kf_u8>(near_top.size());
  words.insert(words.end(), near_top.begin(), near_top.end());
  head.id = waiter.space;
  for (const kf_u64 w : words) head.id = kf_stack_mix(head.id, w);
  head.id = std::max<kf_u64>(head.id, 1);
  head.sent_ns = boottime_ns();
  head.tgid = waiter.tgid;
  head.flags = static_cast<kf_u8>(KF_STACK_USER | (head.frames >= max_frames ? KF_STACK_TRUNCATED : 0));
  std::vector<std::byte> record(sizeof head + words.size() * kWord);
  std::memcpy(record.data(), &head, sizeof head);
  std::memcpy(record.data() + sizeof head, words.data(), words.size() * kWord);
  return record;
}

std::vector<WaitingStack> read_waiting_stacks(PatientThread& thread, std::span<const kf_waiter> waiters,
                                              const UserStackReader& read) {
  const auto reading = std::make_shared<Reading>();
  {
    MutexLock lock(reading->mutex);
    for (const kf_waiter& waiter : waiters) reading->stacks.push_back({waiter, {}});
  }
  const auto job = [reading, read, all = std::vector(waiters.begin(), waiters.end())] {
    for (std::size_t i = 0; i < all.size(); ++i)
      if (!reading->put(i, read(all[i]))) return;
  };
  if (!waiters.empty()) thread.finish(job, PatientThread::Place::kFirst);
  return reading->take();
}

std::vector<WaitingStack> still_waiting(std::vector<WaitingStack> stacks, std::span<const kf_task> tasks) {
  std::unordered_map<std::uint32_t, const kf_task*> by_tid;
  for (const kf_task& task : tasks) by_tid.emplace(task.tid, &task);
  std::erase_if(stacks, [&](const WaitingStack& stack) {
    const auto task = by_tid.find(stack.waiter.tid);
    return task == by_tid.end() || task->second->flags & KF_TASK_ON_CPU ||
           task->second->nvcsw + task->second->nivcsw != stack.waiter.switches;
  });
  return stacks;
}

}  // namespace kflight::record
