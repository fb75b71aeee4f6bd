// SPDX-License-Identifier: Apache-2.0
//
// atomic_file.cpp - a file that exists under its name only when it is whole and on disk. Everything goes through the
// directory's descriptor, so a directory renamed meanwhile cannot split one file over two places.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

#include "base/errors.hpp"
#include "base/output_directory.hpp"
#include "base/sinks.hpp"

namespace kflight {

namespace {

constexpr int kCreateAttempts = 16;

bool is_same_file(int directory_fd, const std::string& name, int fd) {
  struct stat by_name {};
  struct stat by_fd {};
  return ::fstatat(directory_fd, name.c_str(), &by_name, AT_SYMLINK_NOFOLLOW) == 0 && ::fstat(fd, &by_fd) == 0 &&
         by_name.st_dev == by_fd.st_dev && by_name.st_ino == by_fd.st_ino;
}

// Removes the partial file of a dead run. Ok also when it has vanished meanwhile; kBusy when its writer lives.
Result<> remove_stale(int directory_fd, const std::string& name, const std::string& path) {
  UniqueFd stale{::openat(directory_fd, name.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)};
  if (!stale && errno == ENOENT) return Ok{};
  struct stat status {};
  if (!stale || ::fstat(stale.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return Error{Errc::kUsage, fmt::format("cannot create '{}': something that is no regular file is there (a symbolic "
                                           "link?); remove it or choose another directory",
                                           path)};
  if (::flock(stale.get(), LOCK_EX | LOCK_NB) != 0)
    return Error{Errc::kBusy,
                 fmt::format("cannot create '{}': another process is writing it now; wait for it or choose "
                             "another name",
                             path)};
  if (is_same_file(directory_fd, name, stale.get()) && ::unlinkat(directory_fd, name.c_str(), 0) != 0)
    return errno_error(errno, fmt::format("cannot replace the stale '{}'", path));
  return Ok{};
}

// Creates and locks the partial file. Between creation and lock another run may take the new file for a stale one and
// remove it; then the name no longer leads to our file and the attempt is repeated.
Result<UniqueFd> create_locked(int directory_fd, const std::string& name, const std::string& path) {
  for (int attempt = 0; attempt < kCreateAttempts; ++attempt) {
    UniqueFd file{::openat(directory_fd, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (file) {
      if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0 && is_same_file(directory_fd, name, file.get())) return file;
      continue;
    }
    if (errno != EEXIST) return errno_error(errno, fmt::format("cannot create '{}'", path));
    KF_TRY(remove_stale(directory_fd, name, path));
  }
  return Error{Errc::kBusy,
               fmt::format("cannot create '{}': other processes keep taking the name; choose another one", path)};
}

int rename_no_replace(int directory_fd, const char* from, const char* to) {
  if (::renameat2(directory_fd, from, directory_fd, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  // The file system cannot refuse to replace; a hard link can.
  if (::linkat(directory_fd, from, directory_fd, to, 0) != 0) return -1;
  return ::unlinkat(directory_fd, from, 0);
}

}  // namespace

Result<AtomicFile> AtomicFile::create(const std::string& directory, const std::string& name) {
  if (name.empty() || name.find('/') != std::string::npos)
    return Error{Errc::kUsage, fmt::format("cannot create a file named '{}': a name without '/' is needed", name)};
  KF_TRY_ASSIGN(auto directory_fd, open_output_directory(directory));
  const auto partial = name + ".partial";
  KF_TRY_ASSIGN(auto file, create_locked(directory_fd.get(), partial, directory + "/" + partial));
  return AtomicFile{std::move(directory_fd), std::move(file), directory, name};
}

AtomicFile::AtomicFile(UniqueFd directory, UniqueFd file, std::string directory_path, std::string name)
    : directory_(std::move(directory)),
      file_(std::move(file)),
      name_(std::move(name)),
      partial_name_(name_ + ".partial"),
      path_(std::move(directory_path) + "/" + name_) {}

AtomicFile::~AtomicFile() {
  if (file_) ::unlinkat(directory_.get(), partial_name_.c_str(), 0);
}

Result<> AtomicFile::write(std::span<const std::byte> bytes) {
  KF_TRY(write_all(file_.get(), bytes, path_));
  bytes_written_ += bytes.size();
  return Ok{};
}

Result<> AtomicFile::rename_to_free_name() {
  if (rename_no_replace(directory_.get(), partial_name_.c_str(), name_.c_str()) == 0) return Ok{};
  const auto advice = errno == EEXIST ? "it was there before and is left as it is; choose another name" : "";
  return errno_error(errno, fmt::format("cannot give the finished file its name '{}'", path_), advice);
}

Result<> AtomicFile::rename_over() {
  if (::renameat(directory_.get(), partial_name_.c_str(), directory_.get(), name_.c_str()) == 0) return Ok{};
  return errno_error(errno, fmt::format("cannot give the finished file its name '{}'", path_));
}

Result<> AtomicFile::commit(Result<> (AtomicFile::*rename)()) {
  if (::fsync(file_.get()) != 0) return errno_error(errno, fmt::format("cannot bring '{}' to disk", path_));
  KF_TRY((this->*rename)());
  file_.reset();
  // EINVAL: this file system has no directory to synchronise.
  if (::fsync(directory_.get()) != 0 && errno != EINVAL)
    return errno_error(errno, fmt::format("'{}' is written but its name may not survive a crash", path_));
  return Ok{};
}

}  // namespace kflight
