// SPDX-License-Identifier: Apache-2.0
//
// heap_meter.hpp - how much memory a piece of code held at its worst. heap_meter.cpp replaces operator new of the
// program that links it; memory of C libraries does not count.
#pragma once

#include <cstdint>

namespace kflight::test {

class HeapMeter {
 public:
  HeapMeter();
  std::uint64_t peak_bytes() const;  // beyond what was held when the meter was made; one meter at a time

 private:
  std::uint64_t before_;
};

}  // namespace kflight::test
