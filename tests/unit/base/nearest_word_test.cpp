// SPDX-License-Identifier: Apache-2.0
//
// nearest_word_test.cpp - what counts as a misspelling of a known word, and what does not.
#include "base/nearest_word.hpp"

#include <gtest/gtest.h>

#include <string>

namespace kflight {
namespace {

constexpr std::string_view kWords[] = {"syscall", "inflight", "signal", "exit"};

TEST(NearestWord, FindsSingleMistakes) {
  EXPECT_EQ(nearest_word("sycall", kWords), "syscall");
  EXPECT_EQ(nearest_word("sysscall", kWords), "syscall");
  EXPECT_EQ(nearest_word("sysxall", kWords), "syscall");
  EXPECT_EQ(nearest_word("syscal1", kWords), "syscall");
  EXPECT_EQ(nearest_word("sycsall", kWords), "syscall");
  EXPECT_EQ(nearest_word("EXIT", kWords), "exit");
}

TEST(NearestWord, RefusesWhatIsNotClose) {
  EXPECT_EQ(nearest_word("latency", kWords), "");
  EXPECT_EQ(nearest_word("", kWords), "");
  EXPECT_EQ(nearest_word(std::string(5000, 's'), kWords), "");
  EXPECT_EQ(nearest_word("exit", {}), "");
}

TEST(NearestWord, PrefersTheFewestEdits) {
  constexpr std::string_view kClose[] = {"pread", "read", "readv"};
  EXPECT_EQ(nearest_word("reed", kClose), "read");
  EXPECT_EQ(nearest_word("redv", kClose), "readv");
}

}  // namespace
}  // namespace kflight
