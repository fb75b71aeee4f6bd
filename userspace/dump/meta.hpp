// SPDX-License-Identifier: Apache-2.0
//
// meta.hpp - the metadata section: DumpMeta as JSON text and back. Numbers are integers, exact to 64 bits. Strings may
// hold any bytes (thread names, paths): a byte that is not part of valid UTF-8 is written as \xNN and a backslash as
// two, inside the JSON string, so the text is always valid JSON and nothing is lost.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kflight/dump.hpp"

namespace kflight::dump {

std::string to_json(const DumpMeta& meta);

struct ParsedMeta {
  DumpMeta meta;                      // defaults where the text has nothing usable
  bool is_object = false;             // the text is a JSON object at all
  std::vector<std::string> problems;  // "it is no valid JSON", "cause.tid is no number of 32 bits"
  std::vector<std::string> missing;   // "host.kernel_release": normal in a file of an earlier minor version
};
// Never fails. Fields it does not know are ignored: a later version may have added them.
ParsedMeta meta_from_json(std::string_view untrusted);

}  // namespace kflight::dump
