// SPDX-License-Identifier: Apache-2.0
//
// failing_sink.hpp - a disk that is full after N bytes and keeps what it took, as a real disk would; and a sink in front
// of another one of which a single write fails.
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

class FailsOnce final : public ByteSink {
 public:
  // Of the writes, counted from 0, the one that does not reach `next`.
  FailsOnce(ByteSink& next, int failing) : next_(next), failing_(failing) {}

  Result<> write(std::span<const std::byte> bytes) override {
    if (writes_++ == failing_) return Error{Errc::kIo, "cannot write: this one fails"};
    return next_.write(bytes);
  }
  bool failed() const noexcept { return writes_ > failing_; }

 private:
  ByteSink& next_;
  int failing_;
  int writes_ = 0;
};

}  // namespace kflight::test
