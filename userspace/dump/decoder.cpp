// SPDX-License-Identifier: Apache-2.0
//
// Kinds with a fixed shape are read field by field; generic ones are checked against their own length first, because a
// newer kernel side may send kinds or fields that are not known here. Nothing is trusted but the span's size. The words
// may lie in a mapped file that somebody changes meanwhile: a check holds for the value it saw, not for the next read.
#include "dump/decoder.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace kflight::dump {
namespace {

kf_u64 read_once(const kf_u64& word) { return *static_cast<const volatile kf_u64*>(&word); }

// A time `before_ns` earlier than `ts_ns`; 0, "not known", when that is before the clock began.
std::uint64_t earlier(std::uint64_t ts_ns, std::uint64_t before_ns) {
  return before_ns < ts_ns ? ts_ns - before_ns : 0;
}

Comm comm_of(const kf_u64* words) {
  Comm comm;
  std::memcpy(comm.bytes.data(), words, comm.bytes.size());
  return comm;
}

// Words a generic kind has at least; 0 for kinds nobody has defined yet.
constexpr auto kMinWords = [] {
  std::array<std::uint8_t, 256> words{};
  words[KF_GEN_MIGRATE] = KF_MIGRATE_WORDS;
  words[KF_GEN_FORK] = KF_FORK_WORDS;
  words[KF_GEN_EXEC] = KF_EXEC_WORDS_MIN;
  words[KF_GEN_EXIT] = KF_EXIT_WORDS;
  words[KF_GEN_RENAME] = KF_RENAME_WORDS;
  words[KF_GEN_SYSCALL_OPEN] = 3;
  words[KF_GEN_BLOCK] = KF_BLOCK_WORDS;
  words[KF_GEN_WORK] = KF_WORK_WORDS;
  words[KF_GEN_SIGNAL] = KF_SIGNAL_WORDS;
  words[KF_GEN_LOCK_WAIT] = KF_LOCK_WAIT_WORDS;
  words[KF_GEN_THROTTLE] = KF_THROTTLE_WORDS;
  words[KF_GEN_REFILL] = KF_REFILL_WORDS;
  words[KF_GEN_INTERRUPTS] = KF_INTERRUPTS_WORDS;
  words[KF_GEN_STACK] = KF_STACK_WORDS;
  return words;
}();

constexpr std::uint32_t min_words(std::uint32_t generic_kind) {
  return generic_kind < kMinWords.size() ? kMinWords[generic_kind] : 0;
}

bool well_formed(kf_u64 w, std::span<const kf_u64> event) {
  const std::uint32_t kind = kf_generic_kind(w);
  if (min_words(kind) == 0 || event.size() < min_words(kind)) return false;
  if (kind == KF_GEN_EXEC) return event[1] >> 32 <= (event.size() - KF_EXEC_WORDS_MIN) * sizeof(kf_u64);
  if (kind == KF_GEN_SYSCALL_OPEN) return 2 + kf_sys_words(event[2]) <= event.size();
  return true;
}

// How many words the call at `in` takes; 0 when there are not so many. What it says of itself is read more than once,
// which matters only where the longest call would not fit: there from a copy.
std::size_t get_sys(const kf_u64* in, std::size_t left, kf_sys& sys) {
  constexpr std::size_t kLongest = 4;
  kf_u64 copy[kLongest] = {};
  if (left < kLongest) {
    std::copy_n(in, left, copy);
    in = copy;
  }
  const std::size_t words = kf_sys_words(read_once(*in));
  if (words > left) return 0;
  kf_get_sys(in, &sys);
  return words;
}

}  // namespace

ChunkCursor::ChunkCursor(const kf_chunk& head, std::span<const kf_u64> words) noexcept
    : words_(words.data()),
      end_(std::min<std::size_t>(words.size(), head.n_words)),
      now_ns_(head.base_ns),
      current_(head.cur_tid & KF_TID_MASK),
      lane_(head.lane),
      nested_((head.flags & KF_CHUNK_NESTED) != 0),
      short_(words.size() < head.n_words) {}

