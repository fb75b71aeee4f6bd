// SPDX-License-Identifier: Apache-2.0
//
// escape.hpp - makes text of unknown origin (thread names, paths, file contents) safe to print on a terminal.
#pragma once

#include <string>
#include <string_view>

namespace kflight {

// Printable UTF-8 stays; every byte of a control character (C0, DEL, C1), of an invisible direction or line mark that
// could rearrange the line, and of invalid UTF-8 becomes \xNN. A backslash stays as it is, so the result is for people,
// not for parsing back.
std::string escape_for_terminal(std::string_view untrusted);

// Length of the valid UTF-8 sequence at the start of `text`, 0 when there is none (overlong forms, surrogates and code
// points above U+10FFFF are invalid). `text` must not be empty.
std::size_t utf8_sequence_bytes(std::string_view text);

}  // namespace kflight
