// SPDX-License-Identifier: Apache-2.0
//
// loss_index.hpp - when a dump is blind, and on which CPUs: answers "could an event between these two times be
// missing?" in logarithmic time. Filled once, then sealed, then read-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace kflight::analyze {

class LossIndex {
 public:
  static constexpr std::uint32_t kAnyCpu = 0xffffffff;

  void add(std::uint32_t cpu, std::uint64_t from_ns, std::uint64_t to_ns);
  void seal();

  // Both ends included.
  bool on_cpu(std::uint32_t cpu, std::uint64_t from_ns, std::uint64_t to_ns) const;
  bool anywhere(std::uint64_t from_ns, std::uint64_t to_ns) const { return overlaps(all_, from_ns, to_ns); }

  std::size_t size() const { return all_.size(); }

 private:
  struct Hole {
    std::uint64_t from_ns;
    std::uint64_t to_ns;  // after seal(): the latest end of this hole and all before it
  };
  using Holes = std::vector<Hole>;
  static void seal(Holes& holes);
  static bool overlaps(const Holes& holes, std::uint64_t from_ns, std::uint64_t to_ns);

  Holes all_;
  std::map<std::uint32_t, Holes> by_cpu_;
};

}  // namespace kflight::analyze