bool ChunkCursor::next(Event& out) noexcept {
  while (at_ < end_) {
    const std::size_t first = at_;
    const kf_u64 w = read_once(words_[at_++]);
    switch (kf_word_kind(w)) {
      case KF_EV_TIME:
        now_ns_ += kf_unpack_time(w);
        continue;
      case KF_EV_CURRENT:
        current_ = kf_unpack_current(w);
        continue;
      case KF_EV_SWITCH:
        if (!decode_switch(w, out)) return fail(first);
        break;
      case KF_EV_WAKING:
        if (!decode_waking(w, out)) return fail(first);
        break;
      case KF_EV_WAKEUP:
        decode_wakeup(w, out);
        break;
      case KF_EV_SYSCALL:
        if (!decode_syscall(w, out)) return fail(first);
        break;
      case KF_EV_GENERIC:
        if (!decode_generic(w, out)) return fail(first);
        break;
      default:
        return fail(first);
    }
    ++decoded_;
    return true;
  }
  if (short_) damaged_ = true;
  return false;
}

template <class E>
E& ChunkCursor::start(Event& out) const noexcept {
  E& event = out.emplace<E>();
  event.ts_ns = now_ns_;
  event.tid = current_;
  event.cpu = lane_;
  event.nested = nested_;
  return event;
}

bool ChunkCursor::fail(std::size_t first) noexcept {
  damaged_ = true;
  at_ = end_ = first;
  return false;
}

bool ChunkCursor::take(kf_u64& word) noexcept {
  if (at_ >= end_) return false;
  word = read_once(words_[at_++]);
  return true;
}

bool ChunkCursor::take(kf_sys& sys) noexcept {
  const std::size_t words = get_sys(words_ + at_, end_ - at_, sys);
  at_ += words;
  return words != 0;
}

bool ChunkCursor::decode_switch(kf_u64 w, Event& out) noexcept {
  now_ns_ += kf_word_dt(w);
  auto& e = start<SwitchEvent>(out);
  e.next_tid = kf_switch_next(w);
  e.prev_state = static_cast<std::uint8_t>(kf_switch_state(w));
  e.preempt = kf_switch_preempt(w) != 0;
  e.in_iowait = kf_switch_iowait(w) != 0;
  e.throttled = kf_switch_throttled(w) != 0;
  e.nsw = static_cast<std::uint8_t>(kf_switch_nsw(w));
  current_ = e.next_tid;
  const kf_u32 follows = kf_switch_follows(w);
  if (follows == 0) return true;
  kf_u64 word = 0;
  if (follows & KF_SWITCH_SYS) {
    if (!take(e.sys)) return false;
    e.has_sys = true;
  }
  if (follows & KF_SWITCH_ENTER) {
    if (!take(word)) return false;
    e.enter_ns = earlier(now_ns_, word);
  }
  if (follows & KF_SWITCH_PRIO) {
    if (!take(word)) return false;
    e.prev_prio = static_cast<std::uint8_t>(word);
    e.next_prio = static_cast<std::uint8_t>(word >> 8);
    e.prev_policy = static_cast<std::uint8_t>(word >> 16);
    e.next_policy = static_cast<std::uint8_t>(word >> 24);
  }
  return true;
}

bool ChunkCursor::decode_waking(kf_u64 w, Event& out) noexcept {
  kf_u64 w2 = 0;
  if (!take(w2)) return false;
  const kf_u32 cause_words = kf_waking2_cause_words(w2);
  if (cause_words > 2) return false;
  now_ns_ += kf_word_dt(w);
  auto& e = start<WakingEvent>(out);
  e.wakee = kf_waking_wakee(w);
  e.ctx = static_cast<std::uint8_t>(kf_waking_ctx(w));
  e.wakee_prio = static_cast<std::uint8_t>(kf_waking2_prio(w2));
  e.has_wakeup = kf_waking_merged(w) != 0;
  e.target_cpu = static_cast<std::uint16_t>(kf_waking_cpu(w));
  if (e.has_wakeup) e.wakeup_ns = now_ns_ + kf_waking2_delay(w2);
  e.waker_nr = static_cast<std::uint16_t>(kf_waking2_waker_nr(w2));
  e.cause = static_cast<std::uint8_t>(kf_waking2_cause(w2));
  e.cause_words = static_cast<std::uint8_t>(cause_words);
  e.cause_detail = kf_waking2_detail(w2);
  for (kf_u32 i = 0; i < cause_words; ++i)
    if (kf_u64 word = 0; take(word))
      e.cause_args[i] = word;
    else
      return false;
  return true;
}

void ChunkCursor::decode_wakeup(kf_u64 w, Event& out) noexcept {
  now_ns_ += kf_word_dt(w);
  auto& e = start<WakeupEvent>(out);
  e.wakee = kf_wakeup_wakee(w);
  e.target_cpu = static_cast<std::uint16_t>(kf_wakeup_cpu(w));
  e.is_new = kf_wakeup_new(w) != 0;
  e.throttled = kf_wakeup_throttled(w) != 0;
}

