// SPDX-License-Identifier: Apache-2.0
#include "support/heap_meter.hpp"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::uint64_t> held{0}, peak{0};

void* count(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  const std::uint64_t now = held += ::malloc_usable_size(memory);
  for (std::uint64_t most = peak; most < now && !peak.compare_exchange_weak(most, now);) {
  }
  return memory;
}

void release(void* memory) noexcept {
  if (memory != nullptr) held -= ::malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

// The forms for arrays and for sizes call these.
void* operator new(std::size_t bytes) { return count(std::malloc(bytes > 0 ? bytes : 1)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  const auto to = static_cast<std::size_t>(alignment);
  return count(std::aligned_alloc(to, (bytes + to - 1) / to * to));
}
// The default calls the first one; AddressSanitizer's does not, and then finds what it gave released by ours.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  void* memory = std::malloc(bytes > 0 ? bytes : 1);
  return memory != nullptr ? count(memory) : nullptr;
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }

namespace kflight::test {

HeapMeter::HeapMeter() : before_(held) { peak = before_; }
std::uint64_t HeapMeter::peak_bytes() const { return peak - before_; }

}  // namespace kflight::test
