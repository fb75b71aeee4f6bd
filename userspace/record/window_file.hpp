// SPDX-License-Identifier: Apache-2.0
//
// window_file.hpp - the window's memory as a file that outlives the recorder: what is in it, and how it is read back.
//
//   file    := head, a mark per segment | segments | two states
//   segment := chunks as a dump has them -> ... <- their checksums, from the segment's end
//   state   := its head, then a dump without chunks: all that a dump needs besides them
//
// It lies on a tmpfs: memory, not disk. Only the end of the process is survived, not that of the machine, so every store
// made before is there and nothing need be flushed. Nothing half done is taken for whole: a chunk counts when the mark's
// count says so, which is stored last, and when its checksum holds, which the segment's sequence number is part of, so
// that what an earlier use of the segment left never fits; of the two states the newer whole one counts. A living
// recorder holds a lock on the file; one that nobody locks was left behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mapping.hpp"
#include "base/unique_fd.hpp"
#include "kflight/byte_sink.hpp"
#include "kflight/result.hpp"

namespace kflight::record {

// Where windows lie: $KFLIGHT_WINDOW_DIR, else /dev/shm/kflight.
std::string window_directory();
std::string window_path(const std::string& name);
// Names of recorders that have a window there, sorted: of living ones, and left behind.
std::vector<std::string> window_names();

// The recorder's side. The consumer's thread opens and commits, under the window's lock; save_state is called by one
// thread at a time. Destroying it removes the file.
class WindowFile {
 public:
  using SegmentId = std::uint32_t;
  static constexpr std::size_t kBytesPerChunk = 8;  // that a segment has less for each chunk in it
  static constexpr std::uint64_t kMostStateBytes = 64 << 20;

  struct Shape {
    std::uint64_t segment_bytes;  // a multiple of the page size
    std::uint32_t segments;
    std::uint32_t backed;         // of which so many, the first ones, get memory at once
  };

  // Memory is reserved here, so no later store can fail for want of it. Fails when there is too little, when the
  // directory is not on a tmpfs or others can write to it, or when a file of that name is there.
  static Result<std::unique_ptr<WindowFile>> create(const std::string& path, const Shape& shape);
  ~WindowFile();
  WindowFile(const WindowFile&) = delete;
  WindowFile& operator=(const WindowFile&) = delete;

  const std::string& path() const noexcept { return path_; }
  Result<Mapping> map_segments() const;
  // Gets memory for a segment that has none; false when there is none left. A system call.
  bool back(SegmentId id) noexcept;

  // From here on the segment holds nothing, and is the newest.
  void open(SegmentId id) noexcept;
  // `chunk` is written to the segment, behind those committed before it: from here on it counts.
  void commit(SegmentId id, std::span<std::byte> segment, std::span<const std::byte> chunk) noexcept;
  // What the segment holds no longer counts.
  void forget(SegmentId id) noexcept;

  // What `write` writes (a dump without chunks) takes the place of the older of the two states. After an error the
  // newer one is as it was.
  Result<> save_state(const std::function<Result<>(ByteSink&)>& write);

 private:
  struct Mark;

  WindowFile(UniqueFd fd, std::string path, const Shape& shape) : fd_(std::move(fd)), path_(std::move(path)), shape_(shape) {}
  Mark& mark(SegmentId id) noexcept;
  std::uint64_t offset_of(SegmentId id) const noexcept;

  friend class Leftover;
  UniqueFd fd_;  // locked
  std::string path_;
  Shape shape_;
  Mapping books_;  // head and marks
  std::uint64_t last_sequence_ = 0;
  std::uint64_t last_state_ = 0;
};

// What was found in a file that a recorder left behind.
struct LeftWindow {
  std::uint32_t pid = 0;         // of the recorder
  std::vector<std::byte> state;  // a dump without chunks; untrusted
  std::vector<std::span<const std::byte>> chunks;  // whole ones in the order they arrived; their words are untrusted
  std::uint64_t damaged_chunks = 0;  // left out: their checksum did not hold

  std::vector<std::vector<std::byte>> memory;  // what `chunks` points into
};

// A file that no living recorder has. Locked, so that nobody else takes it too. Everything in it is untrusted: reading
// takes no more memory than the file does, and no size or offset in it is believed.
class Leftover {
 public:
  // kNotFound; kBusy: its recorder lives; kPermission: it is somebody else's; kDamaged: no regular file.
  static Result<Leftover> open(const std::string& path);

  const std::string& path() const noexcept { return path_; }
  std::uint64_t memory_bytes() const noexcept { return memory_bytes_; }
  // kDamaged: no window, or one that had nothing in it yet; kUnsupported: of another version of kflight.
  Result<LeftWindow> read() const;
  Result<> remove() const;
  // Keeps it under another name, in the same directory, in place of what may be there.
  Result<> rename_to(const std::string& path) const;

 private:
  Leftover(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;
  std::uint64_t file_bytes_ = 0;
  std::uint64_t memory_bytes_ = 0;
};

}  // namespace kflight::record