bool ChunkCursor::decode_syscall(kf_u64 w, Event& out) noexcept {
  now_ns_ += kf_word_dt(w);
  auto& e = start<SyscallEvent>(out);
  const kf_u32 follows = kf_syscall_follows(w);
  kf_u64 took_ns = kf_syscall_dur(w);
  e.nr = kf_syscall_nr(w);
  e.ret = kf_syscall_ret(w);
  e.was_switched_out = kf_syscall_blocked(w) != 0;
  if (follows & KF_SYSCALL_LONG) {
    kf_u64 word = 0;
    if (!take(word)) return false;
    took_ns = word & 0xffffffff;
    e.ret = static_cast<std::int32_t>(word >> 32);
  }
  if (follows & KF_SYSCALL_WIDE) {
    kf_u64 ret = 0;
    if (!take(took_ns) || !take(ret)) return false;
    e.ret = static_cast<std::int64_t>(ret);
  }
  if (follows & KF_SYSCALL_ARGS) {
    if (!take(e.sys)) return false;
    e.has_args = true;
    e.nr = e.sys.nr;
    e.abi = static_cast<std::uint8_t>(e.sys.abi);
  }
  if (took_ns != KF_DUR_UNKNOWN) e.enter_ns = earlier(now_ns_, took_ns);
  return true;
}

bool ChunkCursor::decode_generic(kf_u64 w, Event& out) noexcept {
  const std::size_t length = kf_generic_words(w);
  const std::size_t first = at_ - 1;
  if (length == 0 || length > end_ - first) return false;
  const std::span<const kf_u64> event(words_ + first, length);
  now_ns_ += kf_generic_dt(w);
  at_ = first + length;
  if (well_formed(w, event)) return decode_known_generic(w, event, out), true;
  auto& unknown = start<UnknownEvent>(out);
  unknown.generic_kind = static_cast<std::uint8_t>(kf_generic_kind(w));
  unknown.words = static_cast<std::uint8_t>(length);
  return true;
}

void ChunkCursor::decode_known_generic(kf_u64 w, std::span<const kf_u64> event, Event& out) const noexcept {
  const std::uint32_t payload = kf_generic_payload(w);
  const std::uint32_t tid = payload & KF_TID_MASK;
  const auto low = [&](std::size_t i) { return static_cast<std::uint32_t>(event[i]); };
  const auto high = [&](std::size_t i) { return static_cast<std::uint32_t>(event[i] >> 32); };
  switch (kf_generic_kind(w)) {
    case KF_GEN_MIGRATE: {
      auto& e = start<MigrateEvent>(out);
      e.migrated_tid = tid;
      e.orig_cpu = static_cast<std::uint16_t>(event[1] & KF_CPU_MASK);
      e.dest_cpu = static_cast<std::uint16_t>(event[1] >> 16 & KF_CPU_MASK);
      return;
    }
    case KF_GEN_FORK: {
      auto& e = start<ForkEvent>(out);
      e.child_tid = tid;
      e.is_thread = (payload & KF_FORK_IS_THREAD) != 0;
      e.child_tgid = low(1);
      e.parent_tid = high(1) & KF_TID_MASK;
      e.child_start_ns = event[2];
      e.cgroup_id = event[3];
      e.comm = comm_of(&event[4]);
      return;
    }
    case KF_GEN_EXEC: {
      auto& e = start<ExecEvent>(out);
      e.new_tid = tid;
      e.old_tid = low(1) & KF_TID_MASK;
      e.comm = comm_of(&event[2]);
      const auto name = std::as_bytes(event.subspan(KF_EXEC_WORDS_MIN));
      e.filename = {reinterpret_cast<const char*>(name.data()), std::min<std::size_t>(high(1), name.size())};
      return;
    }
    case KF_GEN_EXIT: {
      auto& e = start<ExitEvent>(out);
      e.exiting_tid = tid;
      e.group_dead = (payload & KF_EXIT_GROUP_DEAD) != 0;
      e.exit_code = low(1);
      return;
    }
    case KF_GEN_RENAME: {
      auto& e = start<RenameEvent>(out);
      e.renamed_tid = tid;
      e.comm = comm_of(&event[1]);
      return;
    }
    case KF_GEN_STACK: {
      auto& e = start<StackEvent>(out);
      e.stack_tid = tid;
      e.role = static_cast<std::uint8_t>(payload >> KF_TID_BITS & 3);
      e.kernel_lost = (payload & KF_STACK_LOST_KERNEL) != 0;
      e.user_lost = (payload & KF_STACK_LOST_USER) != 0;
      e.kernel_stack = event[1];
      e.user_stack = event[2];
      if (e.role == KF_STACK_WAITED && event.size() > KF_STACK_WORDS) e.since_ns = earlier(now_ns_, event[KF_STACK_WORDS]);
      return;
    }
    case KF_GEN_SYSCALL_OPEN: {
      auto& e = start<SyscallOpenEvent>(out);
      e.enter_ns = earlier(now_ns_, event[1]);
      get_sys(&event[2], event.size() - 2, e.sys);
      return;
    }
    default:  // well_formed() lets nothing else through
      return decode_cause_event(w, event, out);
  }
}

