// SPDX-License-Identifier: Apache-2.0
//
// rate.hpp - events per second over the last sampling period. One thread samples, any reads.
#pragma once

#include <atomic>
#include <cstdint>

namespace kflight::record {

class RateMeter {
 public:
  void sample(std::uint64_t now_ns, std::uint64_t total) noexcept {
    if (sampled_ns_ && now_ns > sampled_ns_)
      per_second_.store(static_cast<double>(total - total_) * 1e9 / static_cast<double>(now_ns - sampled_ns_),
                        std::memory_order_relaxed);
    sampled_ns_ = now_ns;
    total_ = total;
  }
  double per_second() const noexcept { return per_second_.load(std::memory_order_relaxed); }

 private:
  std::uint64_t sampled_ns_ = 0;
  std::uint64_t total_ = 0;
  std::atomic<double> per_second_{0};
};

}  // namespace kflight::record
