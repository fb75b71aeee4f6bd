// SPDX-License-Identifier: Apache-2.0
#include "record/child_command.hpp"

#include <gmock/gmock.h>

#include <csignal>

namespace kflight::record {
namespace {

using namespace std::chrono_literals;
using testing::Eq;
using testing::Optional;

ChildCommand running(const std::vector<std::string>& words) {
  auto child = ChildCommand::prepare(words);
  EXPECT_TRUE(child) << child.error().what;
  EXPECT_TRUE(child->release());
  return std::move(*child);
}

TEST(ChildCommand, WaitsForOneThatIsEnding) {
  ChildCommand child = running({"sh", "-c", "sleep 0.1; exit 3"});
  EXPECT_THAT(child.wait(1h), Optional(Eq(3)));
  EXPECT_THAT(child.wait(1h), Optional(Eq(3))) << "it is known by now";
  EXPECT_THAT(child.reap(), Optional(Eq(3)));
}

TEST(ChildCommand, DoesNotWaitLongerThanItIsTold) {
  ChildCommand child = running({"sleep", "1000"});
  EXPECT_FALSE(child.wait(20ms));
  child.signal(SIGKILL);
  EXPECT_THAT(child.wait(1h), Optional(Eq(128 + SIGKILL)));
}

}  // namespace
}  // namespace kflight::record
