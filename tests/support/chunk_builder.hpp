// SPDX-License-Identifier: Apache-2.0
//
// chunk_builder.hpp - chunks as the kernel would send them, written down event by event:
//
//   ChunkBuilder lane0(0, {.start = 10us, .cur_tid = 5});
//   BuiltChunk first = lane0.at(12us).switch_to(7, KF_ST_SLEEP).after(800ns).woken(9, {.cpu = 1}).build();
//   BuiltChunk second = lane0.after(5ms).waking(11).build();   // same lane: numbers, times and current task continue
//
// Every word comes from wire.h's own kf_pack_* functions. Gaps beyond KF_DT_MASK become TIME words; the header's
// counts, times and sequence numbers follow from what was put in.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "kflight/wire.h"

namespace kflight::test {

using namespace std::chrono_literals;
using Nanos = std::chrono::nanoseconds;

struct BuiltChunk {
  kf_chunk head{};
  std::vector<kf_u64> words;

  // The header and the words in one piece, as they stand in the ring, the window and the dump.
  std::vector<std::byte> bytes() const {
    std::vector<std::byte> out(sizeof head + words.size() * sizeof(kf_u64));
    std::memcpy(out.data(), &head, sizeof head);
    if (!words.empty()) std::memcpy(out.data() + sizeof head, words.data(), words.size() * sizeof(kf_u64));
    return out;
  }
};

// A call with the arguments of a test's choice.
inline kf_sys call(kf_u32 nr, std::initializer_list<kf_u64> args = {}, kf_u16 abi = KF_ABI_NATIVE) {
  kf_sys sys{};
  sys.nr = nr;
  sys.abi = abi;
  sys.args_taken = args.size() == 0   ? KF_ARGS_NONE
                   : args.size() == 1 ? KF_ARGS_0
                   : args.size() <= 3 ? KF_ARGS_012
                                      : KF_ARGS_0123;
  std::size_t i = 0;
  for (kf_u64 arg : args) sys.args[i++] = arg;
  return sys;
}

struct SwitchOptions {
  bool preempt = false, iowait = false, throttled = false;
  kf_u32 nsw = 0;
  std::optional<kf_sys> sys = {};
  std::optional<Nanos> in_call_for = {};  // time since the call was entered
  std::optional<kf_u64> prio = {};        // of kf_pack_prio
};

struct WakingOptions {
  kf_u32 cpu = 0;          // last ran there; of woken(): put on that queue
  Nanos delay = Nanos(0);  // of woken(): from the waking to the enqueue
  kf_u32 ctx = KF_CTX_TASK;
  kf_u32 waker_nr = KF_WAKER_NO_SYS;
  kf_u32 prio = KF_DEFAULT_PRIO;
  kf_u32 cause = KF_CAUSE_NONE, detail = 0;
  std::vector<kf_u64> cause_args = {};
};

struct SyscallOptions {
  Nanos took = Nanos(100);
  bool entry_unknown = false;
  bool blocked = false;
  std::optional<kf_sys> args = {};
};

struct ForkOptions {
  bool is_thread = false;
  kf_u64 start_ns = 0, cgroup_id = 1;
  std::string_view comm = "child";
};

class ChunkBuilder {
 public:
  struct Start {
    Nanos start = Nanos(0);
    kf_u32 cur_tid = 0;
    kf_u32 seq = 0;
    kf_u64 events_before = 0;
    kf_u64 nested_before = 0;
  };

  explicit ChunkBuilder(kf_u16 lane) : ChunkBuilder(lane, Start{}) {}
  ChunkBuilder(kf_u16 lane, Start start)
      : lane_(lane),
        now_ns_(ns(start.start)),
        last_ns_(now_ns_),
        base_ns_(now_ns_),
        running_(start.cur_tid),
        chunk_cur_(start.cur_tid),
        seq_(start.seq),
        events_before_(start.events_before),
        nested_(start.nested_before) {}

  // When the next event happens.
  ChunkBuilder& at(Nanos time) { return now_ns_ = ns(time), *this; }
  ChunkBuilder& after(Nanos time) { return now_ns_ += ns(time), *this; }

