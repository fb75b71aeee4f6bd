// SPDX-License-Identifier: Apache-2.0
#include "model/demangle.hpp"

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <utility>

// libiberty's demanglers. They are declared here because its header declares basename() otherwise than <cstring>.
extern "C" {
using TakeText = void (*)(const char* text, std::size_t bytes, void* opaque);
int rust_demangle_callback(const char* mangled, int options, TakeText take, void* opaque);
int cplus_demangle_v3_callback(const char* mangled, int options, TakeText take, void* opaque);
}

namespace kflight::model {

namespace {

using Demangler = int(const char* mangled, int options, TakeText take, void* opaque);

constexpr int kParametersAndTypes = 1 | 1 << 4;  // DMGL_PARAMS, DMGL_TYPES
constexpr std::size_t kLongestName = 8192;
constexpr std::size_t kLongestText = 1 << 16;

struct Text {
  std::string text;
  std::jmp_buf too_long;
};

// Names are of untrusted files, and one of 200 characters can stand for 100 MB. There is no other way to make the
// demanglers stop; nothing that is on the stack then, theirs included, has a destructor.
void take_text(const char* text, std::size_t bytes, void* opaque) {
  Text& out = *static_cast<Text*>(opaque);
  if (out.text.size() + bytes > kLongestText) std::longjmp(out.too_long, 1);
  out.text.append(text, bytes);
}

// False: it is no name of this language, or of no reasonable length.
bool demangle_as(Demangler* language, const std::string& name, Text& out) {
  out.text.clear();
  if (setjmp(out.too_long) != 0) return false;
  return language(name.c_str(), kParametersAndTypes, take_text, &out) != 0;
}

}  // namespace

std::string demangle(std::string_view mangled) {
  const auto at = mangled.find('@');  // a version: memcpy@@GLIBC_2.14
  std::string name(mangled.substr(0, std::min(at, kLongestName)));
  if (!name.starts_with("_Z") && !name.starts_with("_R")) return name;
  Text out;
  // Rust's older names look like those of C++, and are its when they end like Rust's.
  if (demangle_as(rust_demangle_callback, name, out) || demangle_as(cplus_demangle_v3_callback, name, out))
    return std::move(out.text);
  return name;
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
    } else if (demangled[i] == '>' && depth > 0 && demangled[i - 1] != '-') {  // not the arrow of Rust's fn() -> T
      --depth;
    } else if (demangled[i] == '(' && depth == 0 && i > 0) {
      return std::string(demangled.substr(0, i));
    }
  }
  return std::string(demangled);
}

}  // namespace kflight::model
