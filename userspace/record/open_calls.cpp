// SPDX-License-Identifier: Apache-2.0
#include "record/open_calls.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>

namespace kflight::record {
namespace {

void copy_from(kf_open_call& call, const kf_task& task) {
  call.tid = task.tid;
  call.tgid = task.tgid;
  call.nr = task.nr;
  call.abi = task.abi;
  call.since_ns = task.ts_ns;
  std::copy(std::begin(task.args), std::end(task.args), call.args);
  std::memcpy(call.comm, task.comm, sizeof call.comm);
}

// A thread that is in another call by now is not in this one any more.
bool is_in(const kf_task& task, const kf_open_call& call) {
  return task.tid == call.tid && task.flags & KF_TASK_HAS_SYS && task.nr == call.nr;
}

}  // namespace

std::vector<kf_open_call> open_calls(const Loader& loader, std::span<const kf_task> tasks) {
  std::unordered_map<std::uint32_t, kf_open_call> known;
  for (const kf_open_call& call : loader.calls_in_flight()) known.emplace(call.tid, call);
  std::vector<kf_open_call> calls;
  for (const kf_task& task : tasks) {
    if (!(task.flags & KF_TASK_TARGET) || !(task.flags & KF_TASK_HAS_SYS)) continue;
    kf_open_call call{};
    const auto it = known.find(task.tid);
    const bool is_known = it != known.end() && is_in(task, it->second);
    if (!is_known && (task.flags & KF_TASK_ON_CPU)) continue;  // what it runs with may be left over from its last call
    if (is_known) call = it->second;
    copy_from(call, task);
    calls.push_back(call);
  }
  return calls;
}

bool complete_call(kf_open_call& call, std::span<const kf_task> tasks) {
  const auto task = std::find_if(tasks.begin(), tasks.end(), [&](const kf_task& t) { return is_in(t, call); });
  if (task == tasks.end()) return false;
  copy_from(call, *task);
  return true;
}

}  // namespace kflight::record