  // Header fields of the chunk being filled.
  ChunkBuilder& seq(kf_u32 number) { return seq_ = number, *this; }
  ChunkBuilder& events_before(kf_u64 count) { return events_before_ = count, *this; }
  ChunkBuilder& nested_before(kf_u64 count) { return nested_ = count, *this; }
  ChunkBuilder& flags(kf_u16 flags) { return flags_ = flags, *this; }
  // This chunk is the one event of an interrupt, number `number` of its lane.
  ChunkBuilder& nested(kf_u64 number) { return flags(KF_CHUNK_NESTED).nested_before(number); }

  // Who runs from here on: the header's task while the chunk is empty, a CURRENT word later.
  ChunkBuilder& current(kf_u32 tid) {
    if (words_.empty())
      chunk_cur_ = tid;
    else
      words_.push_back(kf_pack_current(tid));
    running_ = tid;
    return *this;
  }

  ChunkBuilder& switch_to(kf_u32 next, kf_u32 state = KF_ST_SLEEP, const SwitchOptions& o = {}) {
    const kf_u32 follows =
        (o.sys ? KF_SWITCH_SYS : 0) | (o.in_call_for ? KF_SWITCH_ENTER : 0) | (o.prio ? KF_SWITCH_PRIO : 0);
    const kf_u64 dt = step();
    words_.push_back(kf_pack_switch(dt, next, state, o.preempt, o.iowait, o.throttled, o.nsw, follows));
    if (o.sys) put_sys(*o.sys);
    if (o.in_call_for) words_.push_back(ns(*o.in_call_for));
    if (o.prio) words_.push_back(*o.prio);
    running_ = next;
    return count();
  }

