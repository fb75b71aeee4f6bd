// SPDX-License-Identifier: Apache-2.0
//
// errors.cpp - errno numbers as text. Thread-safe: strerrordesc_np and strerrorname_np return constants.
#include "base/errors.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace kflight {

namespace {

Errc errc_of(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ESRCH:
      return Errc::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return Errc::kPermission;
    case ENOSYS:
    case EOPNOTSUPP:
      return Errc::kUnsupported;
    case EBUSY:
      return Errc::kBusy;
    default:
      return Errc::kIo;
  }
}

}  // namespace

std::string errno_text(int error_number) {
  const char* description = ::strerrordesc_np(error_number);
  const char* name = ::strerrorname_np(error_number);
  if (!description || !name) return fmt::format("error {}", error_number);
  return fmt::format("{} ({})", description, name);
}

Error errno_error(int error_number, std::string_view tried, std::string_view advice) {
  const auto separator = advice.empty() ? "" : "; ";
  return Error{errc_of(error_number), fmt::format("{}: {}{}{}", tried, errno_text(error_number), separator, advice)};
}

}  // namespace kflight
