// SPDX-License-Identifier: Apache-2.0
#include "record/name_patterns.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace kflight::record {
namespace {

constexpr std::size_t kLaneBits = 64;

// Length of the bracket expression that `text` begins with; 0 when it is not closed, which makes '[' a character.
std::size_t bracket_length(std::string_view text) {
  std::size_t at = 1;
  if (at < text.size() && (text[at] == '!' || text[at] == '^')) ++at;
  if (at < text.size() && text[at] == ']') ++at;  // a member, being first
  while (at < text.size()) {
    if (text[at] == ']') return at + 1;
    const auto named = text.substr(at, 2);
    if (named == "[:" || named == "[=" || named == "[.") {
      const auto end = text.find(std::string{named[1], ']'}, at + 2);
      if (end == std::string_view::npos) return 0;
      at = end + 2;
    } else {
      at += text[at] == '\\' ? 2 : 1;
    }
  }
  return 0;
}

std::size_t element_length(std::string_view text) {
  if (text[0] == '[') return std::max<std::size_t>(bracket_length(text), 1);
  return text[0] == '\\' && text.size() > 1 ? 2 : 1;
}

// A pattern's elements that stand for one character each, and before which of them (or behind the last) a '*' stands.
struct Pattern {
  std::vector<std::string> elements;
  std::uint64_t stars = 0;
};

Pattern parse(std::string_view glob) {
  Pattern pattern;
  while (!glob.empty() && pattern.elements.size() < kLaneBits) {
    const auto length = element_length(glob);
    const auto element = glob.substr(0, length);
    if (element == "*")
      pattern.stars |= std::uint64_t{1} << pattern.elements.size();
    else
      pattern.elements.push_back(element == "[" ? "\\[" : std::string(element));
    glob.remove_prefix(length);
  }
  return pattern;
}

void add(kf_name_lane& lane, const Pattern& pattern, std::size_t bit) {
  lane.start |= std::uint64_t{1} << bit;
  lane.stays |= pattern.stars << bit;
  for (const auto& element : pattern.elements) {
    for (unsigned c = 1; c < 256; ++c) {
      const char one[2] = {static_cast<char>(c), '\0'};
      if (::fnmatch(element.c_str(), one, 0) == 0) lane.steps[c] |= std::uint64_t{1} << bit;
    }
    ++bit;
  }
  lane.ends |= std::uint64_t{1} << bit;
}

}  // namespace

Result<kf_name_matcher> compile_name_patterns(std::span<const std::string> globs) {
  kf_name_matcher matcher{};
  std::size_t lane = 0, used = 0;
  for (const auto& glob : globs) {
    const Pattern pattern = parse(glob);
    const std::size_t bits = pattern.elements.size() + 1;
    if (bits > KF_COMM_BYTES)
      return Error{Errc::kUsage, fmt::format("no process is ever named '{}': the kernel keeps {} characters of a name; "
                                             "shorten it, with a * at its end",
                                             glob, KF_COMM_BYTES - 1)};
    if (used + bits > kLaneBits) ++lane, used = 0;
    if (lane == KF_NAME_LANES)
      return Error{Errc::kUsage, fmt::format("{} names to watch for are too many, '{}' has no room any more; join some with "
                                             "* or [ab], or start another recorder for them",
                                             globs.size(), glob)};
    add(matcher.lanes[lane], pattern, used);
    used += bits;
  }
  return matcher;
}

}  // namespace kflight::record
