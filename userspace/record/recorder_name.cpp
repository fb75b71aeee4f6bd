// SPDX-License-Identifier: Apache-2.0
#include "record/recorder_name.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/errors.hpp"
#include "base/escape.hpp"

namespace kflight::record {

namespace {

constexpr std::size_t kLongestName = 64;
constexpr std::string_view kSocketSuffix = ".sock", kLockSuffix = ".lock", kUnsavedSuffix = ".unsaved";
constexpr int kLockAttempts = 100;  // each lost to a recorder that ended in that very moment

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

std::string path_of(std::string_view name, std::string_view suffix) {
  return fmt::format("{}/{}{}", runtime_directory(), name, suffix);
}

// The PID a lock file holds, as text; "?" when it cannot be told.
std::string holder_of(int fd) {
  char text[16] = {};
  const auto bytes = ::pread(fd, text, sizeof text - 1, 0);
  const std::string_view pid(text, bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
  const auto digits = pid.substr(0, pid.find('\n'));
  const bool valid = !digits.empty() && std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  return valid ? std::string(digits) : "?";
}

// A recorder that ends removes its lock file: the one locked may no longer be the one others find.
bool still_there(int fd, const std::string& path) {
  struct stat ours {
  }, found{};
  return ::fstat(fd, &ours) == 0 && ::lstat(path.c_str(), &found) == 0 && ours.st_ino == found.st_ino &&
         ours.st_dev == found.st_dev;
}

Result<> write_pid(int fd, const std::string& path) {
  const auto pid = fmt::format("{}\n", ::getpid());
  const bool written =
      ::ftruncate(fd, 0) == 0 && ::pwrite(fd, pid.data(), pid.size(), 0) == static_cast<ssize_t>(pid.size());
  if (!written)
    return errno_error(errno, fmt::format("cannot write the lock file '{}'", path), "make room on that file system");
  return {};
}

}  // namespace

Result<> ensure_private_directory(const std::string& path, std::string_view advice) {
  const auto tried = fmt::format("cannot use the directory '{}'", path);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return errno_error(errno, fmt::format("cannot create the directory '{}'", path), advice);
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return errno_error(errno, tried, advice);
  if (!S_ISDIR(status.st_mode)) return Error{Errc::kIo, fmt::format("{}: it is not a directory; {}", tried, advice)};
  const bool foreign = status.st_uid != 0 && status.st_uid != ::geteuid();
  if (foreign || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return Error{Errc::kPermission, fmt::format("{}: other users can write to it; {}", tried, advice)};
  return {};
}

std::string runtime_directory() {
  const char* directory = std::getenv("KFLIGHT_RUNTIME_DIR");
  return directory && *directory ? directory : "/run/kflight";
}

Result<> check_recorder_name(std::string_view name_untrusted) {
  const bool good = !name_untrusted.empty() && name_untrusted.size() <= kLongestName && name_untrusted[0] != '.' &&
                    std::ranges::all_of(name_untrusted, is_name_char);
  if (good) return {};
  return Error{Errc::kUsage,
               fmt::format("bad recorder name '{}': use up to {} letters, digits, '.', '_' and '-', not "
                           "starting with '.'",
                           escape_for_terminal(name_untrusted.substr(0, 2 * kLongestName)), kLongestName)};
}

std::string unsaved_name(std::string_view name) {
  return fmt::format("{}{}", name.substr(0, kLongestName - kUnsavedSuffix.size()), kUnsavedSuffix);
}

std::string control_socket_path(std::string_view name) { return path_of(name, kSocketSuffix); }

std::vector<std::string> recorder_names() {
  std::vector<std::string> names;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(runtime_directory(), failed), end; !failed && it != end;
       it.increment(failed))
    if (it->path().extension() == kSocketSuffix) names.push_back(it->path().stem().string());
  std::ranges::sort(names);
  return names;
}

Result<NameLock> NameLock::acquire(const std::string& name) {
  KF_TRY(check_recorder_name(name));
  KF_TRY(ensure_private_directory(runtime_directory(),
                                  "set KFLIGHT_RUNTIME_DIR to a directory that only you can write"));
  const auto path = path_of(name, kLockSuffix);
  const auto tried = fmt::format("cannot lock '{}'", path);
  for (int attempt = 0; attempt < kLockAttempts; ++attempt) {
    UniqueFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600)};
    if (!fd) return errno_error(errno, tried);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return errno_error(errno, tried);
      return Error{Errc::kBusy,
                   fmt::format("a recorder named '{0}' is running as PID {1}; stop it with `kflight stop --name "
                               "{0}` or choose another --name",
                               name, holder_of(fd.get()))};
    }
    if (!still_there(fd.get(), path)) continue;
    NameLock lock(std::move(fd), path);
    KF_TRY(write_pid(lock.fd_.get(), path));
    return lock;
  }
  return Error{Errc::kBusy, tried + ": recorders of this name come and go too quickly; choose another --name"};
}

NameLock::~NameLock() {
  if (fd_ && still_there(fd_.get(), path_)) ::unlink(path_.c_str());  // else somebody removed it, and it is another's
}

void clear_name_of_the_dead(const std::string& name) {
  if (const auto lock = NameLock::acquire(name)) ::unlink(control_socket_path(name).c_str());
}

}  // namespace kflight::record
