// SPDX-License-Identifier: Apache-2.0
//
// losses.hpp - when was the recording blind? Stretches in which events of a CPU are missing, for the one question asked
// of them: could an event that would have ended this interval be among the lost ones? One binary search answers, however
// many there are. Filled once, then read-only.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
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
  struct Hole {
    std::uint64_t from_ns;
    std::uint64_t latest_end_ns;  // of this one and all before it
  };
  using Holes = std::vector<Hole>;  // by from_ns
  static void append(Holes& holes, const Loss& loss);
  static bool overlaps(const Holes& holes, std::uint64_t a_ns, std::uint64_t b_ns) noexcept;

  std::vector<Loss> losses_;  // by from_ns
  Holes all_;                 // of losses_, index by index
  std::unordered_map<std::uint16_t, Holes> of_cpu_;  // kNoCpu: those of any
};

}  // namespace kflight::model
