// SPDX-License-Identifier: Apache-2.0
//
// window_file.cpp - writer and reader of the same layout, side by side; for that it is a little over 400 lines.
#include "record/window_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/errors.hpp"
#include "base/units.hpp"
#include "dump/section.hpp"
#include "kflight/dump.hpp"
#include "kflight/wire.h"
#include "record/recorder_name.hpp"

namespace kflight::record {

// ---------------------------------------------------------------- layout

namespace {

constexpr std::uint64_t kMagic = 0x0a4e4957544c464bULL;       // "KFLTWIN\n" read as little endian
constexpr std::uint64_t kStateMagic = 0x0a415453544c464bULL;  // "KFLTSTA\n"
constexpr std::uint32_t kLayoutVersion = 1;                   // of everything in this file
constexpr std::string_view kSuffix = ".window";
constexpr std::uint64_t kAlignment = 64 << 10;  // parts begin at multiples of it: of the largest page there is

struct Head {
  std::uint64_t magic;
  std::uint32_t layout_version;
  std::uint32_t wire_version;  // of the chunks
  std::uint64_t segment_bytes;
  std::uint32_t segments;
  std::uint32_t pid;
  std::uint64_t checksum;  // of the fields above
};
static_assert(sizeof(Head) == 40);

struct StateHead {
  std::uint64_t magic;
  std::uint64_t number;  // the larger one is the newer one
  std::uint64_t bytes;   // of the state, which follows; a dump, so it has checksums of its own
  std::uint64_t checksum;  // of the fields above
};
static_assert(sizeof(StateHead) == 32);

// A checksum of what precedes it, for structures that end in one.
template <class Structure>
std::uint64_t checksum_of(const Structure& s) {
  return dump::checksum(std::as_bytes(std::span{&s, 1}).first(offsetof(Structure, checksum)));
}

// Sequence numbers differ, and so do these: a chunk of an earlier use of its segment never fits.
std::uint64_t chunk_checksum(std::span<const std::byte> chunk, std::uint64_t sequence) {
  return dump::fast_checksum(chunk) ^ sequence * 0x9e3779b97f4a7c15ULL;
}

std::uint64_t checksum_place(std::uint64_t segment_bytes, std::uint64_t chunk_number) {
  return segment_bytes - (chunk_number + 1) * WindowFile::kBytesPerChunk;
}

template <class T>
void store(T& place, T value) noexcept {
  __atomic_store_n(&place, value, __ATOMIC_RELEASE);
}

constexpr std::uint64_t padded(std::uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

struct WindowFile::Mark {
  std::uint64_t sequence;  // the larger one was opened later; 0: it holds nothing
  std::uint64_t chunks;
};

namespace {

constexpr std::uint64_t kMarkBytes = 16;

struct Places {
  std::uint64_t segments;  // where they begin
  std::uint64_t states;    // where the first state begins, the second kMostStateBytes later
};

Places places_of(std::uint64_t segment_bytes, std::uint32_t segments) {
  const auto books = padded(sizeof(Head) + segments * kMarkBytes);
  return {books, books + segments * segment_bytes};
}

std::uint64_t state_place(const Places& places, std::uint64_t slot) {
  return places.states + slot * WindowFile::kMostStateBytes;
}

}  // namespace

// ---------------------------------------------------------------- names

std::string window_directory() {
  const char* directory = std::getenv("KFLIGHT_WINDOW_DIR");
  return directory && *directory ? directory : "/dev/shm/kflight";
}

std::string window_path(const std::string& name) { return fmt::format("{}/{}{}", window_directory(), name, kSuffix); }

std::vector<std::string> window_names() {
  std::vector<std::string> names;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(window_directory(), failed), end; !failed && it != end;
       it.increment(failed))
    if (it->path().extension() == kSuffix && check_recorder_name(it->path().stem().string()))
      names.push_back(it->path().stem().string());
  std::ranges::sort(names);
  return names;
}

// ---------------------------------------------------------------- the recorder's side

namespace {

Result<> require_tmpfs(int fd, const std::string& tried) {
  struct statfs info {};
  if (::fstatfs(fd, &info) != 0) return errno_error(errno, tried);
  if (info.f_type == TMPFS_MAGIC) return {};
  return Error{Errc::kUnsupported, tried + ": it is not on a tmpfs, and a window is memory, not a file on disk; set "
                                           "KFLIGHT_WINDOW_DIR to a directory on one"};
}

// A tmpfs without a limit would take all the memory of the machine before it says no.
bool reserve(int fd, std::uint64_t bytes) {
  const auto memory = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::getpagesize());
  if (bytes <= memory) return ::fallocate(fd, 0, 0, static_cast<off_t>(bytes)) == 0;
  errno = ENOSPC;
  return false;
}

}  // namespace

Result<std::unique_ptr<WindowFile>> WindowFile::create(const std::string& path, const Shape& shape) {
  const auto tried = fmt::format("cannot keep the window in '{}'", path);
  const auto slash = path.rfind('/');
  KF_TRY(ensure_private_directory(slash == path.npos ? "." : path.substr(0, slash),
                                  "set KFLIGHT_WINDOW_DIR to a directory on a tmpfs that only you can write"));
  UniqueFd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
  if (!fd) return errno_error(errno, tried);
  std::unique_ptr<WindowFile> file(new WindowFile(std::move(fd), path, shape));  // from here on removed on failure
  if (::flock(file->fd_.get(), LOCK_EX | LOCK_NB) != 0) return errno_error(errno, tried, "somebody else took it");
  KF_TRY(require_tmpfs(file->fd_.get(), tried));
  const Places places = places_of(shape.segment_bytes, shape.segments);
  const auto reserved = places.segments + shape.backed * shape.segment_bytes;
  if (::ftruncate(file->fd_.get(), static_cast<off_t>(places.states)) != 0 || !reserve(file->fd_.get(), reserved))
    return errno_error(errno, fmt::format("{}: it takes {}", tried, format_bytes(reserved)),
                       "make room there, lower --max-bytes, or set KFLIGHT_WINDOW_DIR to a directory on a larger tmpfs");
  KF_TRY_ASSIGN(file->books_, Mapping::shared_writable(file->fd_.get(), 0, places.segments, "the window's file"));
  Head head{kMagic, kLayoutVersion, KF_WIRE_VERSION, shape.segment_bytes, shape.segments,
            static_cast<std::uint32_t>(::getpid()), 0};
  head.checksum = checksum_of(head);
  std::memcpy(file->books_.writable_bytes().data(), &head, sizeof head);
  return file;
}

WindowFile::~WindowFile() { ::unlink(path_.c_str()); }  // still locked, so nobody else's

Result<Mapping> WindowFile::map_segments() const {
  const Places places = places_of(shape_.segment_bytes, shape_.segments);
  return Mapping::shared_writable(fd_.get(), places.segments, places.states - places.segments, "the window's file");
}

WindowFile::Mark& WindowFile::mark(SegmentId id) noexcept {
  static_assert(sizeof(Mark) == kMarkBytes && sizeof(Head) % alignof(Mark) == 0);
  return reinterpret_cast<Mark*>(books_.writable_bytes().data() + sizeof(Head))[id];
}

std::uint64_t WindowFile::offset_of(SegmentId id) const noexcept {
  return places_of(shape_.segment_bytes, shape_.segments).segments + id * shape_.segment_bytes;
}

bool WindowFile::back(SegmentId id) noexcept {
  return ::fallocate(fd_.get(), 0, static_cast<off_t>(offset_of(id)), static_cast<off_t>(shape_.segment_bytes)) == 0;
}

void WindowFile::open(SegmentId id) noexcept {
  forget(id);
  store<std::uint64_t>(mark(id).chunks, 0);
  store(mark(id).sequence, ++last_sequence_);
}

void WindowFile::forget(SegmentId id) noexcept { store<std::uint64_t>(mark(id).sequence, 0); }

void WindowFile::commit(SegmentId id, std::span<std::byte> segment, std::span<const std::byte> chunk) noexcept {
  Mark& of = mark(id);
  const auto sum = chunk_checksum(chunk, of.sequence);
  std::memcpy(segment.data() + checksum_place(segment.size(), of.chunks), &sum, sizeof sum);
  store(of.chunks, of.chunks + 1);
}

namespace {

// To a place in the file, by pwrite: when there is no memory left it fails, where a store would be SIGBUS.
class StateSink final : public ByteSink {
 public:
  StateSink(int fd, std::uint64_t place) : fd_(fd), place_(place) {}

