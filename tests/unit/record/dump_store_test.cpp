// SPDX-License-Identifier: Apache-2.0
//
// dump_store_test.cpp - names, whole files only, and which old dumps make room.
#include "record/dump_store.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>

#include "support/failing_sink.hpp"
#include "support/sample_dump.hpp"
#include "support/temp_dir.hpp"

namespace kflight::record {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr std::uint64_t kNoon = 1'800'000'000'000'000'000;  // realtime, ns

class DumpStoreTest : public testing::Test {
 protected:
  std::unique_ptr<DumpStore> open(const std::string& name = "web", std::uint64_t max_dump_bytes = 0) {
    auto store = DumpStore::open({.directory = directory_.path(), .name = name, .max_dump_bytes = max_dump_bytes});
    EXPECT_TRUE(store) << (store ? "" : store.error().what);
    return store ? std::move(*store) : nullptr;
  }
  // A dump of that many bytes.
  static DumpStore::Write of_size(std::size_t bytes) {
    return [bytes](ByteSink& sink) { return sink.write(std::vector<std::byte>(bytes, std::byte{'k'})); };
  }
  static DumpStore::Write failing() {
    return [](ByteSink& sink) -> Result<> {
      KF_TRY(sink.write(std::vector<std::byte>(100)));
      return Error{Errc::kIo, "the disk is full"};
    };
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path()))
      names.push_back(entry.path().filename());
    return names;
  }
  void put(const std::string& name, std::size_t bytes) const {
    test::write_text(directory_.file(name), std::string(bytes, 'x'));
  }
  // Makes a file older than any written now.
  void age(const std::string& name, int seconds) const {
    const timespec times[2] = {{1'000'000 - seconds, 0}, {1'000'000 - seconds, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, directory_.file(name).c_str(), times, 0), 0);
  }

  test::TempDir directory_;
};

TEST_F(DumpStoreTest, NamesSayWhoWhenAndWhy) {
  const auto store = open();
  const auto dump = store->store("syscall-fsync", kNoon, of_size(10));
  ASSERT_TRUE(dump) << dump.error().what;
  EXPECT_EQ(dump->bytes, 10u);
  const auto name = std::filesystem::path(dump->path).filename().string();
  EXPECT_THAT(name, testing::MatchesRegex("kflight-web-20270115-[0-9]{6}-001-syscall-fsync\\.kfr"));
  EXPECT_TRUE(is_dump_name(name, "web"));
  struct stat status {};
  ASSERT_EQ(::stat(dump->path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(DumpStoreTest, ReasonsBecomeFileNames) {
  const auto store = open();
  EXPECT_THAT(store->store("Signal: ../SEGV", kNoon, of_size(1))->path, HasSubstr("-001-signal-----segv.kfr"));
  EXPECT_THAT(store->store("", kNoon, of_size(1))->path, HasSubstr("-002-dump.kfr"));
  EXPECT_THAT(store->store("99 bottles", kNoon, of_size(1))->path, HasSubstr("-003-dump-99-bottles.kfr"));
  EXPECT_TRUE(store->store(std::string(5000, 'a'), kNoon, of_size(1)));
}

TEST_F(DumpStoreTest, ARestartInTheSameSecondDoesNotCollide) {
  ASSERT_TRUE(open()->store("manual", kNoon, of_size(1)));
  const auto second = open()->store("manual", kNoon, of_size(1));
  ASSERT_TRUE(second);
  EXPECT_THAT(second->path, HasSubstr("-002-manual.kfr"));
}

TEST_F(DumpStoreTest, AFailureLeavesNothingAndTheNextDumpSucceeds) {
  const auto store = open();
  const auto failed = store->store("manual", kNoon, failing());
  ASSERT_FALSE(failed);
  EXPECT_TRUE(files().empty());
  EXPECT_TRUE(store->store("manual", kNoon, of_size(1)));
  const auto counts = store->counts();
  EXPECT_EQ(counts.failed, 1u);
  EXPECT_EQ(counts.written, 1u);
  EXPECT_EQ(counts.last_error, "the disk is full");
}

// The disk is full at each write of a whole dump once, in a row: nothing of those dumps stays, and the next one is whole.
TEST_F(DumpStoreTest, EveryFailingWriteLeavesNothing) {
  const auto store = open();
  unsigned failures = 0;
  for (bool failed = true; failed;) {
    const auto dump = store->store("manual", kNoon, [&](ByteSink& file) -> Result<> {
      test::FailsOnce sink(file, static_cast<int>(failures));
      dump::DumpWriter writer(sink);
      std::optional<Error> error;
      test::write_sample(writer, [&](const auto& result) {
        if (!result && !error) error = result.error();
      });
      failed = sink.failed();
      if (error) return *error;
      return {};
    });
    ASSERT_EQ(dump.has_value(), !failed) << failures;
    if (!failed) break;
    ASSERT_TRUE(files().empty()) << failures;
    ++failures;
  }
  EXPECT_GT(failures, 10u);
  EXPECT_EQ(store->counts().failed, failures);
  ASSERT_EQ(files().size(), 1u);
  const auto whole = test::sample_dump();
  const auto written = test::read_text(directory_.file(files()[0]));
  EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span{written}), whole));
}

