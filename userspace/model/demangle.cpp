// SPDX-License-Identifier: Apache-2.0
#include "model/demangle.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

namespace kflight::model {

namespace {

constexpr std::size_t kLongestName = 8192;  // of an untrusted file; the demangler's output may be far longer
constexpr std::size_t kRustHash = 3 + 16;   // "::h" and 16 digits

bool ends_in_rust_hash(std::string_view name) {
  if (name.size() <= kRustHash || name.substr(name.size() - kRustHash, 3) != "::h") return false;
  const std::string_view digits = name.substr(name.size() - 16);
  return std::ranges::all_of(digits, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// Rust's older scheme is C++'s, with a hash at the end and words for what is no identifier.
std::string rust_text(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kWords[] = {
      {"$LT$", "<"},  {"$GT$", ">"},  {"$RF$", "&"},  {"$BP$", "*"},  {"$C$", ","},   {"$LP$", "("},
      {"$RP$", ")"},  {"$SP$", "@"},  {"$u20$", " "}, {"$u27$", "'"}, {"$u5b$", "["}, {"$u5d$", "]"},
      {"$u7b$", "{"}, {"$u7d$", "}"}, {"$u7e$", "~"}, {"..", "::"}};
  name.remove_suffix(kRustHash);
  std::string out;
  while (!name.empty()) {
    const auto word = std::ranges::find_if(kWords, [name](const auto& w) { return name.starts_with(w.first); });
    if (word != std::end(kWords)) {
      out += word->second;
      name.remove_prefix(word->first.size());
    } else {
      const bool escaped = name.starts_with("_$") && (out.empty() || out.ends_with("::"));
      if (!escaped) out += name.front();
      name.remove_prefix(1);
    }
  }
  return out;
}

}  // namespace

std::string demangle(std::string_view mangled) {
  const auto at = mangled.find('@');  // a version: memcpy@@GLIBC_2.14
  const std::string name(mangled.substr(0, std::min(at, kLongestName)));
  if (!name.starts_with("_Z") && !name.starts_with("__Z")) return name;
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status),
                                                    std::free);
  if (status != 0 || !text) return name;
  const std::string_view demangled(text.get());
  return ends_in_rust_hash(demangled) ? rust_text(demangled) : std::string(demangled);
}

std::string without_parameters(std::string_view demangled) {
  if (demangled.find('(') == demangled.npos) return std::string(demangled);
  // The parameters' bracket is the first one outside of template arguments that does not belong to a name.
  std::size_t depth = 0;
  for (std::size_t i = 0; i < demangled.size(); ++i) {
    const std::string_view rest = demangled.substr(i);
    if (rest.starts_with("operator")) {
      i += 7;
      const auto open = demangled.find('(', i);
      if (open == demangled.npos) break;
      i = demangled.substr(open).starts_with("()(") ? open + 1 : open - 1;
      continue;
    }
    if (rest.starts_with("(anonymous namespace)")) {
      i += sizeof("(anonymous namespace)") - 2;
    } else if (demangled[i] == '<') {
      ++depth;
    } else if (demangled[i] == '>' && depth > 0) {
      --depth;
    } else if (demangled[i] == '(' && depth == 0 && i > 0) {
      return std::string(demangled.substr(0, i));
    }
  }
  return std::string(demangled);
}

}  // namespace kflight::model