  Result<> write(std::span<const std::byte> bytes) override {
    if (bytes.size() > WindowFile::kMostStateBytes - sizeof(StateHead) - bytes_)
      return Error{Errc::kIo, fmt::format("cannot save the recorder's state beside the window: it has more than {}",
                                          format_bytes(WindowFile::kMostStateBytes))};
    while (!bytes.empty()) {
      const auto written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(place_ + bytes_));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return errno_error(errno, "cannot save the recorder's state beside the window");
      bytes_ += static_cast<std::uint64_t>(written);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {};
  }
  std::uint64_t bytes() const { return bytes_; }

 private:
  int fd_;
  std::uint64_t place_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

Result<> WindowFile::save_state(const std::function<Result<>(ByteSink&)>& write) {
  const auto number = last_state_ + 1;
  const auto place = state_place(places_of(shape_.segment_bytes, shape_.segments), last_state_ % 2);
  const auto put_head = [&](const StateHead& head) {
    return StateSink(fd_.get(), place).write(std::as_bytes(std::span{&head, 1}));
  };
  KF_TRY(put_head({}));
  StateSink sink(fd_.get(), place + sizeof(StateHead));
  KF_TRY(write(sink));
  StateHead head{kStateMagic, number, sink.bytes(), 0};
  head.checksum = checksum_of(head);
  KF_TRY(put_head(head));
  last_state_ = number;
  return {};
}

// ---------------------------------------------------------------- the reader's side

namespace {

// False when the file ends before. Never SIGBUS, whatever somebody does to the file meanwhile.
bool read_at(int fd, std::uint64_t place, std::span<std::byte> into) {
  while (!into.empty()) {
    const auto bytes = ::pread(fd, into.data(), into.size(), static_cast<off_t>(place));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) return false;
    place += static_cast<std::uint64_t>(bytes);
    into = into.subspan(static_cast<std::size_t>(bytes));
  }
  return true;
}

template <class Structure>
bool read_structure(int fd, std::uint64_t place, Structure& into) {
  return read_at(fd, place, std::as_writable_bytes(std::span{&into, 1}));
}

std::optional<std::vector<std::byte>> read_state(int fd, const StateHead& head, std::uint64_t place,
                                                 std::uint64_t file_bytes) {
  if (head.magic != kStateMagic || head.checksum != checksum_of(head)) return std::nullopt;
  const auto begin = place + sizeof head;
  if (head.bytes > WindowFile::kMostStateBytes - sizeof head || begin > file_bytes || head.bytes > file_bytes - begin)
    return std::nullopt;
  std::vector<std::byte> state(head.bytes);
  if (!read_at(fd, begin, state)) return std::nullopt;
  const auto dump = Dump::from_bytes(state);
  if (!dump || !dump->complete() || !dump->damage().empty()) return std::nullopt;
  return state;
}

// The newer whole one; empty when there is none.
std::vector<std::byte> newest_state(int fd, const Places& places, std::uint64_t file_bytes) {
  std::vector<std::byte> newest;
  std::uint64_t newest_number = 0;
  for (std::uint64_t slot = 0; slot < 2; ++slot) {
    StateHead head{};
    const auto place = state_place(places, slot);
    if (!read_structure(fd, place, head) || head.number <= newest_number) continue;
    auto state = read_state(fd, head, place, file_bytes);
    if (!state) continue;
    newest = std::move(*state);
    newest_number = head.number;
  }
  return newest;
}

// Takes the chunks of one segment. Behind a damaged one its header, when it makes sense, leads to the next.
void take_chunks(std::span<const std::byte> segment, std::uint64_t sequence, std::uint64_t count, LeftWindow& into) {
  std::size_t at = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    kf_chunk head;
    std::uint64_t sum;
    const auto room = segment.size() - at;
    if ((i + 1) * sizeof sum + sizeof head > room) return void(into.damaged_chunks += count - i);
    std::memcpy(&head, segment.data() + at, sizeof head);
    std::memcpy(&sum, segment.data() + checksum_place(segment.size(), i), sizeof sum);
    const auto bytes = sizeof head + head.n_words * sizeof(kf_u64);
    if (head.magic != KF_CHUNK_MAGIC || head.n_words > KF_CHUNK_WORDS + KF_EVENT_WORDS_MAX ||
        bytes + (i + 1) * sizeof sum > room)
      return void(into.damaged_chunks += count - i);
    const auto chunk = segment.subspan(at, bytes);
    if (chunk_checksum(chunk, sequence) == sum)
      into.chunks.push_back(chunk);
    else
      ++into.damaged_chunks;
    at += bytes;
  }
}

Result<Head> read_head(int fd, std::uint64_t file_bytes, const std::string& tried) {
  Head head{};
  const Error damaged{Errc::kDamaged, tried + ": it is damaged, or no window of kflight"};
  if (!read_structure(fd, 0, head) || head.magic != kMagic) return damaged;
  if (head.layout_version != kLayoutVersion || head.wire_version != KF_WIRE_VERSION)
    return Error{Errc::kUnsupported, tried + ": it was written by another version of kflight; recover it with that one"};
  const bool possible = head.checksum == checksum_of(head) && head.segment_bytes % sizeof(kf_u64) == 0 &&
                        head.segment_bytes != 0 && head.segment_bytes <= file_bytes &&
                        head.segments <= file_bytes / head.segment_bytes &&
                        places_of(head.segment_bytes, head.segments).states <= file_bytes;
  if (!possible) return damaged;
  return head;
}

}  // namespace

Result<Leftover> Leftover::open(const std::string& path) {
  const auto tried = fmt::format("cannot open the window '{}'", path);
  UniqueFd fd{::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (!fd) return errno_error(errno, tried);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return errno_error(errno, tried);
  if (!S_ISREG(status.st_mode)) return Error{Errc::kDamaged, tried + ": it is no regular file; remove it"};
  const bool foreign = status.st_uid != 0 && status.st_uid != ::geteuid();
  if (foreign || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return Error{Errc::kPermission, tried + ": other users can write to it, so it may be anything; remove it"};
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return errno_error(errno, tried);
    return Error{Errc::kBusy, tried + ": it is in use by a running recorder"};
  }
  Leftover left(std::move(fd), path);
  left.file_bytes_ = static_cast<std::uint64_t>(status.st_size);
  left.memory_bytes_ = static_cast<std::uint64_t>(status.st_blocks) * 512;
  return left;
}

Result<LeftWindow> Leftover::read() const {
  const auto tried = fmt::format("cannot read the window '{}'", path_);
  KF_TRY_ASSIGN(const Head head, read_head(fd_.get(), file_bytes_, tried));
  struct Found {
    std::uint64_t sequence, chunks;
    std::uint32_t id;
  };
  std::vector<Found> found;
  for (std::uint32_t id = 0; id < head.segments; ++id) {
    WindowFile::Mark mark{};
    if (!read_structure(fd_.get(), sizeof head + id * kMarkBytes, mark)) break;
    if (mark.sequence != 0) found.push_back({mark.sequence, mark.chunks, id});
  }
  // Memory stands behind every segment that a recorder has opened: a file that claims more is none of its.
  if (found.size() > memory_bytes_ / head.segment_bytes)
    return Error{Errc::kDamaged, tried + ": it claims to hold more than it has"};
  std::ranges::sort(found, {}, &Found::sequence);

  LeftWindow window;
  window.pid = head.pid;
  const Places places = places_of(head.segment_bytes, head.segments);
  window.state = newest_state(fd_.get(), places, file_bytes_);
  if (window.state.empty())
    return Error{Errc::kDamaged, tried + ": its recorder died before it began to record; there is nothing in it"};
  for (const Found& segment : found) {
    auto& bytes = window.memory.emplace_back(head.segment_bytes);
    if (!read_at(fd_.get(), places.segments + segment.id * head.segment_bytes, bytes))
      return Error{Errc::kDamaged, tried + ": it was cut off while it was read"};
    take_chunks(bytes, segment.sequence, std::min(segment.chunks, head.segment_bytes / sizeof(kf_chunk)), window);
  }
  return window;
}

Result<> Leftover::remove() const {
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT)
    return errno_error(errno, fmt::format("cannot remove the window '{}'", path_));
  return {};
}

Result<> Leftover::rename_to(const std::string& path) const {
  if (::rename(path_.c_str(), path.c_str()) != 0)
    return errno_error(errno, fmt::format("cannot rename the window '{}'", path_));
  return {};
}

}  // namespace kflight::record
