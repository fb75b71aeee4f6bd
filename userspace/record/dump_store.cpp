// SPDX-License-Identifier: Apache-2.0
#include "record/dump_store.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>

#include "base/errors.hpp"
#include "base/output_directory.hpp"
#include "base/sinks.hpp"
#include "base/unique_fd.hpp"

namespace kflight::record {

namespace {

constexpr std::string_view kSuffix = ".kfr", kPartialSuffix = ".kfr.partial";
constexpr std::size_t kLongestReason = 40;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return c >= 'a' && c <= 'z'; }

std::string prefix_of(std::string_view name) { return fmt::format("kflight-{}-", name); }

// Takes `least` or more digits and a '-' from the front of `text`.
bool take_number(std::string_view& text, std::size_t least, std::size_t most) {
  const auto digits = static_cast<std::size_t>(std::ranges::find_if_not(text, is_digit) - text.begin());
  if (digits < least || digits > most || digits == text.size() || text[digits] != '-') return false;
  text.remove_prefix(digits + 1);
  return true;
}

// Lower case, digits and '-', starting with a letter: so a name with digits in it cannot be taken for another's.
std::string file_reason(std::string_view reason) {
  std::string out;
  for (const char c : reason.substr(0, kLongestReason)) {
    const char low = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    out += is_letter(low) || is_digit(low) ? low : '-';
  }
  return out.empty() || !is_letter(out[0]) ? "dump" + (out.empty() ? "" : "-" + out) : out;
}

std::string local_time(std::uint64_t realtime_ns) {
  const auto seconds = static_cast<std::time_t>(realtime_ns / 1'000'000'000);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return fmt::format("{:%Y%m%d-%H%M%S}", local);
}

Result<> check_directory(const std::string& path) {
  KF_TRY(open_output_directory(path));
  if (::faccessat(AT_FDCWD, path.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    return errno_error(errno, fmt::format("cannot write dumps to '{}'", path), "make it writable or name another with -o");
  return {};
}

struct FoundFile {
  std::string path;
  std::uint64_t bytes;
  timespec written;
};

// Regular files in `directory` whose names `wanted` accepts, oldest first. What vanishes meanwhile is left out.
template <class Wanted>
std::vector<FoundFile> find_files(const std::string& directory, Wanted wanted) {
  std::vector<FoundFile> files;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(directory, failed), end; !failed && it != end; it.increment(failed)) {
    const auto path = it->path().string();
    struct stat status {};
    if (!wanted(it->path().filename().string()) || ::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode))
      continue;
    files.push_back({path, static_cast<std::uint64_t>(status.st_size), status.st_mtim});
  }
  std::ranges::sort(files, {},
                    [](const FoundFile& f) { return std::tuple(f.written.tv_sec, f.written.tv_nsec, f.path); });
  return files;
}

// A living writer holds a lock on its partial file.
void remove_if_abandoned(const std::string& path) {
  const UniqueFd file{::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)};
  if (file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
}

}  // namespace

bool is_dump_name(std::string_view file_name, std::string_view name) {
  const auto prefix = prefix_of(name);
  if (!file_name.starts_with(prefix) || !file_name.ends_with(kSuffix)) return false;
  file_name.remove_prefix(prefix.size());
  constexpr std::size_t kMostDigits = 20;
  if (!take_number(file_name, 8, 8) || !take_number(file_name, 6, 6) || !take_number(file_name, 3, kMostDigits))
    return false;
  const auto reason = file_name.substr(0, file_name.size() - std::min(file_name.size(), kSuffix.size()));
  return !reason.empty() && is_letter(reason[0]) &&
         std::ranges::all_of(reason, [](char c) { return is_letter(c) || is_digit(c) || c == '-'; });
}

Result<std::unique_ptr<DumpStore>> DumpStore::open(const Options& options) {
  KF_TRY(check_directory(options.directory));
  const auto half_written = [&](std::string_view file) {
    return file.ends_with(kPartialSuffix) &&
           is_dump_name(file.substr(0, file.size() - (kPartialSuffix.size() - kSuffix.size())), options.name);
  };
  for (const auto& file : find_files(options.directory, half_written)) remove_if_abandoned(file.path);
  return std::unique_ptr<DumpStore>(new DumpStore(options));
}

bool DumpStore::belongs_to_another() const {
  struct stat status {};
  return ::stat(options_.directory.c_str(), &status) == 0 && status.st_uid != 0 && status.st_uid != ::geteuid();
}

Result<StoredDump> DumpStore::store(std::string_view reason, std::uint64_t realtime_ns, const Write& write) {
  auto outcome = write_file(options_.directory, free_name(reason, realtime_ns), write);
  if (outcome) make_room(*outcome);
  return count(std::move(outcome));
}

Result<StoredDump> DumpStore::store_at(const std::string& path, const Write& write) {
  const auto slash = path.rfind('/');
  if (!path.starts_with('/') || slash + 1 == path.size())
    return count(
        Error{Errc::kUsage, fmt::format("cannot write a dump to '{}': an absolute path of a file is needed", path)});
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0)
    return count(
        Error{Errc::kUsage, fmt::format("cannot write a dump to '{}': it exists already; choose another name", path)});
  return count(write_file(slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1), write));
}

DumpStore::Counts DumpStore::counts() const {
  MutexLock lock(mutex_);
  return counts_;
}

// A run that ended within this very second may have used the number.
std::string DumpStore::free_name(std::string_view reason, std::uint64_t realtime_ns) {
  for (;;) {
    auto name = fmt::format("{}{}-{:03}-{}{}", prefix_of(options_.name), local_time(realtime_ns), next_number_++,
                            file_reason(reason), kSuffix);
    struct stat status {};
    if (::lstat((options_.directory + "/" + name).c_str(), &status) != 0) return name;
  }
}

Result<StoredDump> DumpStore::write_file(const std::string& directory, const std::string& name, const Write& write) {
  KF_TRY_ASSIGN(auto file, AtomicFile::create(directory, name));
  KF_TRY(write(file));
  KF_TRY(file.commit());
  return StoredDump{.path = file.path(), .bytes = file.bytes_written()};
}

void DumpStore::make_room(StoredDump& newest) const {
  if (options_.max_dump_bytes == 0) return;
  const auto files =
      find_files(options_.directory, [&](const std::string& file) { return is_dump_name(file, options_.name); });
  std::uint64_t total = 0;
  for (const auto& file : files) total += file.bytes;
  for (const auto& file : files) {
    if (total <= options_.max_dump_bytes) return;
    if (file.path == newest.path) continue;
    if (::unlink(file.path.c_str()) == 0) {
      total -= file.bytes;
      newest.removed.push_back(file.path);
    } else if (errno != ENOENT) {
      newest.removal_error = errno_error(errno, fmt::format("cannot remove the old dump '{}'", file.path)).what;
    }
  }
}

Result<StoredDump> DumpStore::count(Result<StoredDump> outcome) {
  MutexLock lock(mutex_);
  if (!outcome) {
    ++counts_.failed;
    counts_.last_error = outcome.error().what;
    return outcome;
  }
  ++counts_.written;
  counts_.removed += outcome->removed.size();
  if (!outcome->removal_error.empty()) counts_.last_error = outcome->removal_error;
  return outcome;
}

}  // namespace kflight::record
