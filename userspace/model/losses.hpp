// SPDX-License-Identifier: Apache-2.0
//
// losses.hpp - when was the recording blind? Stretches in which events of a CPU are missing, for the one question asked
// of them: could an event that would have ended this interval be among the lost ones? Filled once, then read-only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/interval.hpp"

namespace kflight::model {

struct Loss {
  std::uint64_t from_ns = 0;
  std::uint64_t to_ns = 0;
  std::uint64_t count = 0;     // 0: not known
  std::uint16_t cpu = kNoCpu;  // kNoCpu: any
};

class LossIndex {
 public:
  void add(const Loss& loss);
  // Sorts; call once after the last add().
  void seal();

  // Some events between a and b are missing: on any CPU, or on `cpu`.
  bool any_in(std::uint64_t a_ns, std::uint64_t b_ns) const noexcept;
  bool any_in(std::uint16_t cpu, std::uint64_t a_ns, std::uint64_t b_ns) const noexcept;

  std::span<const Loss> all() const noexcept { return losses_; }
  std::uint64_t events() const noexcept;
  // Time within [a,b) during which at least one CPU's events are missing.
  std::uint64_t blind_ns(std::uint64_t a_ns, std::uint64_t b_ns) const noexcept;

 private:
  std::vector<Loss> losses_;                  // by from_ns
  std::vector<std::uint64_t> latest_end_ns_;  // of losses_[0..i]
};

}  // namespace kflight::model
