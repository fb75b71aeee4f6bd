// SPDX-License-Identifier: Apache-2.0
//
// nearest_word.cpp - optimal string alignment distance over three rows of its table.
#include "base/nearest_word.hpp"

#include <algorithm>
#include <array>

namespace kflight {

namespace {

constexpr std::size_t kLongestWord = 63;  // a longer one is not a misspelt word of ours

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The distance, or something above `most`: the words of a table mostly have little in common with the one looked for,
// and that shows after a few letters.
std::size_t edits(std::string_view a, std::string_view b, std::size_t most) {
  std::array<std::array<std::size_t, kLongestWord + 1>, 3> rows{};
  for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto& row = rows[i % 3];
    const auto& above = rows[(i - 1) % 3];
    row[0] = i;
    std::size_t fewest = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + !same});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
        row[j] = std::min(row[j], rows[(i - 2) % 3][j - 2] + 1);
      fewest = std::min(fewest, row[j]);
    }
    if (fewest > most) return fewest;
  }
  return rows[a.size() % 3][b.size()];
}

}  // namespace

std::string_view nearest_word(std::string_view word, std::span<const std::string_view> words) {
  if (word.empty() || word.size() > kLongestWord) return {};
  std::string_view best;
  std::size_t fewest = kLongestWord + 1;
  for (const auto candidate : words) {
    if (candidate.size() > kLongestWord) continue;
    const auto longer = std::max(word.size(), candidate.size());
    const auto most = std::min(std::max<std::size_t>(1, longer / 3), fewest - 1);
    if (longer - std::min(word.size(), candidate.size()) > most) continue;
    const auto distance = edits(word, candidate, most);
    if (distance > most) continue;
    best = candidate;
    fewest = distance;
    if (fewest == 0) break;
  }
  return best;
}

}  // namespace kflight
