// SPDX-License-Identifier: Apache-2.0
//
// trigger_spec.cpp - recursive descent over one line of text; every error knows the token it is about.
#include "record/trigger_spec.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

#include "base/escape.hpp"
#include "base/nearest_word.hpp"
#include "base/units.hpp"
#include "dump/errno_names.hpp"
#include "dump/syscalls.hpp"

namespace kflight::record {

namespace {

constexpr std::size_t kLongestText = 1000;
constexpr std::uint64_t kShortestInflightNs = 1'000'000;

constexpr std::string_view kSyscallWord = "syscall", kInflightWord = "inflight";
// The grammar's other words. Naming them keeps "not yet" apart from "misspelt".
constexpr std::string_view kReservedWords[] = {"runq",    "offcpu", "dstate", "parked",   "exit",   "signal",
                                               "threads", "rate",   "psi",    "baseline", "uprobe", "every"};

bool is_word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Columns a terminal shows for text without wide characters.
std::size_t shown_columns(std::string_view text) {
  const auto shown = escape_for_terminal(text);
  return static_cast<std::size_t>(
      std::count_if(shown.begin(), shown.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string did_you_mean(std::string_view nearest) {
  return nearest.empty() ? std::string{} : fmt::format("; did you mean '{}'?", nearest);
}

class TriggerParser {
 public:
  explicit TriggerParser(std::string_view text) : text_(text) {}

  Result<TriggerRule> parse() {
    KF_TRY(parse_kind());
    if (take(':')) KF_TRY(parse_calls());
    while (at_ < text_.size()) KF_TRY(parse_condition());
    KF_TRY(check_conditions());
    return std::move(rule_);
  }

 private:
  // A part of the text that an error is about.
  struct Place {
    std::size_t begin;
    std::size_t end;
  };

  Error fail(Place place, std::string_view why) const {
    const auto columns = shown_columns(text_.substr(place.begin, place.end - place.begin));
    const auto indent = shown_columns(text_.substr(0, place.begin));
    return Error{Errc::kUsage,
                 fmt::format("bad trigger, column {}: {}\n  {}\n  {:{}}{:~<{}}", place.begin + 1, why,
                             escape_for_terminal(text_), "", indent, "^", std::max<std::size_t>(columns, 1))};
  }

  bool take(char c) {
    const bool there = at_ < text_.size() && text_[at_] == c;
    at_ += there;
    return there;
  }

  Place take_word() {
    const auto begin = at_;
    while (at_ < text_.size() && is_word_char(text_[at_])) ++at_;
    return {begin, at_};
  }

  std::string_view text_of(Place place) const { return text_.substr(place.begin, place.end - place.begin); }

  // What stands at `at_`, for "expected X, found Y".
  std::string found() const {
    if (at_ >= text_.size()) return "the end";
    const auto bytes = std::max<std::size_t>(1, utf8_sequence_bytes(text_.substr(at_)));
    return fmt::format("'{}'", escape_for_terminal(text_.substr(at_, bytes)));
  }

  Error expected(std::string_view what) const {
    return fail({at_, std::min(at_ + 1, text_.size())}, fmt::format("expected {}, found {}", what, found()));
  }

  Result<> parse_kind() {
    const auto place = take_word();
    const auto word = text_of(place);
    if (word.empty()) return expected("'syscall' or 'inflight'");
    if (word == kInflightWord) rule_.kind = TriggerKind::kInflight;
    if (word == kSyscallWord || word == kInflightWord) return {};
    if (std::ranges::find(kReservedWords, word) != std::end(kReservedWords))
      return fail(
          place,
          fmt::format("trigger '{}' is not available in this version; there are 'syscall' and 'inflight'", word));
    std::vector<std::string_view> words(std::begin(kReservedWords), std::end(kReservedWords));
    words.insert(words.begin(), {kSyscallWord, kInflightWord});
    const auto nearest = nearest_word(word, words);
    return fail(place, fmt::format("unknown trigger '{}'{}", word,
                                   nearest.empty() ? "; there are 'syscall' and 'inflight'" : did_you_mean(nearest)));
  }

  Result<> parse_calls() {
    do {
      const auto place = take_word();
      const auto name = text_of(place);
      if (name.empty()) return expected("the name of a system call");
      const auto nr = dump::syscall_nr(name);
      if (!nr)
        return fail(place, fmt::format("unknown system call '{}'{}", name, did_you_mean(dump::nearest_syscall(name))));
      if (std::ranges::find(rule_.calls, *nr) == rule_.calls.end()) rule_.calls.push_back(*nr);
    } while (take(','));
    return {};
  }

  Result<> parse_condition() {
    const auto place = Place{at_, at_ + 1};
    if (take('>')) return parse_bound(place, rule_.min_ns, has_min_);
    if (take('<')) return parse_bound(place, rule_.max_ns, has_max_);
    if (take('!')) return parse_errno(place);
    if (has_min_ || has_max_ || rule_.error_number) return expected("'>', '<' or '!'");
    return expected(rule_.calls.empty() ? "':', '>', '<' or '!'" : "',', '>', '<' or '!'");
  }

  Result<> parse_bound(Place sign, std::uint64_t& bound_ns, bool& has_bound) {
    if (has_bound) return fail(sign, fmt::format("'{}' is given twice", text_of(sign)));
    const auto begin = at_;
    at_ = std::min(text_.find_first_of("<>!", at_), text_.size());
    const auto duration = parse_duration(text_.substr(begin, at_ - begin), begin + 1);
    if (!duration) return fail({begin, at_}, duration.error().what);
    bound_ns = static_cast<std::uint64_t>(duration->count());
    has_bound = true;
    return {};
  }

  Result<> parse_errno(Place sign) {
    if (rule_.kind == TriggerKind::kInflight) return fail(sign, "a call that is still in flight has no result yet");
    if (rule_.error_number) return fail(sign, "'!' is given twice");
    const auto place = take_word();
    const auto name = text_of(place);
    if (name.empty()) return expected("the name of an error such as EAGAIN");
    rule_.error_number = dump::errno_nr(name);
    if (!rule_.error_number)
      return fail(place, fmt::format("unknown error '{}'{}", name, did_you_mean(dump::nearest_errno(name))));
    return {};
  }

  Result<> check_conditions() const {
    const Place end{text_.size(), text_.size()}, all{0, text_.size()};
    const bool inflight = rule_.kind == TriggerKind::kInflight;
    if (!has_min_ && inflight) return fail(end, "expected '>' and a duration: how long the call may be in flight");
    if (!has_min_ && !rule_.error_number)
      return fail(end, "expected '>' and a duration, or '!' and an error: when to fire");
    if (rule_.max_ns <= rule_.min_ns)
      return fail(all, "the upper bound is not above the lower bound: it can never fire");
    if (inflight && rule_.min_ns < kShortestInflightNs)
      return fail(all, "calls in flight are looked at every few ms; use 'syscall>' for less than 1ms");
    return {};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  TriggerRule rule_;
  bool has_min_ = false;
  bool has_max_ = false;
};

// In the largest unit that needs no fraction.
std::string exact_duration(std::uint64_t ns) {
  constexpr std::pair<std::uint64_t, std::string_view> kUnits[] = {
      {1'000'000'000, "s"}, {1'000'000, "ms"}, {1'000, "us"}, {1, "ns"}};
  const auto& [scale, unit] = *std::ranges::find_if(kUnits, [ns](const auto& u) { return ns % u.first == 0; });
  return fmt::format("{}{}", ns / scale, unit);
}

}  // namespace

Result<TriggerRule> parse_trigger(std::string_view text_untrusted) {
  if (text_untrusted.size() > kLongestText)
    return Error{Errc::kUsage, fmt::format("bad trigger: it is {} bytes long, at most {} are taken; name fewer calls",
                                           text_untrusted.size(), kLongestText)};
  return TriggerParser(text_untrusted).parse();
}

std::string to_text(const TriggerRule& rule) {
  std::vector<std::string> names;
  for (const auto nr : rule.calls) names.push_back(dump::syscall_name(nr));
  std::string text(rule.kind == TriggerKind::kSyscall ? kSyscallWord : kInflightWord);
  if (!names.empty()) text += fmt::format(":{}", fmt::join(names, ","));
  if (rule.error_number) text += fmt::format("!{}", dump::errno_name(*rule.error_number));
  if (rule.min_ns != 0 || !rule.error_number) text += fmt::format(">{}", exact_duration(rule.min_ns));
  if (rule.max_ns != UINT64_MAX) text += fmt::format("<{}", exact_duration(rule.max_ns));
  return text;
}

}  // namespace kflight::record
