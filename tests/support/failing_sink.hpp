// SPDX-License-Identifier: Apache-2.0
//
// failing_sink.hpp - a disk that is full after N bytes. Keeps what it took, as a real disk would.
#pragma once

#include <cstdint>
#include <vector>

#include "kflight/byte_sink.hpp"

namespace kflight::test {

class FailingSink final : public ByteSink {
 public:
  explicit FailingSink(std::size_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  Result<> write(std::span<const std::byte> bytes) override {
    if (failed_) ++writes_after_failure_;
    const auto room = capacity_bytes_ - taken_.size();
    const auto fits = bytes.first(bytes.size() < room ? bytes.size() : room);
    taken_.insert(taken_.end(), fits.begin(), fits.end());
    if (fits.size() == bytes.size()) return Ok{};
    failed_ = true;
    return Error{Errc::kIo, "cannot write: the sink is full"};
  }

  std::span<const std::byte> taken() const noexcept { return taken_; }
  bool failed() const noexcept { return failed_; }
  int writes_after_failure() const noexcept { return writes_after_failure_; }

 private:
  std::size_t capacity_bytes_;
  std::vector<std::byte> taken_;
  bool failed_ = false;
  int writes_after_failure_ = 0;
};

}  // namespace kflight::test
