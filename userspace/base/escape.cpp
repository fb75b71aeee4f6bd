// SPDX-License-Identifier: Apache-2.0
//
// escape.cpp - a UTF-8 walk that lets printable characters through and shows everything else as bytes.
#include "base/escape.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

namespace kflight {

namespace {

std::uint8_t byte_at(std::string_view text, std::size_t i) { return static_cast<std::uint8_t>(text[i]); }

std::size_t length_from_lead(std::uint8_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

// The second byte is where overlong forms (E0, F0), surrogates (ED) and too large code points (F4) show.
bool second_byte_ok(std::uint8_t lead, std::uint8_t second) {
  const std::uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const std::uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  return second >= low && second <= high;
}

std::uint32_t decode(std::string_view sequence) {
  constexpr std::uint32_t kLeadMask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  std::uint32_t code_point = byte_at(sequence, 0) & kLeadMask[sequence.size()];
  for (std::size_t i = 1; i < sequence.size(); ++i) code_point = code_point << 6 | (byte_at(sequence, i) & 0x3f);
  return code_point;
}

bool is_printable(std::uint32_t code_point) {
  if (code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0)) return false;
  const bool direction_or_line_mark =
      (code_point >= 0x200b && code_point <= 0x200f) || (code_point >= 0x2028 && code_point <= 0x202e) ||
      (code_point >= 0x2060 && code_point <= 0x206f) || code_point == 0x061c || code_point == 0xfeff;
  return !direction_or_line_mark;
}

void append_hex(std::string& out, std::string_view bytes) {
  for (const char c : bytes) fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<std::uint8_t>(c));
}

}  // namespace

std::size_t utf8_sequence_bytes(std::string_view text) {
  const auto lead = byte_at(text, 0);
  const auto length = length_from_lead(lead);
  if (length == 0 || length > text.size()) return 0;
  if (length > 1 && !second_byte_ok(lead, byte_at(text, 1))) return 0;
  for (std::size_t i = 2; i < length; ++i)
    if ((byte_at(text, i) & 0xc0) != 0x80) return 0;
  return length;
}

std::string escape_for_terminal(std::string_view untrusted) {
  std::string out;
  out.reserve(untrusted.size());
  while (!untrusted.empty()) {
    const auto length = utf8_sequence_bytes(untrusted);
    const auto piece = untrusted.substr(0, length == 0 ? 1 : length);
    if (length != 0 && is_printable(decode(piece)))
      out += piece;
    else
      append_hex(out, piece);
    untrusted.remove_prefix(piece.size());
  }
  return out;
}

}  // namespace kflight
