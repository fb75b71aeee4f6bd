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
  TidTable() : pages_((KF_TID_MASK + 1) / kPage) {}

  T& operator[](std::uint32_t tid) {
    auto& page = pages_[(tid & KF_TID_MASK) / kPage];
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
  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace kflight::analyze
