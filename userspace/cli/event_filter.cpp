// SPDX-License-Identifier: Apache-2.0
//
// event_filter.cpp - kinds and the roles of threads come from the field table, so a new event kind needs no line here.
#include "cli/event_filter.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/escape.hpp"
#include "base/nearest_word.hpp"
#include "dump/schema.hpp"

namespace kflight::cli {

namespace {

template <class>
struct Kinds;
template <class... Es>
struct Kinds<std::variant<Es...>> {
  static constexpr std::array names = {dump::Schema<Es>::doc.kind...};  // by index in the variant
};
constexpr auto kKinds = Kinds<Event>::names;

bool contains(const std::vector<std::uint32_t>& values, std::uint32_t value) {
  return std::ranges::find(values, value) != values.end();
}

// Is one of `tids` in the event, in whatever role?
bool mentions(const Event& event, const std::vector<std::uint32_t>& tids) {
  bool found = false;
  dump::for_each_field(event, [&](const dump::FieldInfo& info, const auto& value) {
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::uint32_t>)
      found = found || (info.meaning == dump::Meaning::kTid && contains(tids, value));
  });
  return found;
}

}  // namespace

std::string event_kind_list() { return fmt::format("{}", fmt::join(kKinds, ", ")); }

Result<std::string> parse_event_kind(std::string_view text) {
  if (std::ranges::find(kKinds, text) != kKinds.end()) return std::string(text);
  const auto nearest = nearest_word(text, kKinds);
  return Error{Errc::kUsage,
               fmt::format("unknown kind '{}'; there are {}{}", escape_for_terminal(text), event_kind_list(),
                           nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest))};
}

Result<EventFilter> EventFilter::create(const EventsOptions& options, const DumpClock& clock) {
  EventFilter filter;
  filter.tids_ = options.tids;
  filter.cpus_ = options.cpus;
  if (!options.kinds.empty()) filter.kinds_ = 0;
  for (const std::string& kind : options.kinds)
    filter.kinds_ |= 1u << (std::ranges::find(kKinds, kind) - kKinds.begin());
  if (options.from) {
    KF_TRY_ASSIGN(filter.from_ns_, clock.resolve(*options.from));
  }
  if (options.to) {
    KF_TRY_ASSIGN(filter.to_ns_, clock.resolve(*options.to));
  }
  if (filter.from_ns_ >= filter.to_ns_)
    return Error{Errc::kUsage, fmt::format("--from ({}) is not before --to ({}): no event can lie between",
                                           clock.relative(filter.from_ns_), clock.relative(filter.to_ns_))};
  return filter;
}

bool EventFilter::wants(const Event& event) const {
  const EventHead& at = head(event);
  if ((kinds_ >> event.index() & 1) == 0 || at.ts_ns < from_ns_ || at.ts_ns >= to_ns_) return false;
  if (!cpus_.empty() && !contains(cpus_, at.cpu)) return false;
  return tids_.empty() || std::holds_alternative<LossEvent>(event) || mentions(event, tids_);
}

}  // namespace kflight::cli
