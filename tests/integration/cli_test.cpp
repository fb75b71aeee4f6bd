// SPDX-License-Identifier: Apache-2.0
//
// The program as people and scripts use it on a dump: pipes that close early, full disks behind redirections, files
// that are no dumps or only parts of one, a user without privileges. Exit status: 0 done, 1 failed, 2 wrong usage, 3
// violations.
#include <fstream>
#include <sstream>

#include "integration/dump_facts.hpp"

namespace kflight::test {
namespace {

using testing::AnyOf;
using testing::Eq;
using testing::HasSubstr;

class Cli : public RecordTest {
 protected:
  void SetUp() override {
    RecordTest::SetUp();
    if (IsSkipped()) return;
    Recorder recorder = start_recorder({"--all", "--syscalls", "all"});
    dump_ = dump_path(recorder);
    EXPECT_EQ(recorder.stop(), 0);
  }
  // `kflight WORDS` at the beginning of a shell's line.
  Output shell(const std::string& words, const std::string& rest) {
    return run({"bash", "-c", "set -o pipefail; \"$0\" " + words + " \"$1\" " + rest, kflight_path(), dump_});
  }
  std::string part_of_dump(double share) {
    std::ifstream file(dump_, std::ios::binary);
    std::stringstream bytes;
    bytes << file.rdbuf();
    const std::string path = temp() / "part.dump";
    std::ofstream(path, std::ios::binary)
        << bytes.str().substr(0, static_cast<std::size_t>(share * static_cast<double>(bytes.str().size())));
    return path;
  }

  std::string dump_;
};

TEST_F(Cli, PipeThatClosesEarly_EndsQuietly) {
  for (const char* words : {"events", "events --format jsonl", "info", "explain",
                            "export --no-explain --format jsonl -o -", "export --no-explain -o -"}) {
    const Output output = shell(words, "| head -n 1");
    EXPECT_EQ(output.err, "") << words;
    EXPECT_NE(output.out, "") << words;
    EXPECT_THAT(output.status, AnyOf(Eq(0), Eq(141))) << words;  // 141: ended by SIGPIPE, as other filters do
  }
}

TEST_F(Cli, FullDiskBehindARedirection_IsAFailureAndSaid) {
  for (const char* words : {"events", "info", "info --json", "check", "export --no-explain -o -"}) {
    const Output output = shell(words, "> /dev/full");
    EXPECT_EQ(output.status, 1) << words;
    EXPECT_THAT(output.err, HasSubstr("No space left on device")) << words;
  }
}

TEST_F(Cli, FilesThatAreNoDumps_AreRefusedByEveryReader) {
  std::ofstream(temp() / "text.dump") << "this is a text, and it is longer than the header of a dump would be\n";
  std::ofstream{temp() / "empty.dump"}.flush();
  for (const std::string command : {"info", "check", "events", "explain", "export"}) {
    for (const std::string& file : {temp() / "text.dump", temp() / "empty.dump", temp() / "absent.dump", temp().path()}) {
      const Output output = kflight({command, file});
      EXPECT_THAT(output.status, AnyOf(1, 2)) << command << " " << file;
      EXPECT_THAT(output.err, HasSubstr(file)) << command;
      EXPECT_EQ(output.out, "") << command;
    }
  }
}

TEST_F(Cli, PartsOfADump_AreReadAsFarAsTheyGo) {
  for (const double share : {0.1, 0.5, 0.9, 0.999}) {
    const std::string part = part_of_dump(share);
    const Output info = kflight({"info", part});
    EXPECT_THAT(info.status, AnyOf(0, 1)) << share;
    EXPECT_THAT(info.out + info.err, AnyOf(HasSubstr("incomplete"), HasSubstr("damage"), HasSubstr("ends"))) << share;
    EXPECT_THAT(kflight({"check", part}).status, AnyOf(0, 1, 3)) << share;
    EXPECT_THAT(kflight({"export", part, "--force"}).status, AnyOf(0, 1)) << share;
  }
}

TEST_F(Cli, WrongUsage_IsStatusTwo) {
  EXPECT_EQ(kflight({"info"}).status, 2);
  EXPECT_EQ(kflight({"events", dump_, "--tid", "nobody"}).status, 2);
  EXPECT_EQ(kflight({"explian", dump_}).status, 2);
  EXPECT_EQ(kflight({"record", "--all", "--max-bytes", "64"}).status, 2);
}

TEST_F(Cli, WithoutPrivileges_TheMissingOneIsNamed) {
  const Output record = run({"setpriv", "--reuid", "65534", "--clear-groups", "--bounding-set", "-all", "--inh-caps",
                             "-all", kflight_path(), "record", "--all", "-o", "/tmp"});
  EXPECT_EQ(record.status, 1);
  EXPECT_THAT(record.err, HasSubstr("CAP_"));
}

}  // namespace
}  // namespace kflight::test
