// SPDX-License-Identifier: Apache-2.0
//
// awaited_ends.hpp - dumps that show a call in flight, and how that call ended. The end may come before its dump is
// written, while it is, or long after; whichever comes second brings the two together. Pure logic. One thread.
//
//   expect --> written --> ended     or     expect --> ended --> written
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "kflight/dump.hpp"
#include "kflight/wire.h"

namespace kflight::record {

class AwaitedEnds {
 public:
  // So many calls may stay in flight for good before the oldest dump is left as it is.
  static constexpr std::size_t kMost = 256;

  // A dump for this cause will be written. Nothing is awaited unless it is about a call in flight.
  void expect(const Cause& cause);
  // Whether this is another firing of a call that a dump shows in flight, or will.
  bool awaits(const Cause& cause) { return cause.has_call && find(cause.tid, cause.enter_ns) != calls_.end(); }
  // It was not written.
  void forget(const Cause& cause);
  // It lies at `path`. The call's end, if that has come already: then nothing is awaited any more.
  std::optional<kf_ctl> written(const Cause& cause, const std::string& path);
  // A call has ended. Its dump, if that is written: then nothing is awaited any more. Ends of other calls are passed
  // over: of several calls that fire together one gets the dump.
  std::optional<std::string> ended(const kf_ctl& call);

  bool empty() const noexcept { return calls_.empty(); }

 private:
  struct Call {
    std::uint32_t tid;
    std::uint64_t enter_ns;
    std::string path;  // empty: yet to be written
    std::optional<kf_ctl> end;
  };
  using Place = std::deque<Call>::iterator;
  Place find(std::uint32_t tid, std::uint64_t enter_ns);
  Place find(const Cause& cause);

  std::deque<Call> calls_;  // oldest first
};

}  // namespace kflight::record
