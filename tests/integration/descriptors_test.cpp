// SPDX-License-Identifier: Apache-2.0
//
// Waits in read are told by what was read from: threads that wait until the end, and one that does not any more.
#include "integration/dump_facts.hpp"

namespace kflight::test {
namespace {

using testing::HasSubstr;

class Descriptors : public RecordTest {
 protected:
  // What the thread waited for last, and how long it waited for what kind of thing.
  struct Wait {
    Json descriptor, blocked;
    std::string text;
  };
  Wait waits_of(const std::string& path, const Json& report, const std::string& role) {
    const Output output = kflight({"explain", path, "--json", "--tid", report["tids"][role].dump(), "--from",
                                   "@" + report["t0"].dump(), "--to", "@" + report["t1"].dump()});
    EXPECT_EQ(output.status, 0) << output.err;
    const Json explanation = output.json();
    Wait wait{{}, explanation["self"]["blocked"], explanation.dump(1)};
    for (const Json& node : explanation["tree"])
      if (node.contains("descriptor") && node["parent"] == 0) wait.descriptor = node["descriptor"];
    return wait;
  }
};

TEST_F(Descriptors, SayWhatWasReadFrom) {
  Workload workload = start_workload("descriptors");
  Recorder recorder = start_recorder({"--pid", std::to_string(workload.pid()), "--min-age", "60s"});
  workload.go();
  const Json report = workload.report();
  const std::string path = dump_path(recorder);
  workload.end();
  EXPECT_EQ(recorder.stop(), 0);

  const std::pair<const char*, const char*> readers[] = {
      {"pipe", "pipe:["}, {"socket", "socket:["}, {"eventfd", "anon_inode:[eventfd]"}};
  for (const auto& [role, link] : readers) {
    const Wait wait = waits_of(path, report, role);
    ASSERT_TRUE(wait.descriptor.is_object()) << wait.text;
    EXPECT_THAT(wait.descriptor["link"].get<std::string>(), HasSubstr(link));
    EXPECT_GT(wait.blocked.value(role, 0u), 0u) << wait.text;
  }
  const Wait once = waits_of(path, report, "once");
  ASSERT_TRUE(once.descriptor.is_object()) << once.text;
  EXPECT_THAT(once.descriptor["link"].get<std::string>(), HasSubstr("pipe:["));
  EXPECT_EQ(once.descriptor["certain"], false);
}

}  // namespace
}  // namespace kflight::test
