// SPDX-License-Identifier: Apache-2.0
//
// triggers.hpp - the triggers of one recording: what of them the kernel judges (kf_config), and the last word on what
// it reports. Constant after compile(): any thread; InflightScan belongs to one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kflight/dump_format.h"
#include "kflight/flight_recorder.hpp"
#include "kflight/result.hpp"
#include "record/trigger_spec.hpp"

namespace kflight::record {

class TriggerSet {
 public:
  // kUsage: a text that does not parse, one given twice, or more "syscall" triggers than the kernel side holds.
  static Result<TriggerSet> compile(std::span<const TriggerSpec> specs);

  std::size_t size() const noexcept { return triggers_.size(); }
  const std::string& text(std::size_t trigger) const { return triggers_[trigger].text; }  // as given
  std::vector<std::string> texts(std::span<const std::size_t> triggers) const;
  const TriggerRule& rule(std::size_t trigger) const { return triggers_[trigger].rule; }
  // Durations are needed, so the target's syscalls must be traced.
  bool need_syscalls() const noexcept { return !triggers_.empty(); }

  // The shortest duration that a trigger asks for; nothing when none asks for any.
  std::optional<std::chrono::nanoseconds> shortest() const noexcept;

  // rules[], n_rules and rules_of_nr[]; the rest stays as it is.
  void fill(kf_config& config) const;

  // The triggers that a KF_CTL_SYSCALL record fires. Of futex waits with a timeout the kernel leaves out those of
  // futex(2) (kf_rule::futex_nr), but not those of futex_wait(2) and futex_waitv(2), so not every record fires one.
  std::vector<std::size_t> match(const kf_ctl& record) const;
  // The triggers that this call, not returned at `now_ns`, fires. Arguments matter for futex waits only: without
  // them (all 0) such a call counts as one without a timeout.
  std::vector<std::size_t> match(const kf_open_call& call, std::uint64_t now_ns) const;

  // How often calls in flight must be looked at: a quarter of the shortest bound, 5 ms to 1 s. Zero: never.
  std::chrono::nanoseconds scan_interval() const noexcept;

 private:
  struct Trigger {
    std::string text;
    TriggerRule rule;
    std::optional<std::uint32_t> kernel_rule;  // index in kf_config.rules
  };
  bool accepts(const Trigger& trigger, std::uint32_t nr, std::span<const std::uint64_t, 6> args) const;

  std::vector<Trigger> triggers_;
};

// Finds calls that have been in flight for too long, each once for each trigger.
class InflightScan {
 public:
  struct Hit {
    std::vector<std::size_t> triggers;
    kf_open_call call;
  };
  // Completes a call (arguments, names); false when it has returned meanwhile.
  using Complete = std::function<bool(kf_open_call&)>;

  // `triggers` must outlive the scan.
  explicit InflightScan(const TriggerSet& triggers) : triggers_(triggers) {}

  // `calls`: all calls of the target in flight at `now_ns`, arguments not needed. Only those that are old enough are
  // completed.
  std::vector<Hit> scan(std::span<const kf_open_call> calls, std::uint64_t now_ns, const Complete& complete);

 private:
  using Call = std::pair<std::uint32_t, std::uint64_t>;  // thread, start

  const TriggerSet& triggers_;
  std::map<Call, std::vector<std::size_t>> judged_;  // still in flight, and old enough for these triggers
};

}  // namespace kflight::record
