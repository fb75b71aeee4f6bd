// SPDX-License-Identifier: Apache-2.0
//
// decoder.hpp - what a chunk's words say: steps through one chunk and fills in a typed event at a time.
//
// The words are untrusted. The cursor never reads beyond them; a generic event it does not know, or one too short for
// its kind, becomes an UnknownEvent of the length it claims; where no length can be trusted the chunk ends, damaged()
// says so and damage_word() where. No allocation, no state shared between cursors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kflight/event.hpp"
#include "kflight/wire.h"

namespace kflight::dump {

class ChunkCursor {
 public:
  ChunkCursor() = default;
  // Both must outlive the cursor and the string views of its events. Looks at the header's lane, flags, times and
  // current task, and at no more than n_words of `words`; fewer of them are damage.
  ChunkCursor(const kf_chunk& head, std::span<const kf_u64> words) noexcept;

  // False at the end; `out` is unspecified then.
  bool next(Event& out) noexcept;

  std::uint32_t current_tid() const noexcept { return current_; }  // after the last event
  std::uint64_t now_ns() const noexcept { return now_ns_; }        // time of the last event
  std::uint32_t decoded() const noexcept { return decoded_; }      // events so far
  bool damaged() const noexcept { return damaged_; }
  std::size_t words_used() const noexcept { return at_; }
  std::size_t damage_word() const noexcept { return at_; }  // with damaged(): the first that could not be used

 private:
  template <class E>
  E& start(Event& out) const noexcept;
  bool fail(std::size_t first) noexcept;
  bool take(kf_u64& word) noexcept;
  bool take(kf_sys& sys) noexcept;

  bool decode_switch(kf_u64 w, Event& out) noexcept;
  bool decode_waking(kf_u64 w, Event& out) noexcept;
  void decode_wakeup(kf_u64 w, Event& out) noexcept;
  bool decode_syscall(kf_u64 w, Event& out) noexcept;
  bool decode_generic(kf_u64 w, Event& out) noexcept;
  void decode_known_generic(kf_u64 w, std::span<const kf_u64> event, Event& out) const noexcept;
  void decode_cause_event(kf_u64 w, std::span<const kf_u64> event, Event& out) const noexcept;

  const kf_u64* words_ = nullptr;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::uint64_t now_ns_ = 0;
  std::uint32_t current_ = 0;
  std::uint32_t decoded_ = 0;
  std::uint16_t lane_ = 0;
  bool nested_ = false;
  bool short_ = false;  // fewer words than the header promises
  bool damaged_ = false;
};

}  // namespace kflight::dump
