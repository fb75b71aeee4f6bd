// SPDX-License-Identifier: Apache-2.0
#include "record/firing.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "dump/syscalls.hpp"
#include "record/fd_links.hpp"

namespace kflight::record {
namespace {

Cause call_cause(std::vector<std::string> triggers, std::string_view kind) {
  Cause cause;
  cause.trigger = std::move(triggers.front());
  triggers.erase(triggers.begin());
  cause.also = std::move(triggers);
  cause.kind = kind;
  cause.has_call = true;
  return cause;
}

template <class Call>
void copy_call(Cause& cause, const Call& call) {
  cause.tid = call.tid;
  cause.tgid = call.tgid;
  cause.comm = Comm::from({call.comm, ::strnlen(call.comm, sizeof call.comm)});
  cause.nr = call.nr;
  cause.abi = call.abi;
  std::copy(std::begin(call.args), std::end(call.args), cause.args.begin());
  cause.enter_ns = call.enter_ns;
  cause.fd_path = descriptor_target(call.tgid, call.nr, call.abi, cause.args);
}

}  // namespace

std::string descriptor_target(std::uint32_t tgid, std::uint32_t nr, std::uint32_t abi,
                              const std::array<std::uint64_t, 6>& args) {
  const auto argument = abi == KF_ABI_NATIVE ? dump::fd_argument(nr) : std::nullopt;
  return argument && *argument < args.size() ? read_fd_link(tgid, static_cast<std::uint32_t>(args[*argument])) : "";
}

Cause cause_of(const kf_ctl& record, std::vector<std::string> triggers, std::uint64_t received_ns) {
  Cause cause = call_cause(std::move(triggers), "syscall");
  copy_call(cause, record);
  cause.exit_ns = record.exit_ns;
  cause.ret = record.ret;
  cause.fired_ns = record.exit_ns;
  cause.received_ns = received_ns;
  return cause;
}

Cause cause_of(const kf_open_call& call, std::vector<std::string> triggers, std::uint64_t now_ns) {
  Cause cause = call_cause(std::move(triggers), "inflight");
  copy_call(cause, call);
  cause.call_in_flight = true;
  cause.fired_ns = now_ns;
  cause.received_ns = now_ns;
  return cause;
}

}  // namespace kflight::record
