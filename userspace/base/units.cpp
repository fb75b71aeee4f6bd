// SPDX-License-Identifier: Apache-2.0
//
// units.cpp - one parser for "number unit" and one formatter, each driven by a table of units.
#include "base/units.hpp"

#include <fmt/format.h>

#include <limits>
#include <span>

#include "base/escape.hpp"

namespace kflight {

namespace {

using Wide = unsigned __int128;

struct Unit {
  std::string_view suffix;
  std::uint64_t scale;
};

constexpr std::uint64_t kMicrosecond = 1000, kMillisecond = 1000 * kMicrosecond, kSecond = 1000 * kMillisecond;
constexpr std::uint64_t kMinute = 60 * kSecond, kHour = 60 * kMinute;
constexpr std::uint64_t kKi = 1024, kMi = 1024 * kKi, kGi = 1024 * kMi, kTi = 1024 * kGi;

constexpr Unit kDurationUnits[] = {{"ns", 1},      {"us", kMicrosecond}, {"ms", kMillisecond},
                                   {"s", kSecond}, {"m", kMinute},       {"h", kHour}};
constexpr Unit kByteUnits[] = {{"B", 1},   {"KiB", kKi}, {"MiB", kMi}, {"GiB", kGi}, {"TiB", kTi},
                               {"K", kKi}, {"M", kMi},   {"G", kGi},   {"T", kTi}};

// What one kind of quantity is called in messages, and what it may be.
struct Quantity {
  std::string_view name;
  std::string_view smallest;     // unit
  std::string_view bare_advice;  // e.g. "write 10s or 10ms"; {0} is the number
  std::span<const Unit> units;
  std::uint64_t max;
};

constexpr Quantity kDuration = {"duration", "ns", "write {0}s or {0}ms", kDurationUnits,
                                std::numeric_limits<std::int64_t>::max()};
constexpr Quantity kBytes = {"size", "B", "write {0}MiB or {0}KiB", kByteUnits,
                             std::numeric_limits<std::uint64_t>::max()};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class QuantityParser {
 public:
  QuantityParser(const Quantity& quantity, std::string_view text, std::size_t first_column)
      : quantity_(quantity), text_(text), first_column_(first_column) {}

  Result<std::uint64_t> parse() {
    const auto whole = take_digits();
    const bool has_point = at_ < text_.size() && text_[at_] == '.';
    if (has_point) ++at_;
    const auto fraction = has_point ? take_digits() : std::string_view{};
    if (whole.empty() || (has_point && fraction.empty())) return expected_number();
    KF_TRY_ASSIGN(const std::uint64_t scale, find_unit());
    return scaled(whole, fraction, scale);
  }

 private:
  Error fail(std::size_t at, const std::string& why) const {
    return Error{Errc::kUsage,
                 fmt::format("bad {} '{}', column {}: {}", quantity_.name, escape_for_terminal(text_),
                             first_column_ + at, why)};
  }

  Error expected_number() const {
    if (text_.empty()) return fail(0, "it is empty; " + examples());
    if (text_[at_ < text_.size() ? at_ : 0] == '-')
      return fail(at_, fmt::format("a {} cannot be negative", quantity_.name));
    return fail(at_, "expected a digit; " + examples());
  }

  std::string examples() const { return fmt::format(fmt::runtime(quantity_.bare_advice), "10"); }

  std::string_view take_digits() {
    const auto start = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return text_.substr(start, at_ - start);
  }

  Result<std::uint64_t> find_unit() const {
    const auto suffix = text_.substr(at_);
    if (suffix.empty())
      return fail(at_, "the unit is missing; " + fmt::format(fmt::runtime(quantity_.bare_advice), text_));
    for (const Unit& unit : quantity_.units)
      if (unit.suffix == suffix) return unit.scale;
    std::string known;
    for (const Unit& unit : quantity_.units) known += fmt::format("{}{}", known.empty() ? "" : ", ", unit.suffix);
    return fail(at_, fmt::format("no unit '{}'; there are {}", escape_for_terminal(suffix), known));
  }

  // whole.fraction * scale, exactly or not at all. The bounds keep every step within 128 bits.
  Result<std::uint64_t> scaled(std::string_view whole, std::string_view fraction, std::uint64_t scale) const {
    while (!fraction.empty() && fraction.back() == '0') fraction.remove_suffix(1);
    if (fraction.size() > kMaxFractionDigits) return too_fine();
    Wide value = 0;
    for (const char digit : whole) {
      value = value * 10 + static_cast<unsigned>(digit - '0');
      if (value * scale > quantity_.max) return too_large();
    }
    Wide parts = 0, parts_of_one = 1;
    for (const char digit : fraction) {
      parts = parts * 10 + static_cast<unsigned>(digit - '0');
      parts_of_one *= 10;
    }
    if (parts * scale % parts_of_one != 0) return too_fine();
    value = value * scale + parts * scale / parts_of_one;
    if (value > quantity_.max) return too_large();
    return static_cast<std::uint64_t>(value);
  }

  Error too_fine() const {
    return fail(0, fmt::format("it is no whole number of {}; give fewer digits", quantity_.smallest));
  }
  Error too_large() const {
    return fail(0, fmt::format("it is too large; the largest is {}{}", quantity_.max, quantity_.smallest));
  }

  static constexpr std::size_t kMaxFractionDigits = 18;

  const Quantity& quantity_;
  std::string_view text_;
  std::size_t first_column_;
  std::size_t at_ = 0;
};

// value / scale with four significant digits; see format_duration for the zeros.
std::string four_digits(std::uint64_t value, std::uint64_t scale) {
  const double scaled_value = static_cast<double>(value) / static_cast<double>(scale);
  const int decimals = scaled_value < 9.9995 ? 3 : scaled_value < 99.995 ? 2 : scaled_value < 999.95 ? 1 : 0;
  auto text = fmt::format("{:.{}f}", scaled_value, decimals);
  constexpr std::uint64_t kPowers[] = {1, 10, 100, 1000};
  const bool exact = static_cast<Wide>(value) * kPowers[decimals] % scale == 0;
  if (exact && decimals > 0) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text;
}

std::string format_magnitude(std::uint64_t ns) {
  if (ns >= kHour) return fmt::format("{} h {} min", ns / kHour, ns % kHour / kMinute);
  if (ns >= 10 * kMinute) return fmt::format("{} min {} s", ns / kMinute, ns % kMinute / kSecond);
  if (ns >= kSecond) return four_digits(ns, kSecond) + " s";
  if (ns >= kMillisecond) return four_digits(ns, kMillisecond) + " ms";
  if (ns >= kMicrosecond) return four_digits(ns, kMicrosecond) + " us";
  return fmt::format("{} ns", ns);
}

}  // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text, std::size_t first_column) {
  KF_TRY_ASSIGN(const std::uint64_t ns, QuantityParser(kDuration, text, first_column).parse());
  return std::chrono::nanoseconds{static_cast<std::int64_t>(ns)};
}

Result<std::uint64_t> parse_bytes(std::string_view text, std::size_t first_column) {
  return QuantityParser(kBytes, text, first_column).parse();
}

std::string format_duration(std::int64_t ns) {
  const auto magnitude = ns < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(ns) : static_cast<std::uint64_t>(ns);
  return (ns < 0 ? "-" : "") + format_magnitude(magnitude);
}

std::string format_bytes(std::uint64_t bytes) {
  if (bytes >= kTi) return four_digits(bytes, kTi) + " TiB";
  if (bytes >= kGi) return four_digits(bytes, kGi) + " GiB";
  if (bytes >= kMi) return four_digits(bytes, kMi) + " MiB";
  if (bytes >= kKi) return four_digits(bytes, kKi) + " KiB";
  return fmt::format("{} B", bytes);
}

std::string format_count(std::uint64_t count) {
  auto text = std::to_string(count);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<std::size_t>(at), 1, ',');
  return text;
}

}  // namespace kflight
