// SPDX-License-Identifier: Apache-2.0
//
// json_line.hpp - pieces of a JSON line, written into the output buffer directly: millions of lines go through here, a
// JSON library would not do.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/escape.hpp"

namespace kflight::exports {

template <class T>
void put_number(std::string& out, T value) {
  const fmt::format_int text(value);
  out.append(text.data(), text.size());
}

// Escaped for people first: whatever is no printable UTF-8 is \xNN in the text.
inline void put_text(std::string& out, std::string_view untrusted) {
  out += '"';
  for (const char c : escape_for_terminal(untrusted)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

// Of every member but the first.
inline void put_key(std::string& out, std::string_view name, std::string_view suffix = {}) {
  out += ",\"";
  out += name;
  out += suffix;
  out += "\":";
}

template <class T>
void put_number(std::string& out, std::string_view name, T value) {
  put_key(out, name);
  put_number(out, value);
}
inline void put_text(std::string& out, std::string_view name, std::string_view untrusted) {
  put_key(out, name);
  put_text(out, untrusted);
}

}  // namespace kflight::exports
