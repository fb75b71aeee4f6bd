// SPDX-License-Identifier: Apache-2.0
#include "record/window.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

namespace kflight::record {

namespace {

// Chunks that age may evict per append: after a long silence the old ones leave over many appends, not in one stall.
constexpr int kOldChunksPerAppend = 4;
constexpr std::size_t kSnapshotBatch = 512;  // records added per lock: the appender gets its turn in between
constexpr std::size_t kLongestRecord = sizeof(kf_chunk) + (KF_CHUNK_WORDS + KF_EVENT_WORDS_MAX) * sizeof(kf_u64);

std::size_t record_bytes(const kf_chunk& chunk) { return sizeof(kf_chunk) + chunk.n_words * sizeof(kf_u64); }

// Our own BPF program made it; a record that is not what it should be must still not damage its neighbours.
bool well_formed(const kf_chunk& chunk, std::size_t bytes) {
  return chunk.magic == KF_CHUNK_MAGIC && record_bytes(chunk) <= std::min(bytes, kLongestRecord);
}

// Records are written at multiples of 8 and only ever read once written.
const kf_chunk& chunk_at(std::span<const std::byte> bytes, std::size_t at) {
  return *reinterpret_cast<const kf_chunk*>(bytes.data() + at);
}

std::span<const kf_u64> words_of(const kf_chunk& chunk) {
  return {reinterpret_cast<const kf_u64*>(&chunk + 1), chunk.n_words};
}

}  // namespace

Result<std::unique_ptr<Window>> Window::create(const Options& options) {
  KF_TRY_ASSIGN(auto arena, Arena::create(options.max_bytes, options.file));
  return std::unique_ptr<Window>(new Window(options, std::move(arena)));
}

Window::Window(const Options& options, Arena arena)
    : min_age_ns_(static_cast<std::uint64_t>(std::max<std::int64_t>(0, options.min_age.count()))),
      arena_(std::move(arena)),
      segments_(arena_.total_segments()),
      ring_(arena_.total_segments()) {}

void Window::begin_at(std::uint64_t boottime_ns) {
  MutexLock lock(mutex_);
  started_ns_ = boottime_ns;
}

void Window::add_snapshot(std::span<const kf_task> tasks) {
  while (!tasks.empty()) {
    const auto batch = tasks.first(std::min(kSnapshotBatch, tasks.size()));
    tasks = tasks.subspan(batch.size());
    MutexLock lock(mutex_);
    while (base_readers_ != 0) thawed_.wait(mutex_);
    for (const auto& task : batch) base_.add_snapshot(task);
  }
}

// ---------------------------------------------------------------- the appender

void Window::append(const void* record, std::size_t bytes) noexcept {
  kf_chunk chunk{};
  std::memcpy(&chunk, record, std::min(bytes, sizeof chunk));
  MutexLock lock(mutex_);
  if (!well_formed(chunk, bytes)) {
    ++counters_.chunks_dropped;
    return;
  }
  newest_ns_ = std::max<std::uint64_t>(newest_ns_, chunk.last_ns);
  evict_old();
  const auto size = record_bytes(chunk);
  std::byte* place = reserve(size);
  if (!place) {
    ++counters_.chunks_dropped;
    counters_.events_dropped += chunk.n_events;
    drops_.add(chunk);
    return;
  }
  drops_.end_episode();
  std::memcpy(place, record, size);
  arena_.commit(nth(count_ - 1), {place, size});
  ++counters_.chunks_appended;
  counters_.events_appended += chunk.n_events;
  counters_.hits_appended += chunk.n_hits;
  counters_.info.bytes += size;
  ++counters_.info.chunks;
  counters_.info.events += chunk.n_events;
  counters_.info.hits += chunk.n_hits;
}

// Room at the end of the window; null when every segment is held by a dump.
std::byte* Window::reserve(std::size_t bytes) {
  const auto tail = arena_.bytes_per_chunk();
  const bool fits = count_ > 0 && last().used + last().tail + bytes + tail <= arena_.segment_bytes();
  if (!fits && !open_segment()) return nullptr;
  last().tail += tail;
  return arena_.segment(nth(count_ - 1)).data() + std::exchange(last().used, last().used + bytes);
}

bool Window::open_segment() {
  while (count_ >= arena_.window_segments() && base_readers_ == 0) evict_first_segment();
  const auto id = arena_.take();
  if (!id) return false;
  segments_[*id] = {.used = 0, .tail = 0, .pins = 0, .in_window = true};
  ring_[(first_ + count_) % ring_.size()] = *id;
  ++count_;
  if (first_segment_done()) leave_first_segment();
  return true;
}

void Window::evict_old() {
  for (int i = 0; i < kOldChunksPerAppend && counters_.info.chunks > 0 && base_readers_ == 0; ++i) {
    const auto& oldest = chunk_at(arena_.segment(nth(0)), head_);
    if (oldest.last_ns + min_age_ns_ >= newest_ns_) return;
    limited_by_age_ = true;
    evict_chunk();
  }
}

void Window::evict_first_segment() {
  limited_by_age_ = false;
  for (const auto id = nth(0); nth(0) == id;) evict_chunk();
}

void Window::evict_chunk() {
  const auto& chunk = chunk_at(arena_.segment(nth(0)), head_);
  base_.fold(chunk, words_of(chunk));
  const auto size = record_bytes(chunk);
  evicted_through_ns_ = std::max<std::uint64_t>(evicted_through_ns_, chunk.last_ns);
  counters_.events_evicted += chunk.n_events;
  counters_.info.bytes -= size;
  --counters_.info.chunks;
  counters_.info.events -= chunk.n_events;
  counters_.info.hits -= chunk.n_hits;
  head_ += size;
  if (!first_segment_done()) return;
  leave_first_segment();
  forget_exited();
}

// All of it is evicted and nothing more will be written to it.
bool Window::first_segment_done() const { return count_ > 1 && head_ == segments_[nth(0)].used; }

void Window::leave_first_segment() {
  const auto id = nth(0);
  first_ = (first_ + 1) % ring_.size();
  --count_;
  head_ = 0;
  segments_[id].in_window = false;
  if (segments_[id].pins == 0) arena_.give_back(id);
}

// Threads come and go; those that went before the window began need not be known. A walk over all of them, so it is
// done only when a quarter of the arena has left: the dead ones are at most as many as that quarter had events of.
void Window::forget_exited() {
  if (++left_ < arena_.window_segments() / 4) return;
  left_ = 0;
  base_.forget_exited(evicted_through_ns_ - std::min(evicted_through_ns_, min_age_ns_));
}

// ---------------------------------------------------------------- readers

WindowInfo Window::info() const {
  WindowInfo info = counters_.info;
  info.from_ns = std::max(started_ns_, evicted_through_ns_);
  info.to_ns = std::max(newest_ns_, info.from_ns);
  info.limited_by = evicted_through_ns_ == 0 ? "start" : limited_by_age_ ? "min-age" : "max-bytes";
  const auto extra = arena_.segments_in_use() - std::min(arena_.segments_in_use(), arena_.window_segments());
  info.pinned_extra_bytes = extra * arena_.segment_bytes();
  return info;
}

WindowStats Window::stats() const {
  MutexLock lock(mutex_);
  WindowStats stats = counters_;
  stats.info = info();
  return stats;
}

std::vector<kf_base_stack> Window::base_stacks() const {
  MutexLock lock(mutex_);
  return base_.stacks();
}

WindowFile* Window::file() {
  MutexLock lock(mutex_);
  return arena_.file();
}

WindowSnapshot Window::pin() { return pin(Chunks::kWith); }
WindowSnapshot Window::pin_base() { return pin(Chunks::kWithout); }

void Window::pin_chunks(WindowSnapshot& snapshot) {
  snapshot.pieces_.reserve(count_);
  for (std::size_t i = 0; i < count_; ++i) {
    const auto begin = i == 0 ? head_ : 0;
    const auto end = segments_[nth(i)].used;
    if (begin == end) continue;
    ++segments_[nth(i)].pins;
    snapshot.pieces_.push_back({nth(i), arena_.segment(nth(i)).subspan(begin, end - begin)});
  }
}

WindowSnapshot Window::pin(Chunks chunks) {
  WindowSnapshot snapshot(*this);
  {
    MutexLock lock(mutex_);
    ++base_readers_;
    snapshot.info = info();
    snapshot.losses = drops_.since(snapshot.info.from_ns);
    if (chunks == Chunks::kWith) pin_chunks(snapshot);
  }
  copy_base(snapshot);
  MutexLock lock(mutex_);
  if (--base_readers_ == 0) thawed_.notify_all();
  return snapshot;
}

// Without the lock, so that appending goes on: base_readers_ keeps everybody from changing base_.
void Window::copy_base(WindowSnapshot& snapshot) const {
  snapshot.base_tasks = base_.tasks();
  snapshot.base_lanes = base_.lanes();
  snapshot.base_stacks = base_.stacks();
}

void Window::unpin(SegmentId id) {
  MutexLock lock(mutex_);
  auto& segment = segments_[id];
  if (--segment.pins == 0 && !segment.in_window) arena_.give_back(id);
}

void Window::return_surplus_memory() {
  for (;;) {
    std::optional<SegmentId> id;
    std::span<std::byte> bytes;
    {
      MutexLock lock(mutex_);
      id = arena_.take_surplus();
      if (!id) return;
      bytes = arena_.segment(*id);
    }
    Arena::drop_pages(bytes);  // ours alone while it is neither free nor in the window
    MutexLock lock(mutex_);
    arena_.give_back_cold(*id);
  }
}

// ---------------------------------------------------------------- the snapshot

WindowSnapshot::WindowSnapshot(WindowSnapshot&& other) noexcept
    : info(std::move(other.info)),
      base_tasks(std::move(other.base_tasks)),
      base_lanes(std::move(other.base_lanes)),
      base_stacks(std::move(other.base_stacks)),
      losses(std::move(other.losses)),
      window_(std::exchange(other.window_, nullptr)),
      pieces_(std::move(other.pieces_)),
      next_(other.next_) {}

std::span<const std::byte> WindowSnapshot::next_piece() {
  if (next_ > 0 && next_ <= pieces_.size()) window_->unpin(pieces_[next_ - 1].segment);
  if (next_ >= pieces_.size()) {
    next_ = pieces_.size() + 1;
    return {};
  }
  return pieces_[next_++].bytes;
}

WindowSnapshot::~WindowSnapshot() {
  if (!window_) return;
  while (!next_piece().empty()) {
  }
  window_->return_surplus_memory();
}

}  // namespace kflight::record