  // A waking whose wakeup is an event of its own (wakeup()).
  ChunkBuilder& waking(kf_u32 wakee, const WakingOptions& o = {}) {
    const kf_u64 dt = step();
    words_.push_back(kf_pack_waking(dt, wakee, o.ctx, 0, o.cpu));
    words_.push_back(kf_pack_waking2(0, o.waker_nr, o.prio, o.cause, o.detail, kf_u32(o.cause_args.size())));
    words_.insert(words_.end(), o.cause_args.begin(), o.cause_args.end());
    return count();
  }
  // A waking and its wakeup in one event, merged the way the kernel side does it.
  ChunkBuilder& woken(kf_u32 wakee, const WakingOptions& o = {}) {
    waking(wakee, o);
    const std::size_t at = words_.size() - 2 - o.cause_args.size();
    words_[at] = kf_merge_wakeup(words_[at], o.cpu);
    words_[at + 1] = kf_merge_delay(words_[at + 1], ns(o.delay));
    ++hits_;
    return *this;
  }
  ChunkBuilder& wakeup(kf_u32 wakee, kf_u32 cpu, bool is_new = false, bool throttled = false) {
    return word(kf_pack_wakeup(step(), wakee, cpu, is_new, throttled));
  }
  ChunkBuilder& migrate(kf_u32 tid, kf_u32 orig, kf_u32 dest) {
    return generic(KF_GEN_MIGRATE, tid, {orig | kf_u64{dest} << 16});
  }
  ChunkBuilder& fork(kf_u32 parent, kf_u32 child, kf_u32 child_tgid, const ForkOptions& o = {}) {
    const auto [low, high] = comm_words(o.comm);
    return generic(KF_GEN_FORK, child | (o.is_thread ? KF_FORK_IS_THREAD : 0),
                   {child_tgid | kf_u64{parent} << 32, o.start_ns, o.cgroup_id, low, high});
  }
  ChunkBuilder& exec(kf_u32 new_tid, kf_u32 old_tid, std::string_view comm, std::string_view filename) {
    const auto [low, high] = comm_words(comm);
    std::vector<kf_u64> rest{old_tid | kf_u64{filename.size()} << 32, low, high};
    rest.resize(3 + (filename.size() + 7) / 8);
    if (!filename.empty()) std::memcpy(rest.data() + 3, filename.data(), filename.size());
    return generic(KF_GEN_EXEC, new_tid, rest);
  }
  ChunkBuilder& exit(kf_u32 tid, bool group_dead = false, kf_u32 code = 0) {
    return generic(KF_GEN_EXIT, tid | (group_dead ? KF_EXIT_GROUP_DEAD : 0), {code});
  }
  ChunkBuilder& rename(kf_u32 tid, std::string_view comm) {
    const auto [low, high] = comm_words(comm);
    return generic(KF_GEN_RENAME, tid, {low, high});
  }
  ChunkBuilder& syscall(kf_u32 nr, kf_s64 ret = 0, const SyscallOptions& o = {}) {
    kf_u64 head_words[3];
    const kf_u64 dt = step();
    const kf_u64 took = o.entry_unknown ? KF_DUR_UNKNOWN : ns(o.took);
    const kf_u32 n = kf_put_syscall(head_words, dt, nr < KF_SYS_NR_ESCAPE ? nr : KF_SYS_NR_ESCAPE, took, ret, o.blocked,
                                    o.args ? 1 : 0);
    words_.insert(words_.end(), head_words, head_words + n);
    if (o.args) put_sys(*o.args);
    return count();
  }
  ChunkBuilder& syscall_open(const kf_sys& sys, Nanos since_entry) {
    kf_u64 packed[4];
    const kf_u32 n =
        kf_put_sys(packed, sys.nr, sys.abi, sys.args_taken, sys.args[0], sys.args[1], sys.args[2], sys.args[3]);
    std::vector<kf_u64> rest{ns(since_entry)};
    rest.insert(rest.end(), packed, packed + n);
    return generic(KF_GEN_SYSCALL_OPEN, 0, rest);
  }
  ChunkBuilder& block(kf_u32 phase, kf_u32 op, kf_u64 request, kf_u32 bytes, kf_u64 sector, kf_u32 major = 254,
                      kf_u32 minor = 0, kf_u32 ctx = KF_CTX_TASK) {
    const kf_u64 dt = step();
    words_.insert(words_.end(),
                  {kf_pack_block(dt, phase, op, ctx, 0), request, kf_block_device(bytes, major, minor), sector});
    return count();
  }
  ChunkBuilder& work(kf_u64 function, Nanos running_for, Nanos queued_for, kf_u32 queuer, kf_u32 queue_cpu) {
    return generic(KF_GEN_WORK, queuer | KF_WORK_QUEUE_KNOWN,
                   {function, ns(running_for), ns(queued_for),
                    kf_pack_waking2(queue_cpu, KF_WAKER_NO_SYS, 0, KF_CAUSE_BLOCK, 7, 2), 11, 12});
  }
  ChunkBuilder& signal(kf_u32 target, kf_u32 number, kf_u32 target_tgid) {
    return generic(KF_GEN_SIGNAL, target | KF_SIGNAL_GROUP, {number | kf_u64{target_tgid} << 32});
  }
  ChunkBuilder& lock_wait(kf_u32 owner, kf_u64 lock, kf_u32 kind = KF_LOCK_MUTEX) {
    return generic(KF_GEN_LOCK_WAIT, owner | kind << 22, {lock});
  }
  ChunkBuilder& interrupts(Nanos since, Nanos spent, kf_u32 count, kf_u32 cause = KF_CAUSE_SOFTIRQ, kf_u32 detail = 3) {
    return generic(KF_GEN_INTERRUPTS, cause | detail << 4,
                   {kf_u64(since.count()), kf_u64(spent.count()) | kf_u64{count} << KF_INTERRUPTS_SPENT_BITS});
  }
  ChunkBuilder& throttle(kf_u64 group, kf_u64 cgroup_id) { return generic(KF_GEN_THROTTLE, 0, {group, cgroup_id}); }
  ChunkBuilder& refill(kf_u64 group, bool some_wait) { return generic(KF_GEN_REFILL, some_wait, {group}); }
  ChunkBuilder& stack(kf_u32 tid, kf_u32 role, kf_u64 kernel, kf_u64 user, kf_u32 lost = 0) {
    return generic(KF_GEN_STACK, tid | role << KF_TID_BITS | lost, {kernel, user});
  }
  // Told afterwards: of a wait its kernel stack, of a call its user stack.
  ChunkBuilder& waited(kf_u32 tid, kf_u64 kernel, kf_u64 user, kf_u64 since_ns, kf_u32 lost = 0) {
    const kf_u64 ago = now_ns_ - since_ns;
    return generic(KF_GEN_STACK, tid | KF_STACK_WAITED << KF_TID_BITS | lost, {kernel, user, ago});
  }
  // Any generic event, also of a kind nobody knows: its first word and the words after it.
  ChunkBuilder& generic(kf_u32 kind, kf_u32 payload26, const std::vector<kf_u64>& rest = {}) {
    const kf_u64 dt = step();
    words_.push_back(kf_word_generic(kind, 1 + rest.size(), dt, payload26));
    words_.insert(words_.end(), rest.begin(), rest.end());
    return count();
  }
  // One word as it is, not counted as an event: garbage for the tests of damage.
  ChunkBuilder& raw(kf_u64 w) { return words_.push_back(w), *this; }

