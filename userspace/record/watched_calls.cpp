// SPDX-License-Identifier: Apache-2.0
#include "record/watched_calls.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <set>
#include <utility>

namespace kflight::record {
namespace {

kf_ctl unknown_end(const kf_open_call& call) {
  kf_ctl record{};
  record.type = KF_CTL_RESOLVED;
  record.tid = call.tid;
  record.tgid = call.tgid;
  record.nr = call.nr;
  record.abi = call.abi;
  record.enter_ns = call.enter_ns;
  std::copy(std::begin(call.args), std::end(call.args), record.args);
  std::memcpy(record.comm, call.comm, sizeof record.comm);
  return record;
}

}  // namespace

void WatchedCalls::add(const kf_open_call& call) { calls_.insert({{call.tid, call.enter_ns}, {.call = call}}); }

void WatchedCalls::on_end(const kf_ctl& record) { calls_.erase({record.tid, record.enter_ns}); }

std::vector<kf_ctl> WatchedCalls::gone(std::span<const kf_open_call> in_flight) {
  if (calls_.empty()) return {};
  std::set<Key> there;
  for (const kf_open_call& call : in_flight) there.emplace(call.tid, call.enter_ns);
  std::vector<kf_ctl> ends;
  for (auto it = calls_.begin(); it != calls_.end();) {
    Watched& watched = it->second;
    const bool was_missing = std::exchange(watched.missing, !there.contains(it->first));
    if (was_missing && watched.missing) {
      ends.push_back(unknown_end(watched.call));
      it = calls_.erase(it);
    } else {
      ++it;
    }
  }
  return ends;
}

}  // namespace kflight::record
