// SPDX-License-Identifier: Apache-2.0
//
// name_patterns_test.cpp - the kernel side's automaton says the same as fnmatch(3).
#include "record/name_patterns.hpp"

#include <fnmatch.h>
#include <gmock/gmock.h>

#include <cstring>
#include <random>

namespace kflight::record {
namespace {

bool matches(const kf_name_matcher& matcher, std::string_view name) {
  char comm[KF_COMM_BYTES];
  std::memset(comm, 'a', sizeof comm);  // what stood there before
  std::memcpy(comm, name.data(), name.size());
  comm[name.size()] = '\0';
  return kf_name_matches(&matcher, comm) != 0;
}

bool matches(const std::string& glob, std::string_view name) {
  const auto matcher = compile_name_patterns(std::span(&glob, 1));
  EXPECT_TRUE(matcher);
  return matcher && matches(*matcher, name);
}

std::string draw(std::mt19937& random, std::string_view from, std::size_t most) {
  std::string text(random() % (most + 1), ' ');
  for (char& c : text) c = from[random() % from.size()];
  return text;
}

TEST(NamePatterns, WhatTheyMean) {
  EXPECT_TRUE(matches("nginx", "nginx"));
  EXPECT_FALSE(matches("nginx", "nginx2"));
  EXPECT_FALSE(matches("nginx2", "nginx"));
  EXPECT_TRUE(matches("nginx*", "nginx"));
  EXPECT_TRUE(matches("*worker*", "my-worker-7"));
  EXPECT_TRUE(matches("worker[0-9]", "worker7"));
  EXPECT_FALSE(matches("worker[!0-9]", "worker7"));
  EXPECT_TRUE(matches("[[:upper:]]b?", "Abc"));
  EXPECT_TRUE(matches("\\*", "*"));
  EXPECT_FALSE(matches("\\*", "a"));
  EXPECT_TRUE(matches("a[b", "a[b"));
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("exactly15bytes!", "exactly15bytes!"));
  EXPECT_TRUE(matches(std::string(100, '*') + "x", "zzx"));
}

TEST(NamePatterns, AgreeWithFnmatch) {
  std::mt19937 random{7};
  int matched = 0;
  for (int i = 0; i < 30'000; ++i) {
    const std::string glob = draw(random, "aab*?[]!-\\\xff", 8), name = draw(random, "aabb[]-\\!\xff", 7);
    const bool wanted = ::fnmatch(glob.c_str(), name.c_str(), 0) == 0;
    ASSERT_EQ(matches(glob, name), wanted) << "'" << glob << "' and '" << name << "'";
    matched += wanted;
  }
  EXPECT_GT(matched, 300);
}

TEST(NamePatterns, SeveralAreAskedAtOnce) {
  std::vector<std::string> globs;
  for (int i = 10; i < 26; ++i) globs.push_back("name-of-length" + std::to_string(i).substr(1));
  const auto matcher = compile_name_patterns(globs);
  ASSERT_TRUE(matcher) << matcher.error().what;
  for (const auto& glob : globs) EXPECT_TRUE(matches(*matcher, glob)) << glob;
  EXPECT_FALSE(matches(*matcher, "name-of-length"));
  globs.push_back("one-too-many");
  const auto refused = compile_name_patterns(globs);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUsage);
  EXPECT_THAT(refused.error().what, testing::HasSubstr("'one-too-many'"));
}

TEST(NamePatterns, LongerThanAnyName_IsRefused) {
  const std::string glob = "sixteen-bytes-it";
  const auto refused = compile_name_patterns(std::span(&glob, 1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUsage);
  EXPECT_THAT(refused.error().what, testing::HasSubstr("'sixteen-bytes-it': the kernel keeps 15 characters of a name"));
}

TEST(NamePatterns, NoneMatchNobody) {
  const auto matcher = compile_name_patterns({});
  ASSERT_TRUE(matcher);
  EXPECT_FALSE(matches(*matcher, ""));
  EXPECT_FALSE(matches(*matcher, "a"));
}

}  // namespace
}  // namespace kflight::record
