// SPDX-License-Identifier: Apache-2.0
#include "record/recorded_config.hpp"

namespace kflight::record {

namespace {

const char* text_of(Syscalls syscalls) {
  switch (syscalls) {
    case Syscalls::kAuto:
      return "auto";
    case Syscalls::kBlocked:
      return "blocked";
    case Syscalls::kSlow:
      return "slow";
    case Syscalls::kAll:
      return "all";
  }
  return "";
}

const char* text_of(Stacks stacks) {
  switch (stacks) {
    case Stacks::kAuto:
      return "auto";
    case Stacks::kNone:
      return "none";
    case Stacks::kBlocked:
      return "blocked";
    case Stacks::kAll:
      return "all";
  }
  return "";
}

}  // namespace

RecordedConfig recorded_config(const FlightRecorderConfig& config, Syscalls syscalls, Stacks stacks,
                               std::chrono::nanoseconds stack_wait,
                               const TriggerSet& triggers) {
  RecordedConfig c;
  c.kflight_version = KFLIGHT_VERSION;
  c.target_pids = config.target.pids;
  c.comm_globs = config.target.comm_globs;
  c.command = config.command_text;
  c.everyone = config.target.everyone;
  c.follow = config.target.follow;
  c.syscalls = text_of(syscalls);
  c.stacks = text_of(stacks);
  c.sample_hz = config.probes.sample_hz;
  c.scope = config.probes.scope == Scope::kTarget ? "target" : "system";
  for (std::size_t i = 0; i < triggers.size(); ++i) c.triggers.push_back(triggers.text(i));
  c.min_age_ns = static_cast<std::uint64_t>(config.min_age.count());
  c.max_bytes = config.max_bytes;
  c.slow_floor_ns = static_cast<std::uint64_t>(config.probes.slow_floor.count());
  c.stack_wait_ns = static_cast<std::uint64_t>(stack_wait.count());
  c.post_ns = static_cast<std::uint64_t>(config.post.count());
  c.cooldown_ns = static_cast<std::uint64_t>(config.cooldown.count());
  return c;
}

}  // namespace kflight::record
