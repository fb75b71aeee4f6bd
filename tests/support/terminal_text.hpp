// SPDX-License-Identifier: Apache-2.0
//
// terminal_text.hpp - may this go to a terminal? Valid UTF-8 without control characters but the line's end, neither of
// one byte nor C1, and without marks that turn the direction of what follows.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace kflight::test {

// Place of the first byte that may not. The rules are written down here once more, on purpose not with escape.hpp.
inline std::optional<std::size_t> first_unprintable(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned lead = byte(i);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xc2 ? 0
                               : lead < 0xe0 ? 2
                               : lead < 0xf0 ? 3
                               : lead < 0xf5 ? 4
                                             : 0;
    unsigned code = length == 1 ? lead : lead & (0xffu >> (length + 1));
    for (std::size_t k = 1; k < length; ++k) {
      if ((byte(i + k) & 0xc0) != 0x80) return i;
      code = code << 6 | (byte(i + k) & 0x3f);
    }
    const bool control = (code < 0x20 && code != '\n') || (code >= 0x7f && code < 0xa0);
    const bool mark = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0x200e ||
                      code == 0x200f || code == 0x2028 || code == 0x2029;
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    if (length == 0 || control || mark || surrogate) return i;
    i += length;
  }
  return std::nullopt;
}

}  // namespace kflight::test
