// SPDX-License-Identifier: Apache-2.0
//
// docs/checks.md names every invariant, and none that there is not.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "analyze/timeline_check.hpp"
#include "support/dump_builder.hpp"

namespace kflight::analyze {
namespace {

std::set<std::string> documented() {
  std::ifstream doc(std::filesystem::path(KFLIGHT_SOURCE_DIR) / "docs/checks.md");
  EXPECT_TRUE(doc) << "docs/checks.md is missing";
  const std::regex row("^\\| `([a-z-]+)` \\|.*");
  std::set<std::string> names;
  std::smatch match;
  for (std::string line; std::getline(doc, line);)
    if (std::regex_match(line, match, row)) names.insert(match[1]);
  return names;
}

TEST(ChecksDoc, NamesEveryInvariant) {
  test::DumpBuilder file;
  file.window(test::Nanos(1000), test::Nanos(2000));
  const auto bytes = file.file();
  auto dump = Dump::from_bytes(bytes);
  ASSERT_TRUE(dump);
  std::set<std::string> names;
  for (const InvariantReport& one : check_trace(model::Trace(*std::move(dump))).invariants) names.emplace(one.name);
  EXPECT_EQ(names, documented());
}

}  // namespace
}  // namespace kflight::analyze
