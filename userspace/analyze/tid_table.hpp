// SPDX-License-Identifier: Apache-2.0
//
// tid_table.hpp - a T for every thread id, made when first asked for. Thread ids cluster, so pages of 64 neighbours
// cost one look-up without hashing. References stay valid.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kflight/wire.h"

namespace kflight::analyze {

template <class T>
class TidTable {
 public:
  T& operator[](std::uint32_t tid) {
    const std::size_t number = (tid & KF_TID_MASK) / kPage;
    if (number >= pages_.size()) pages_.resize(number + 1);
    auto& page = pages_[number];
    if (!page) page = std::make_unique<Page>();
    return (*page)[tid % kPage];
  }

  // fn(tid, T&) for all that were made, and neighbours that were made along with them.
  template <class Fn>
  void for_each(Fn fn) {
    for (std::size_t p = 0; p < pages_.size(); ++p)
      for (std::size_t i = 0; pages_[p] && i < kPage; ++i)
        fn(static_cast<std::uint32_t>(p * kPage + i), (*pages_[p])[i]);
  }

 private:
  static constexpr std::size_t kPage = 64;
  using Page = std::array<T, kPage>;
  std::vector<std::unique_ptr<Page>> pages_;  // up to that of the highest tid seen
};

}  // namespace kflight::analyze
