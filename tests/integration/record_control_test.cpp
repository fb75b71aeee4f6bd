// SPDX-License-Identifier: Apache-2.0
//
// Talking to a running recorder: dump, status, stop, signals; and that however it ends, the next one can start.
#include "integration/dump_facts.hpp"

namespace kflight::test {
namespace {

using testing::HasSubstr;

class Control : public RecordTest {
 protected:
  Recorder record(Words more = {}) {
    Words words{"--all"};
    words.insert(words.end(), more.begin(), more.end());
    return start_recorder(words);
  }
};

TEST_F(Control, Dump_WritesWhereTheRecorderWrites) {
  Recorder recorder = record();
  const std::string path = dump_path(recorder);
  EXPECT_EQ(path, recorder.wait_for_dump());
  EXPECT_TRUE(path.starts_with(recorder.directory() + "/"));
  EXPECT_EQ(open_dump(path).meta().cause.kind, "manual");
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Control, DumpToAFile_WritesThere) {
  Recorder recorder = record();
  const std::string wanted = temp() / "wanted.kfr";
  EXPECT_EQ(dump_path(recorder, {"-o", wanted}), wanted);
  EXPECT_TRUE(open_dump(wanted).complete());
  const Output again = kflight({"dump", "--name", recorder.name(), "-o", wanted});
  EXPECT_NE(again.status, 0);
  EXPECT_THAT(again.err, HasSubstr("exists"));
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Control, DumpsAtOnce_AreAllWritten) {
  Recorder recorder = record({"--syscalls", "all"});
  std::vector<Child*> asking;
  for (int i = 0; i < 4; ++i) asking.push_back(&start({kflight_path(), "dump", "--name", recorder.name()}));
  std::set<std::string> paths;
  for (Child* child : asking) {
    EXPECT_EQ(child->wait(), 0) << child->err();
    paths.insert(child->wait_for_line("dump ").value_or(""));
  }
  EXPECT_EQ(paths.size(), asking.size());
  for (const std::string& path : paths) EXPECT_TRUE(open_dump(path).complete()) << path;
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Control, Status_CountsWhatHappened) {
  Recorder recorder = record();
  const std::string path = dump_path(recorder);
  const Json status = status_of(recorder);
  EXPECT_EQ(status["name"], recorder.name());
  EXPECT_EQ(status["pid"], recorder.child().pid());
  EXPECT_EQ(status["dumps"]["written"], 1);
  EXPECT_EQ(status["dumps"]["last"], path);
  EXPECT_GT(status["events_seen"], 0);
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Control, Stop_EndsTheRecorder) {
  Recorder recorder = record();
  EXPECT_EQ(kflight({"stop", "--name", recorder.name()}).status, 0);
  EXPECT_FALSE(recorder.child().running());  // stop waited for it
  EXPECT_EQ(recorder.child().wait(), 0);
  for (const char* command : {"dump", "status", "stop"}) {
    const Output nobody = kflight({command, "--name", recorder.name()});
    EXPECT_EQ(nobody.status, 1) << command;
    EXPECT_THAT(nobody.err, HasSubstr(recorder.name()));
  }
}

TEST_F(Control, Sigusr1_Dumps) {
  Recorder recorder = record();
  recorder.child().signal(SIGUSR1);
  EXPECT_EQ(open_dump(recorder.wait_for_dump()).meta().cause.kind, "signal");
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Control, Sighup_IsIgnored) {
  Recorder recorder = record();
  recorder.child().signal(SIGHUP);
  dump_now(recorder);
  EXPECT_TRUE(recorder.child().running());
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Control, SigintAndSigterm_EndCleanly) {
  for (const int number : {SIGINT, SIGTERM}) {
    Recorder recorder = record();
    recorder.child().signal(number);
    EXPECT_EQ(recorder.child().wait(), 0) << number;
    EXPECT_THAT(recorder.child().err(), HasSubstr(number == SIGINT ? "SIGINT" : "SIGTERM"));
  }
}

// That nothing stays in the kernel is what every test here ends with.
TEST_F(Control, KilledRecorder_LeavesItsNameFree) {
  Recorder killed = record();
  killed.child().signal(SIGKILL);
  EXPECT_EQ(killed.child().wait(), 128 + SIGKILL);
  const Output nobody = kflight({"status", "--name", killed.name()});
  EXPECT_EQ(nobody.status, 1);

  Recorder next = record({"--name", killed.name()});
  EXPECT_NE(dump_path(next), "");
  EXPECT_EQ(next.stop(), 0);
}

}  // namespace
}  // namespace kflight::test
