// SPDX-License-Identifier: Apache-2.0
#include "model/call_log.hpp"

#include <algorithm>

namespace kflight::model {

namespace {

std::uint16_t short_nr(std::uint32_t nr) { return static_cast<std::uint16_t>(std::min<std::uint32_t>(nr, 0xffff)); }

void take_arguments(Call& call, const kf_sys& sys) {
  call.nr = short_nr(sys.nr);
  call.abi = sys.abi & 3;
  call.args_taken = sys.args_taken & 63;
  call.arg0 = sys.args[0];
  call.arg1 = static_cast<std::uint32_t>(sys.args[1]);
  call.arg2 = static_cast<std::uint32_t>(sys.args[2]);
  call.arg3 = static_cast<std::uint32_t>(sys.args[3]);
}

bool same_request(const Call& a, const Call& b) {
  return a.nr == b.nr && a.abi == b.abi && a.arg0 == b.arg0 && a.arg1 == b.arg1 && a.arg2 == b.arg2;
}

bool same_call(const Call& open, const Call& seen) {
  if (open.enter_known() && seen.enter_known()) return open.begin_ns == seen.begin_ns && open.nr == seen.nr;
  // Only the first switch-out of a call tells of its entry.
  return (open.enter_known() || !seen.enter_known()) && same_request(open, seen);
}

// A call that was entered after this one had been seen is another one.
bool may_be_the_end_of(const Call& open, const SyscallEvent& event) {
  if (open.nr != short_nr(event.nr)) return false;
  if (event.enter_ns == 0) return true;
  return open.enter_known() ? open.begin_ns == event.enter_ns : open.begin_ns >= event.enter_ns;
}

// Keeps calls sorted by begin_ns whatever the entry times claim.
std::uint32_t append(Thread& thread, Call call) {
  if (!thread.calls.empty()) call.begin_ns = std::max(call.begin_ns, thread.calls.back().begin_ns);
  thread.calls.push_back(call);
  return static_cast<std::uint32_t>(thread.calls.size() - 1);
}

}  // namespace

std::uint32_t note_call(Thread& thread, std::uint32_t& open, const kf_sys& sys, std::uint64_t enter_ns,
                        std::uint64_t ts_ns) {
  Call seen;
  take_arguments(seen, sys);
  seen.begin_ns = enter_ns != 0 ? enter_ns : ts_ns;
  seen.flags = enter_ns != 0 ? kCallEnterKnown : 0;
  seen.end_ns = ts_ns;
  if (open != kNone && same_call(thread.calls[open], seen)) {
    thread.calls[open].end_ns = std::max(thread.calls[open].end_ns, ts_ns);
    return open;
  }
  return open = append(thread, seen);
}

void finish_call(Thread& thread, std::uint32_t& open, const SyscallEvent& event) {
  std::uint32_t index = open;
  if (index == kNone || !may_be_the_end_of(thread.calls[index], event)) {
    Call call;
    if (event.has_args) take_arguments(call, event.sys);
    call.nr = short_nr(event.nr);
    call.abi = event.abi & 3;
    call.begin_ns = event.enter_ns != 0 ? event.enter_ns : event.ts_ns;
    index = append(thread, call);
  }
  Call& call = thread.calls[index];
  if (event.enter_ns != 0) {
    call.flags |= kCallEnterKnown;
    call.begin_ns = std::max(event.enter_ns, index == 0 ? 0 : thread.calls[index - 1].begin_ns);
  }
  call.flags |= kCallReturned;
  call.end_ns = event.ts_ns;
  call.ret = event.ret;
  open = kNone;
}

}  // namespace kflight::model