  std::size_t word_count() const { return words_.size(); }
  bool empty() const { return words_.empty(); }

  // Seals the chunk and starts the next one of the lane. Building and throwing away is how a chunk gets lost.
  BuiltChunk build() {
    BuiltChunk out;
    const bool nested = (flags_ & KF_CHUNK_NESTED) != 0;
    out.head.magic = KF_CHUNK_MAGIC;
    out.head.flags = flags_;
    out.head.lane = lane_;
    out.head.n_words = kf_u16(words_.size());
    out.head.seq = nested ? 0 : seq_;
    out.head.cur_tid = chunk_cur_;
    out.head.base_ns = base_ns_;
    out.head.last_ns = last_ns_;
    out.head.events_before = nested ? 0 : events_before_;
    out.head.nested_before = nested_;
    out.head.n_events = events_;
    out.head.n_hits = hits_;
    out.words = std::move(words_);
    start_next(nested);
    return out;
  }

 private:
  static kf_u64 ns(Nanos time) { return kf_u64(time.count()); }

  static std::pair<kf_u64, kf_u64> comm_words(std::string_view comm) {
    char bytes[KF_COMM_BYTES] = {};
    kf_u64 words[2];
    std::memcpy(bytes, comm.data(), comm.size() < KF_COMM_BYTES ? comm.size() : KF_COMM_BYTES - 1);
    std::memcpy(words, bytes, sizeof words);
    return {words[0], words[1]};
  }

  // The next event's dt; puts a TIME word before it when it does not fit. A first event is at the chunk's base.
  kf_u64 step() {
    if (events_ == 0 && words_.empty()) base_ns_ = last_ns_ = now_ns_;
    kf_u64 dt = now_ns_ - last_ns_;
    last_ns_ = now_ns_;
    if (dt <= KF_DT_MASK) return dt;
    words_.push_back(kf_pack_time(dt));
    return 0;
  }
  ChunkBuilder& count() { return ++events_, ++hits_, *this; }
  ChunkBuilder& word(kf_u64 w) {
    words_.push_back(w);
    return count();
  }
  void put_sys(const kf_sys& s) {
    kf_u64 packed[4];
    const kf_u32 n = kf_put_sys(packed, s.nr, s.abi, s.args_taken, s.args[0], s.args[1], s.args[2], s.args[3]);
    words_.insert(words_.end(), packed, packed + n);
  }
  void start_next(bool nested) {
    words_ = {};
    chunk_cur_ = running_;
    base_ns_ = last_ns_;
    flags_ = 0;
    if (nested)
      ++nested_;
    else
      ++seq_, events_before_ += events_;
    events_ = hits_ = 0;
  }

  kf_u16 lane_;
  kf_u16 flags_ = 0;
  kf_u64 now_ns_, last_ns_, base_ns_;
  kf_u32 running_, chunk_cur_;
  kf_u32 seq_;
  kf_u64 events_before_, nested_;
  kf_u32 events_ = 0, hits_ = 0;
  std::vector<kf_u64> words_;
};

}  // namespace kflight::test
