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

// The recorder ignores both for itself; a program inherits what is ignored.
TEST(ChildCommand, SignalsAreAsTheRecorderFoundThem) {
  const auto before = std::pair(::signal(SIGPIPE, SIG_IGN), ::signal(SIGHUP, SIG_IGN));
  const std::vector<std::string> words{"sh", "-c", "exec grep -q '^SigIgn:.*0000$' /proc/self/status"};
  EXPECT_THAT(running(words).wait(1h), Optional(Eq(0)));
  auto nohup = ChildCommand::prepare({"sh", "-c", "exec grep -q '^SigIgn:.*0001$' /proc/self/status"}, {.hangup = SIG_IGN});
  ASSERT_TRUE(nohup && nohup->release());
  EXPECT_THAT(nohup->wait(1h), Optional(Eq(0)));
  ::signal(SIGPIPE, before.first);
  ::signal(SIGHUP, before.second);
}

TEST(ChildCommand, DoesNotWaitLongerThanItIsTold) {
  ChildCommand child = running({"sleep", "1000"});
  EXPECT_FALSE(child.wait(20ms));
  child.signal(SIGKILL);
  EXPECT_THAT(child.wait(1h), Optional(Eq(128 + SIGKILL)));
}

}  // namespace
}  // namespace kflight::record
