// SPDX-License-Identifier: Apache-2.0
//
// Dumps that cannot be written: recording goes on, the failure is said and counted, nothing half written stays, and the
// next dump succeeds once there is room. Full and read-only file systems are mounts of the recorder's own namespace.
#include <chrono>
#include <fstream>
#include <thread>

#include "integration/dump_facts.hpp"

namespace kflight::test {
namespace {

using testing::HasSubstr;

class Files : public RecordTest {
 protected:
  Output record_to(const std::string& directory) {
    return kflight({"record", "--all", "--name", "files" + std::to_string(getpid()), "-o", directory});
  }
  // `words` with the recorder's mounts.
  int run_inside(const Recorder& recorder, Words words) {
    Words command{"nsenter", "--mount", "--target", std::to_string(recorder.child().pid())};
    command.insert(command.end(), words.begin(), words.end());
    return run(command).status;
  }
  // A recorder that writes to a small file system which ends with it.
  Recorder record_to_mount() {
    const std::string directory = temp() / "mount", name = "mount" + std::to_string(getpid());
    std::filesystem::create_directory(directory);
    Child& child =
        start({"unshare", "--mount", "sh", "-c", R"(mount -t tmpfs -o size=4m tmpfs "$1" && shift && exec "$@")", "sh",
               directory, kflight_path(), "record", "--all", "--name", name, "-o", directory});
    if (!child.wait_for_line("ready")) ADD_FAILURE() << "the recorder did not get ready";
    return Recorder(child, name, directory);
  }
  // As the recorder sees it.
  std::string inside(const Recorder& recorder, const std::string& file = "") {
    return "/proc/" + std::to_string(recorder.child().pid()) + "/root" + recorder.directory() + "/" + file;
  }

  void expect_dump_fails(const Recorder& recorder, const std::string& why, int failures) {
    const Output output = kflight({"dump", "--name", recorder.name()});
    EXPECT_EQ(output.status, 1);
    EXPECT_THAT(output.err, HasSubstr(why));
    const Json status = status_of(recorder);
    EXPECT_EQ(status["dumps"]["failed"], failures);
    EXPECT_EQ(status["dumps"]["written"], 0);
    EXPECT_THAT(recorder.child().err(), HasSubstr(why));
  }
  void expect_dump_succeeds(const Recorder& recorder) {
    const std::string path = dump_path(recorder);
    const std::string found = inside(recorder, std::filesystem::path(path).filename());
    EXPECT_TRUE(open_dump(found).complete());
    EXPECT_EQ(kflight({"check", found}).status, 0);
  }
};

TEST_F(Files, OutputDirectoryThatIsNone_IsRefusedAtTheStart) {
  const Output missing = record_to(temp() / "missing");
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr(temp() / "missing"));

  std::ofstream(temp() / "file") << "text";
  const Output file = record_to(temp() / "file");
  EXPECT_NE(file.status, 0);
  EXPECT_THAT(file.err, HasSubstr("not a directory"));
}

TEST_F(Files, DirectoryRemovedMeanwhile_FailsThatDumpOnly) {
  Recorder recorder = start_recorder({"--all"});
  std::filesystem::remove(recorder.directory());
  expect_dump_fails(recorder, "No such file", 1);
  recorder.child().signal(SIGUSR1);
  while (status_of(recorder)["dumps"]["failed"] != 2) {
  }
  std::filesystem::create_directory(recorder.directory());
  expect_dump_succeeds(recorder);
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Files, FullFileSystem_KeepsNothingOfTheDump) {
  Recorder recorder = record_to_mount();
  {
    std::ofstream filler(inside(recorder, "filler"));
    const std::string block(4096, 'f');
    while (filler << block << std::flush) {
    }
  }
  expect_dump_fails(recorder, "No space left", 1);
  EXPECT_EQ(files_in(inside(recorder)), std::set<std::string>{"filler"});
  std::filesystem::remove(inside(recorder, "filler"));
  expect_dump_succeeds(recorder);
  EXPECT_EQ(recorder.stop(), 0);
}

// So that the room ends in one part of the dump after the other.
TEST_F(Files, FileSystemTooSmallByLessAndLess_KeepsNothingUntilADumpFits) {
  Recorder recorder = record_to_mount();
  // An idle machine's window fits into three pages.
  for (int sleeps = 0; sleeps < 5000; ++sleeps) std::this_thread::sleep_for(std::chrono::microseconds(1));
  int failures = 0;
  for (int pages = 2; pages < 1000; pages += (pages + 2) / 3) {
    const std::string size = "remount,size=" + std::to_string(pages * 4) + "k";
    ASSERT_EQ(run_inside(recorder, {"mount", "-o", size, recorder.directory()}), 0);
    const Output output = kflight({"dump", "--name", recorder.name()});
    if (output.status == 0) break;
    ++failures;
    EXPECT_THAT(output.err, HasSubstr("No space left")) << size;
    EXPECT_TRUE(files_in(inside(recorder)).empty()) << size;
  }
  EXPECT_GT(failures, 3);
  const auto files = files_in(inside(recorder));
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(kflight({"check", inside(recorder, *files.begin())}).status, 0);
  EXPECT_EQ(recorder.stop(), 0);
}

TEST_F(Files, ReadOnlyFileSystem_FailsUntilItIsWritable) {
  Recorder recorder = record_to_mount();
  ASSERT_EQ(run_inside(recorder, {"mount", "-o", "remount,ro", recorder.directory()}), 0);
  expect_dump_fails(recorder, "Read-only", 1);
  EXPECT_TRUE(files_in(inside(recorder)).empty());
  ASSERT_EQ(run_inside(recorder, {"mount", "-o", "remount,rw", recorder.directory()}), 0);
  expect_dump_succeeds(recorder);
  EXPECT_EQ(recorder.stop(), 0);
}

}  // namespace
}  // namespace kflight::test
