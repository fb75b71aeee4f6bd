// SPDX-License-Identifier: Apache-2.0
#include "record/triggers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "dump/syscalls.hpp"

namespace kflight::record {

namespace {

// By its number alone, as the kernel side judges.
bool applies_to(const TriggerRule& rule, std::uint32_t nr) {
  if (rule.leaves_out_waits()) return !dump::expected_to_block(nr);
  return rule.calls.empty() || std::ranges::find(rule.calls, nr) != rule.calls.end();
}

// 0: not known.
std::uint64_t start_of(const kf_open_call& call) { return call.enter_ns ? call.enter_ns : call.since_ns; }

}  // namespace

Result<TriggerSet> TriggerSet::compile(std::span<const TriggerSpec> specs) {
  TriggerSet set;
  std::uint32_t kernel_rules = 0;
  for (const auto& spec : specs) {
    KF_TRY_ASSIGN(auto rule, parse_trigger(spec.text));
    const auto canonical = to_text(rule);
    const auto same = [&](const Trigger& t) { return to_text(t.rule) == canonical; };
    if (std::ranges::any_of(set.triggers_, same))
      return Error{Errc::kUsage, fmt::format("trigger '{}' is given twice; leave one out", canonical)};
    std::optional<std::uint32_t> kernel_rule;
    if (rule.kind == TriggerKind::kSyscall) kernel_rule = kernel_rules++;
    set.triggers_.push_back({spec.text, std::move(rule), kernel_rule});
  }
  if (kernel_rules > KF_RULES_MAX)
    return Error{Errc::kUsage,
                 fmt::format("{} 'syscall' triggers are given, at most {} are possible; join calls with the "
                             "same bound, as in syscall:fsync,fdatasync>20ms",
                             kernel_rules, KF_RULES_MAX)};
  return set;
}

void TriggerSet::fill(kf_config& config) const {
  config.n_rules = 0;
  std::ranges::fill(config.rules_of_nr, kf_u8{0});
  for (const auto& [text, rule, kernel_rule] : triggers_) {
    if (!kernel_rule) continue;
    auto& out = config.rules[*kernel_rule];
    out = {};
    out.min_ns = rule.min_ns;
    out.max_ns = rule.max_ns;
    out.match_ret = rule.error_number.has_value();
    out.ret = -static_cast<kf_s64>(rule.error_number.value_or(0));
    if (rule.leaves_out_waits()) out.futex_nr = dump::syscall_nr("futex").value_or(0);
    config.n_rules = *kernel_rule + 1;
    for (std::uint32_t nr = 0; nr < KF_SYS_TABLE; ++nr)
      if (applies_to(rule, nr)) config.rules_of_nr[nr] |= static_cast<kf_u8>(1u << *kernel_rule);
  }
}

bool TriggerSet::accepts(const Trigger& trigger, std::uint32_t nr, std::span<const std::uint64_t, 6> args) const {
  return applies_to(trigger.rule, nr) && !(trigger.rule.leaves_out_waits() && dump::timed_futex_wait(nr, args));
}

std::vector<std::string> TriggerSet::texts(std::span<const std::size_t> triggers) const {
  std::vector<std::string> texts;
  for (const std::size_t trigger : triggers) texts.push_back(text(trigger));
  return texts;
}

std::vector<std::size_t> TriggerSet::match(const kf_ctl& record) const {
  std::vector<std::size_t> fired;
  std::array<std::uint64_t, 6> args;
  std::ranges::copy(record.args, args.begin());
  for (std::size_t i = 0; i < triggers_.size(); ++i) {
    const auto& trigger = triggers_[i];
    const bool reported = trigger.kernel_rule && (record.rules >> *trigger.kernel_rule & 1);
    if (reported && accepts(trigger, record.nr, args)) fired.push_back(i);
  }
  return fired;
}

std::vector<std::size_t> TriggerSet::match(const kf_open_call& call, std::uint64_t now_ns) const {
  std::vector<std::size_t> fired;
  const auto start_ns = start_of(call);
  if (call.abi != KF_ABI_NATIVE || start_ns == 0 || start_ns > now_ns) return fired;
  const auto age_ns = now_ns - start_ns;
  std::array<std::uint64_t, 6> args;
  std::ranges::copy(call.args, args.begin());
  for (std::size_t i = 0; i < triggers_.size(); ++i) {
    const auto& rule = triggers_[i].rule;
    const bool in_bounds = age_ns >= rule.min_ns && age_ns < rule.max_ns;
    if (rule.kind == TriggerKind::kInflight && in_bounds && accepts(triggers_[i], call.nr, args)) fired.push_back(i);
  }
  return fired;
}

std::optional<std::chrono::nanoseconds> TriggerSet::shortest() const noexcept {
  std::optional<std::chrono::nanoseconds> shortest;
  for (const auto& trigger : triggers_) {
    const std::chrono::nanoseconds bound(static_cast<std::int64_t>(trigger.rule.min_ns));
    if (bound.count() > 0 && (!shortest || bound < *shortest)) shortest = bound;
  }
  return shortest;
}

std::chrono::nanoseconds TriggerSet::scan_interval() const noexcept {
  constexpr std::chrono::nanoseconds kShortest = std::chrono::milliseconds(5), kLongest = std::chrono::seconds(1);
  std::optional<std::uint64_t> shortest_bound_ns;
  for (const auto& trigger : triggers_)
    if (trigger.rule.kind == TriggerKind::kInflight)
      shortest_bound_ns = std::min(shortest_bound_ns.value_or(UINT64_MAX), trigger.rule.min_ns);
  if (!shortest_bound_ns) return {};
  return std::clamp(std::chrono::nanoseconds(*shortest_bound_ns / 4), kShortest, kLongest);
}

std::vector<InflightScan::Hit> InflightScan::scan(std::span<const kf_open_call> calls, std::uint64_t now_ns,
                                                  const Complete& complete) {
  std::vector<Hit> hits;
  std::map<Call, std::vector<std::size_t>> judged;
  for (const auto& open : calls) {
    auto old_enough = triggers_.match(open, now_ns);
    if (old_enough.empty()) continue;
    const Call call{open.tid, start_of(open)};
    const auto before = judged_.find(call);
    const auto is_new = [&](std::size_t trigger) {
      return before == judged_.end() || !std::ranges::binary_search(before->second, trigger);
    };
    if (std::ranges::any_of(old_enough, is_new)) {
      auto completed = open;
      if (!complete(completed)) continue;
      auto fired = triggers_.match(completed, now_ns);
      std::erase_if(fired, [&](std::size_t trigger) { return !is_new(trigger); });
      if (!fired.empty()) hits.push_back({std::move(fired), completed});
    }
    judged.insert_or_assign(call, std::move(old_enough));
  }
  judged_ = std::move(judged);
  return hits;
}

}  // namespace kflight::record
