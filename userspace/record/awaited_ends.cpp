// SPDX-License-Identifier: Apache-2.0
#include "record/awaited_ends.hpp"

#include <algorithm>
#include <utility>

namespace kflight::record {

AwaitedEnds::Place AwaitedEnds::find(std::uint32_t tid, std::uint64_t enter_ns) {
  return std::ranges::find_if(calls_, [&](const Call& c) { return c.tid == tid && c.enter_ns == enter_ns; });
}

AwaitedEnds::Place AwaitedEnds::find(const Cause& cause) {
  return cause.call_in_flight ? find(cause.tid, cause.enter_ns) : calls_.end();
}

void AwaitedEnds::expect(const Cause& cause) {
  if (!cause.call_in_flight || find(cause) != calls_.end()) return;
  if (calls_.size() == kMost) calls_.pop_front();
  calls_.push_back({.tid = cause.tid, .enter_ns = cause.enter_ns, .path = {}, .end = {}});
}

void AwaitedEnds::forget(const Cause& cause) {
  if (const auto call = find(cause); call != calls_.end()) calls_.erase(call);
}

std::optional<kf_ctl> AwaitedEnds::written(const Cause& cause, const std::string& path) {
  const auto call = find(cause);
  if (call == calls_.end()) return std::nullopt;
  call->path = path;
  const auto end = call->end;
  if (end) calls_.erase(call);
  return end;
}

std::optional<std::string> AwaitedEnds::ended(const kf_ctl& record) {
  const auto call = find(record.tid, record.enter_ns);
  if (call == calls_.end()) return std::nullopt;
  if (call->path.empty()) {
    call->end = record;
    return std::nullopt;
  }
  std::string path = std::move(call->path);
  calls_.erase(call);
  return path;
}

}  // namespace kflight::record
