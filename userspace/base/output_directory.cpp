// SPDX-License-Identifier: Apache-2.0
#include "base/output_directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/errors.hpp"

namespace kflight {

namespace {

// Whoever became root by sudo may do anything as root; files of theirs beside the dump harm nobody else.
bool is_sudo(const char* variable, unsigned id) {
  const char* const text = ::geteuid() == 0 ? std::getenv(variable) : nullptr;
  return text != nullptr && std::to_string(id) == text;
}

}  // namespace

Result<UniqueFd> open_output_directory(const std::string& path) {
  constexpr std::string_view kAnother = "choose another directory with -o";
  UniqueFd directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  struct stat status {};
  if (!directory && errno == ENOTDIR)
    return Error{Errc::kUsage, fmt::format("cannot write to '{}': it is not a directory; {}", path, kAnother)};
  if (!directory || ::fstat(directory.get(), &status) != 0)
    return errno_error(errno, fmt::format("cannot open the output directory '{}'", path),
                       errno == ENOENT ? "create it, or choose another with -o" : kAnother);
  const auto refuse = [&](std::string why) {
    return Error{Errc::kPermission, fmt::format("cannot write to '{}': {}", path, why)};
  };
  if (status.st_uid != 0 && status.st_uid != ::geteuid() && !is_sudo("SUDO_UID", status.st_uid))
    return refuse(fmt::format("the directory belongs to user {}, who could replace the files in it; {}", status.st_uid,
                              kAnother));
  const bool sticky = (status.st_mode & S_ISVTX) != 0;
  if ((status.st_mode & S_IWOTH) != 0 && !sticky)
    return refuse(fmt::format("every user could replace the files in that directory; chmod o-w it, or {}", kAnother));
  const bool known_group = status.st_gid == 0 || status.st_gid == ::getegid() || is_sudo("SUDO_GID", status.st_gid);
  if ((status.st_mode & S_IWGRP) != 0 && !known_group && !sticky)
    return refuse(fmt::format("group {} could replace the files in that directory; chmod g-w it, or {}", status.st_gid,
                              kAnother));
  return directory;
}

}  // namespace kflight