// Names carry the wall clock; nothing else in a dump's life depends on it.
TEST_F(DumpStoreTest, AClockThatStepsBackChangesNamesOnly) {
  const auto store = open("web", 25);
  constexpr std::uint64_t kHour = 3'600'000'000'000;
  int steps = 0;
  for (const std::uint64_t realtime_ns : {kNoon, kNoon - kHour, kNoon - 2 * kHour, std::uint64_t{0}}) {
    const auto dump = store->store("manual", realtime_ns, of_size(10));
    ASSERT_TRUE(dump) << dump.error().what;
    ASSERT_TRUE(std::filesystem::exists(dump->path));
    age(std::filesystem::path(dump->path).filename(), 3600 * steps++);
  }
  EXPECT_EQ(files().size(), 2u);
  EXPECT_EQ(store->counts().failed, 0u);
  EXPECT_EQ(store->counts().removed, 2u);
}

TEST_F(DumpStoreTest, ADirectoryThatVanishesIsAFailureToo) {
  const auto store = open();
  std::filesystem::remove(directory_.path());
  EXPECT_FALSE(store->store("manual", kNoon, of_size(1)));
  std::filesystem::create_directory(directory_.path());
  EXPECT_TRUE(store->store("manual", kNoon, of_size(1)));
}

TEST_F(DumpStoreTest, TheOldestDumpsMakeRoom) {
  const auto store = open("web", 250);
  std::vector<std::string> paths;
  for (int i = 0; i < 4; ++i) {
    const auto dump = store->store("manual", kNoon + i * 1'000'000'000ull, of_size(100));
    ASSERT_TRUE(dump);
    paths.push_back(dump->path);
    age(std::filesystem::path(dump->path).filename(), 100 - i);
  }
  EXPECT_FALSE(std::filesystem::exists(paths[0]));
  EXPECT_FALSE(std::filesystem::exists(paths[1]));
  EXPECT_TRUE(std::filesystem::exists(paths[2]));
  EXPECT_TRUE(std::filesystem::exists(paths[3]));
  EXPECT_EQ(store->counts().removed, 2u);
}

TEST_F(DumpStoreTest, TheNewestStaysEvenWhenItAloneIsTooLarge) {
  const auto store = open("web", 50);
  ASSERT_TRUE(store->store("manual", kNoon, of_size(10)));
  const auto dump = store->store("manual", kNoon, of_size(100));
  ASSERT_TRUE(dump);
  EXPECT_EQ(files().size(), 1u);
  EXPECT_EQ(dump->removed.size(), 1u);
}

TEST_F(DumpStoreTest, FilesOfOthersAreNeverRemoved) {
  const std::vector<std::string> foreign = {"notes.txt",
                                            "kflight-web.kfr",
                                            "kflight-web-1-20260101-101010-001-manual.kfr",
                                            "kflight-other-20260101-101010-001-manual.kfr",
                                            "kflight-web-20260101-101010-001-manual.kfr.partial.bak",
                                            "kflight-web-20260101-101010-001-20260101-101010-001-manual.kfr"};
  for (const auto& name : foreign) {
    put(name, 1000);
    age(name, 500);
  }
  put("kflight-web-20260101-101010-001-manual.kfr", 1000);
  age("kflight-web-20260101-101010-001-manual.kfr", 500);
  std::filesystem::create_directory(directory_.file("kflight-web-20260101-101010-002-manual.kfr"));
  std::filesystem::create_symlink("notes.txt", directory_.file("kflight-web-20260101-101010-003-manual.kfr"));
  const auto dump = open("web", 100)->store("manual", kNoon, of_size(10));
  ASSERT_TRUE(dump);
  EXPECT_THAT(dump->removed, UnorderedElementsAre(directory_.file("kflight-web-20260101-101010-001-manual.kfr")));
  for (const auto& name : foreign) EXPECT_TRUE(directory_.has(name)) << name;
  EXPECT_TRUE(directory_.has("kflight-web-20260101-101010-002-manual.kfr"));
  EXPECT_TRUE(directory_.has("kflight-web-20260101-101010-003-manual.kfr"));
}

TEST_F(DumpStoreTest, RemovesWhatAKilledRunLeftHalfWritten) {
  put("kflight-web-20260101-101010-001-manual.kfr.partial", 10);
  put("kflight-other-20260101-101010-001-manual.kfr.partial", 10);
  open();
  EXPECT_THAT(files(), UnorderedElementsAre("kflight-other-20260101-101010-001-manual.kfr.partial"));
}

TEST_F(DumpStoreTest, RefusesPlacesItCannotWriteTo) {
  EXPECT_THAT(DumpStore::open({.directory = directory_.file("none"), .name = "web"}).error().what,
              HasSubstr("No such file or directory (ENOENT); create it, or choose another with -o"));
  put("file", 1);
  EXPECT_THAT(DumpStore::open({.directory = directory_.file("file"), .name = "web"}).error().what,
              HasSubstr("it is not a directory"));
}

TEST_F(DumpStoreTest, WritesWhereSomebodyAskedForIt) {
  const auto store = open("web", 5);
  const auto path = directory_.file("mine.kfr");
  const auto dump = store->store_at(path, of_size(10));
  ASSERT_TRUE(dump) << dump.error().what;
  EXPECT_EQ(dump->path, path);
  EXPECT_THAT(store->store_at(path, of_size(10)).error().what, HasSubstr("exists already"));
  EXPECT_THAT(store->store_at("mine.kfr", of_size(10)).error().what, HasSubstr("an absolute path"));
  EXPECT_FALSE(store->store_at(directory_.path() + "/", of_size(10)));
  EXPECT_FALSE(store->store_at(directory_.file("none/x.kfr"), of_size(10)));
  EXPECT_EQ(store->counts().failed, 4u);
}

}  // namespace
}  // namespace kflight::record
