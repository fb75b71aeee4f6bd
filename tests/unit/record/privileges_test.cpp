// SPDX-License-Identifier: Apache-2.0
//
// privileges_test.cpp - the table says what the documentation says, and what is given up is gone, in one thread only.
#include "record/privileges.hpp"

#include <gmock/gmock.h>
#include <linux/capability.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "support/temp_dir.hpp"

namespace kflight::record {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t bit(int capability) { return std::uint64_t{1} << capability; }

// A set of the calling thread, as "CapBnd:".
std::uint64_t capability_set(const std::string& key) {
  std::ifstream status("/proc/thread-self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(key)) return std::stoull(line.substr(key.size()), nullptr, 16);
  ADD_FAILURE() << "no " << key;
  return 0;
}

TEST(Privileges, AreDocumented) {
  const std::string text = test::read_text(KFLIGHT_SOURCE_DIR "/docs/reliability.md");
  for (const Capability& capability : kCapabilities) {
    EXPECT_THAT(text, HasSubstr("| " + std::string(capability.name) + " | " + std::string(capability.purpose) + " | " +
                                std::string(capability.without) + " |"));
  }
}

TEST(Privileges, AdminStandsForWhatWasOncePartOfIt) {
  for (const Capability& capability : kCapabilities) {
    EXPECT_TRUE(holds(bit(capability.number), capability)) << capability.name;
    EXPECT_FALSE(holds(0, capability)) << capability.name;
    const bool was_part =
        capability.number == CAP_BPF || capability.number == CAP_PERFMON || capability.number == CAP_CHECKPOINT_RESTORE;
    EXPECT_EQ(holds(bit(CAP_SYS_ADMIN), capability), was_part) << capability.name;
  }
}

TEST(Privileges, AreGivenUpByOneThread) {
  const std::uint64_t before = effective_capabilities();
  std::thread([] {
    const std::uint64_t kept = effective_capabilities() & bit(CAP_KILL);
    const bool may_shrink_bounds = (effective_capabilities() & bit(CAP_SETPCAP)) != 0;
    const auto given_up = keep_only_capabilities(bit(CAP_KILL));
    EXPECT_TRUE(given_up) << given_up.error().what;
    for (const char* set : {"CapEff:", "CapPrm:"}) EXPECT_EQ(capability_set(set), kept) << set;
    for (const char* set : {"CapInh:", "CapAmb:"}) EXPECT_EQ(capability_set(set), 0u) << set;
    if (may_shrink_bounds) {
      EXPECT_EQ(capability_set("CapBnd:"), 0u);
    }
  }).join();
  EXPECT_EQ(effective_capabilities(), before);
}

TEST(Privileges, AreNeverGained) {
  std::thread([] {
    EXPECT_TRUE(keep_only_capabilities(0));
    EXPECT_TRUE(keep_only_capabilities(~std::uint64_t{0}));
    EXPECT_EQ(effective_capabilities(), 0u);
    EXPECT_EQ(steady_capabilities(), 0u);
    EXPECT_EQ(require_privileges().error().code, Errc::kPermission);
    EXPECT_THAT(require_privileges().error().what, HasSubstr("CAP_BPF (to load"));
    EXPECT_THAT(missing_privileges(),
                testing::Contains(HasSubstr("CAP_SYSLOG is missing: functions in kernel stacks")));
  }).join();
}

}  // namespace
}  // namespace kflight::record
