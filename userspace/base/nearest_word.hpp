// SPDX-License-Identifier: Apache-2.0
//
// nearest_word.hpp - "did you mean ...?": the known word closest to one that is not known.
#pragma once

#include <span>
#include <string_view>

namespace kflight {

// The first of `words` with the fewest edits (insert, delete, replace, swap of neighbours) from `word`; empty when none
// is within a third of the longer one's letters (but one edit is always close). ASCII case does not count.
std::string_view nearest_word(std::string_view word, std::span<const std::string_view> words);

}  // namespace kflight
