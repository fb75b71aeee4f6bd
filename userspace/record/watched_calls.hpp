// SPDX-License-Identifier: Apache-2.0
//
// watched_calls.hpp - calls that fired while in flight, until their end is known or can no longer be learnt. The kernel
// tells the end of a call that it was asked to watch, but not of one that returned before it was asked, whose record
// the control ring had no room for, or whose thread never returned from it (exit). Those are found by no longer being
// in flight. Pure logic. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "kflight/dump_format.h"

namespace kflight::record {

class WatchedCalls {
 public:
  void add(const kf_open_call& call);
  // A KF_CTL_RESOLVED.
  void on_end(const kf_ctl& record);

  // `in_flight`: all calls of the target that have not returned. Of the watched calls that it lacks for the second time
  // in a row, a KF_CTL_RESOLVED whose exit_ns is 0; they are not watched any more. Twice, because the list is read
  // piece by piece while calls move from one piece to another, and because a record of the end may be on its way.
  std::vector<kf_ctl> gone(std::span<const kf_open_call> in_flight);

 private:
  using Key = std::pair<std::uint32_t, std::uint64_t>;  // thread, start
  struct Watched {
    kf_open_call call;
    bool missing = false;  // when last looked for
  };

  std::map<Key, Watched> calls_;
};

}  // namespace kflight::record
