// SPDX-License-Identifier: Apache-2.0
//
// Questions about losses, against asking each of them.
#include "model/losses.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace kflight::test {
namespace {

using model::kNoCpu;
using model::Loss;
using model::LossIndex;

TEST(Losses, AnswersAreThoseOfEachLossByItself) {
  std::mt19937_64 random(1);
  const auto number = [&random](std::uint64_t below) { return random() % below; };
  for (int round = 0; round < 200; ++round) {
    std::vector<Loss> all(number(12));
    LossIndex index;
    for (Loss& loss : all) {
      const std::uint64_t from_ns = number(60);
      const auto cpu = static_cast<std::uint16_t>(number(4));
      index.add(loss = {from_ns, from_ns + number(number(5) == 0 ? 50 : 6), 1, cpu == 3 ? kNoCpu : cpu});
    }
    index.seal();
    ASSERT_EQ(index.events(), all.size());
    for (int i = 0; i < 100; ++i) {
      const std::uint64_t a_ns = number(70), b_ns = a_ns + number(20);
      const auto cpu = static_cast<std::uint16_t>(number(4));
      const auto overlaps = [&](const Loss& loss) { return loss.from_ns < b_ns && loss.to_ns > a_ns; };
      const auto concerns = [&](const Loss& loss) { return overlaps(loss) && (loss.cpu == cpu || loss.cpu == kNoCpu); };
      ASSERT_EQ(index.any_in(a_ns, b_ns), std::ranges::any_of(all, overlaps));
      ASSERT_EQ(index.any_in(cpu, a_ns, b_ns), std::ranges::any_of(all, concerns));
      std::uint64_t blind_ns = 0;
      for (std::uint64_t t_ns = a_ns; t_ns < b_ns; ++t_ns)
        blind_ns += std::ranges::any_of(all, [&](const Loss& l) { return l.from_ns <= t_ns && t_ns < l.to_ns; });
      ASSERT_EQ(index.blind_ns(a_ns, b_ns), blind_ns);
    }
  }
}

}  // namespace
}  // namespace kflight::test
