// SPDX-License-Identifier: Apache-2.0
//
// window.hpp - the rolling window: chunks as they came from the kernel, in arrival order, in an arena that never grows.
// The oldest chunks leave when the arena is full, or when they are older than min_age; what leaves is folded into a
// dump::BaseState, so the state at the window's first instant is always known.
//
// Threads: one appends (the consumer), any may pin and read a snapshot, any may ask for stats. A snapshot holds its
// segments by count, without copying them, and gives each back as soon as it has been read; meanwhile recording goes on
// in the other half of the arena. The lock is held for microseconds by everybody but the appender evicting a segment
// (under a millisecond, and only other readers of the window wait for that).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.hpp"
#include "dump/base_state.hpp"
#include "kflight/dump.hpp"
#include "kflight/result.hpp"
#include "kflight/wire.h"
#include "record/arena.hpp"
#include "record/drop_log.hpp"

namespace kflight::record {

struct WindowStats {
  WindowInfo info;
  std::uint64_t chunks_appended = 0;  // since start; dropped ones not included
  std::uint64_t events_appended = 0;
  std::uint64_t hits_appended = 0;
  std::uint64_t events_evicted = 0;
  std::uint64_t chunks_dropped = 0;  // no room because of dumps that hold segments, or malformed
  std::uint64_t events_dropped = 0;
};

class WindowSnapshot;

class Window {
 public:
  struct Options {
    std::uint64_t max_bytes = 64 << 20;
    std::chrono::nanoseconds min_age = std::chrono::seconds(10);
    std::string file;  // where it lies so that it outlives the recorder (WindowFile); empty: nowhere
  };

  static Result<std::unique_ptr<Window>> create(const Options& options);
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  // Recording is complete from here on: the window's from_ns until something was evicted. Before the first append.
  void begin_at(std::uint64_t boottime_ns) KF_EXCLUDES(mutex_);
  // Threads that exist at the start. Waits while a pin copies the base state.
  void add_snapshot(std::span<const kf_task> tasks) KF_EXCLUDES(mutex_);

  // One kf_chunk and its words. Always the same thread. Never allocates but for threads never seen before.
  void append(const void* record, std::size_t bytes) noexcept KF_EXCLUDES(mutex_);

  // Everything in the window now. Copies the base state, which takes about 20 ms per 100,000 threads; the appender does
  // not wait for it, it merely evicts nothing during that time. The window must outlive the snapshot.
  WindowSnapshot pin() KF_EXCLUDES(mutex_);
  // The same without the chunks: what is known from before the first of them.
  WindowSnapshot pin_base() KF_EXCLUDES(mutex_);
  // Null: the window is lost with the recorder. Lives as long as the window.
  WindowFile* file() KF_EXCLUDES(mutex_);

  WindowStats stats() const KF_EXCLUDES(mutex_);
  // Of threads that blocked before the window and have not run since.
  std::vector<kf_base_stack> base_stacks() const KF_EXCLUDES(mutex_);

 private:
  friend class WindowSnapshot;
  using SegmentId = Arena::SegmentId;

  struct Segment {
    std::size_t used = 0;    // bytes of whole chunks from the segment's start
    std::size_t tail = 0;    // bytes at its end that they take besides
    std::uint32_t pins = 0;  // snapshots that still need it
    bool in_window = false;
  };

  Window(const Options& options, Arena arena);

  enum class Chunks { kWith, kWithout };
  WindowSnapshot pin(Chunks chunks) KF_EXCLUDES(mutex_);
  void pin_chunks(WindowSnapshot& snapshot) KF_REQUIRES(mutex_);
  std::byte* reserve(std::size_t bytes) KF_REQUIRES(mutex_);
  bool open_segment() KF_REQUIRES(mutex_);
  void evict_old() KF_REQUIRES(mutex_);
  void evict_first_segment() KF_REQUIRES(mutex_);
  void evict_chunk() KF_REQUIRES(mutex_);
  void leave_first_segment() KF_REQUIRES(mutex_);
  void forget_exited() KF_REQUIRES(mutex_);
  bool first_segment_done() const KF_REQUIRES(mutex_);
  WindowInfo info() const KF_REQUIRES(mutex_);

  void unpin(SegmentId id) KF_EXCLUDES(mutex_);
  void return_surplus_memory() KF_EXCLUDES(mutex_);
  void copy_base(WindowSnapshot& snapshot) const KF_NO_THREAD_SAFETY_ANALYSIS;

  // The segments of the window, oldest first: a ring of fixed capacity.
  SegmentId nth(std::size_t i) const KF_REQUIRES(mutex_) { return ring_[(first_ + i) % ring_.size()]; }
  Segment& last() KF_REQUIRES(mutex_) { return segments_[nth(count_ - 1)]; }

  const std::uint64_t min_age_ns_;

  mutable Mutex mutex_;
  CondVar thawed_;
  Arena arena_ KF_GUARDED_BY(mutex_);  // the bytes of pinned segments are read without the lock
  std::vector<Segment> segments_ KF_GUARDED_BY(mutex_);
  std::vector<SegmentId> ring_ KF_GUARDED_BY(mutex_);
  std::size_t first_ KF_GUARDED_BY(mutex_) = 0;  // index in ring_
  std::size_t count_ KF_GUARDED_BY(mutex_) = 0;
  std::size_t head_ KF_GUARDED_BY(mutex_) = 0;            // where the oldest chunk starts in the first segment
  std::uint32_t base_readers_ KF_GUARDED_BY(mutex_) = 0;  // pins that copy base_: nothing is folded meanwhile
  dump::BaseState base_ KF_GUARDED_BY(mutex_);            // written only while base_readers_ is 0
  std::size_t left_ KF_GUARDED_BY(mutex_) = 0;  // segments that left the window since exited threads were forgotten

  std::uint64_t started_ns_ KF_GUARDED_BY(mutex_) = 0;
  std::uint64_t newest_ns_ KF_GUARDED_BY(mutex_) = 0;
  std::uint64_t evicted_through_ns_ KF_GUARDED_BY(mutex_) = 0;
  bool limited_by_age_ KF_GUARDED_BY(mutex_) = false;
  WindowStats counters_ KF_GUARDED_BY(mutex_);  // info: bytes, chunks, events and hits in the window
  DropLog drops_ KF_GUARDED_BY(mutex_);
};

// What pin() saw. Move-only; one thread.
class WindowSnapshot {
 public:
  WindowSnapshot(WindowSnapshot&& other) noexcept;
  WindowSnapshot& operator=(WindowSnapshot&&) = delete;
  ~WindowSnapshot();

  WindowInfo info;                       // as of the pin
  std::vector<kf_base_task> base_tasks;  // what was known before the first chunk
  std::vector<kf_base_lane> base_lanes;
  std::vector<kf_base_stack> base_stacks;
  std::vector<kf_loss> losses;  // KF_LOSS_WINDOW; the lanes' numbering shows the same holes: do not add up

  // The next piece: whole chunks in arrival order, up to a segment. Empty at the end. Gives back the piece before it.
  std::span<const std::byte> next_piece();

 private:
  friend class Window;
  struct Piece {
    Arena::SegmentId segment;
    std::span<const std::byte> bytes;
  };

  explicit WindowSnapshot(Window& window) : window_(&window) {}

  Window* window_;
  std::vector<Piece> pieces_;
  std::size_t next_ = 0;  // pieces before next_ - 1 are given back
};

}  // namespace kflight::record