// The kinds that go with the cause register.
void ChunkCursor::decode_cause_event(kf_u64 w, std::span<const kf_u64> event, Event& out) const noexcept {
  const std::uint32_t payload = kf_generic_payload(w);
  const std::uint32_t tid = payload & KF_TID_MASK;
  const auto context = static_cast<std::uint8_t>(payload >> 22 & 3);
  switch (kf_generic_kind(w)) {
    case KF_GEN_BLOCK: {
      auto& e = start<BlockEvent>(out);
      e.phase = static_cast<std::uint8_t>(payload & 3);
      e.op = static_cast<std::uint8_t>(payload >> 2);
      e.ctx = static_cast<std::uint8_t>(payload >> 10 & 3);
      e.failed = (payload & KF_BLOCK_FAILED) != 0;
      e.request = event[1];
      e.bytes = static_cast<std::uint32_t>(event[2]);
      e.dev = static_cast<std::uint32_t>(event[2] >> 32);
      e.sector = event[3];
      return;
    }
    case KF_GEN_WORK: {
      auto& e = start<WorkEvent>(out);
      e.function = event[1];
      e.started_ns = earlier(now_ns_, event[2]);
      if (!(payload & KF_WORK_QUEUE_KNOWN)) return;
      e.queued_ns = earlier(now_ns_, event[3]);
      e.queuer_tid = tid;
      e.ctx = context;
      e.queue_cpu = static_cast<std::uint16_t>(kf_waking2_delay(event[4]) & KF_CPU_MASK);
      e.queuer_nr = static_cast<std::uint16_t>(kf_waking2_waker_nr(event[4]));
      e.cause = static_cast<std::uint8_t>(kf_waking2_cause(event[4]));
      e.cause_detail = kf_waking2_detail(event[4]);
      e.cause_args = {event[5], event[6]};
      return;
    }
    case KF_GEN_SIGNAL: {
      auto& e = start<SignalEvent>(out);
      e.target_tid = tid;
      e.target_tgid = static_cast<std::uint32_t>(event[1] >> 32);
      e.signal = static_cast<std::uint8_t>(event[1]);
      e.result = static_cast<std::uint8_t>(event[1] >> 8);
      e.ctx = context;
      e.to_process = (payload & KF_SIGNAL_GROUP) != 0;
      return;
    }
    case KF_GEN_LOCK_WAIT: {
      auto& e = start<LockWaitEvent>(out);
      e.owner_tid = tid;
      e.lock_kind = static_cast<std::uint8_t>(payload >> 22 & 15);
      e.lock = event[1];
      return;
    }
    case KF_GEN_THROTTLE: {
      auto& e = start<ThrottleEvent>(out);
      e.group = event[1];
      e.cgroup_id = event[2];
      return;
    }
    case KF_GEN_INTERRUPTS: {
      auto& e = start<InterruptsEvent>(out);
      const std::uint64_t took_ns = std::min<std::uint64_t>(event[1], now_ns_);
      e.since_ns = now_ns_ - took_ns;
      e.spent_ns = std::min<std::uint64_t>(event[2] & ((1ULL << KF_INTERRUPTS_SPENT_BITS) - 1), took_ns);
      e.count = static_cast<std::uint32_t>(event[2] >> KF_INTERRUPTS_SPENT_BITS);
      e.cause = static_cast<std::uint8_t>(payload & 15);
      e.cause_detail = static_cast<std::uint16_t>(payload >> 4);
      return;
    }
    default: {  // KF_GEN_REFILL
      auto& e = start<RefillEvent>(out);
      e.group = event[1];
      e.some_wait = (payload & 1) != 0;
    }
  }
}

}  // namespace kflight::dump
