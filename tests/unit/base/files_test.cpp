// SPDX-License-Identifier: Apache-2.0
//
// Descriptors, mappings and sinks against a real directory.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "base/mapping.hpp"
#include "base/sinks.hpp"
#include "support/failing_call.hpp"
#include "support/failing_sink.hpp"
#include "support/temp_dir.hpp"

namespace kflight {
namespace {

using test::read_text;
using test::TempDir;
using test::write_text;
using testing::HasSubstr;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span{text}); }

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

TEST(UniqueFd, ClosesOnceAndMoves) {
  UniqueFd a{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  const int number = a.get();
  UniqueFd b = std::move(a);
  EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): what is left of it is what is tested
  EXPECT_TRUE(is_open(number));
  b.reset();
  EXPECT_FALSE(is_open(number));
}

TEST(Mapping, FileHoldsItsBytes) {
  TempDir dir;
  write_text(dir.file("a"), "hello");
  const auto mapping = Mapping::map_file(dir.file("a"));
  ASSERT_TRUE(mapping);
  EXPECT_EQ(text_of(mapping->bytes()), "hello");
}

TEST(Mapping, EmptyFileIsAnEmptySpan) {
  TempDir dir;
  write_text(dir.file("a"), "");
  const auto mapping = Mapping::map_file(dir.file("a"));
  ASSERT_TRUE(mapping);
  EXPECT_TRUE(mapping->bytes().empty());
}

TEST(Mapping, NamesWhyAFileCannotBeRead) {
  TempDir dir;
  const auto missing = Mapping::map_file(dir.file("none"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::kNotFound);
  EXPECT_THAT(missing.error().what, HasSubstr("none': No such file or directory (ENOENT)"));
  const auto directory = Mapping::map_file(dir.path());
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error().what, HasSubstr("not a regular file"));
}

TEST(Mapping, PipeIsRefusedWithoutWaiting) {
  TempDir dir;
  ASSERT_EQ(::mkfifo(dir.file("pipe").c_str(), 0600), 0);
  EXPECT_FALSE(Mapping::map_file(dir.file("pipe")));
}

TEST(Mapping, AnonymousIsZeroedAndWritable) {
  auto mapping = Mapping::anonymous(1 << 20);
  ASSERT_TRUE(mapping);
  EXPECT_EQ(mapping->bytes()[12345], std::byte{0});
  mapping->writable_bytes()[12345] = std::byte{7};
  EXPECT_EQ(mapping->bytes()[12345], std::byte{7});
  const auto absurd = Mapping::anonymous(~std::size_t{0} / 2);
  ASSERT_FALSE(absurd);
  EXPECT_THAT(absurd.error().what, HasSubstr("ENOMEM"));
}

TEST(MemorySink, Appends) {
  MemorySink sink;
  ASSERT_TRUE(sink.write(bytes_of("ab")));
  ASSERT_TRUE(sink.write(bytes_of("c")));
  EXPECT_EQ(text_of(sink.bytes()), "abc");
}

TEST(FileSink, ReportsTheReason) {
  UniqueFd full{::open("/dev/full", O_WRONLY | O_CLOEXEC)};
  FileSink sink{full.get(), "out.json"};
  const auto result = sink.write(bytes_of("x"));
  ASSERT_FALSE(result);
  EXPECT_EQ(
      result.error().what,
      "cannot write to 'out.json': No space left on device (ENOSPC); free some space or choose another directory");
}

TEST(FileSink, WritesThroughAFullNonBlockingPipe) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd in{ends[0]};
  UniqueFd out{ends[1]};
  ASSERT_EQ(::fcntl(out.get(), F_SETFL, O_NONBLOCK), 0);
  const std::string text(1 << 20, 'x');
  std::size_t received = 0;
  std::thread reader([&] {
    char buffer[65536];
    for (ssize_t n; (n = ::read(in.get(), buffer, sizeof buffer)) > 0;) received += static_cast<std::size_t>(n);
  });
  FileSink sink{out.get(), "pipe"};
  EXPECT_TRUE(sink.write(bytes_of(text)));
  out.reset();
  reader.join();
  EXPECT_EQ(received, text.size());
}

TEST(FailingSink, TakesWhatFitsThenFails) {
  test::FailingSink sink{3};
  EXPECT_TRUE(sink.write(bytes_of("ab")));
  EXPECT_FALSE(sink.write(bytes_of("cd")));
  EXPECT_EQ(text_of(sink.taken()), "abc");
}

TEST(AtomicFile, AppearsOnlyByCommit) {
  TempDir dir;
  auto file = AtomicFile::create(dir.path(), "a.kfr");
  ASSERT_TRUE(file) << file.error().what;
  ASSERT_TRUE(file->write(bytes_of("content")));
  EXPECT_TRUE(dir.has("a.kfr.partial"));
  EXPECT_FALSE(dir.has("a.kfr"));
  ASSERT_TRUE(file->commit());
  EXPECT_FALSE(dir.has("a.kfr.partial"));
  EXPECT_EQ(read_text(file->path()), "content");
  EXPECT_EQ(file->bytes_written(), 7u);
  struct stat status {};
  ASSERT_EQ(::stat(file->path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  TempDir dir;
  {
    auto file = AtomicFile::create(dir.path(), "a.kfr");
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(bytes_of("x")));
  }
  EXPECT_FALSE(dir.has("a.kfr.partial"));
  EXPECT_FALSE(dir.has("a.kfr"));
}

TEST(AtomicFile, NeverReplacesAFinishedFile) {
  TempDir dir;
  write_text(dir.file("a.kfr"), "old");
  {
    auto file = AtomicFile::create(dir.path(), "a.kfr");
    ASSERT_TRUE(file);
    const auto result = file->commit();
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().what, HasSubstr("EEXIST"));
  }
  EXPECT_EQ(read_text(dir.file("a.kfr")), "old");
  EXPECT_FALSE(dir.has("a.kfr.partial"));
}

TEST(AtomicFile, ReplacesTheRestOfADeadRun) {
  TempDir dir;
  write_text(dir.file("a.kfr.partial"), "left behind, longer than the new content");
  auto file = AtomicFile::create(dir.path(), "a.kfr");
  ASSERT_TRUE(file) << file.error().what;
  ASSERT_TRUE(file->write(bytes_of("new")));
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(read_text(dir.file("a.kfr")), "new");
}

TEST(AtomicFile, RespectsALivingWriter) {
  TempDir dir;
  auto first = AtomicFile::create(dir.path(), "a.kfr");
  ASSERT_TRUE(first);
  const auto second = AtomicFile::create(dir.path(), "a.kfr");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kBusy);
  ASSERT_TRUE(first->write(bytes_of("mine")));
  ASSERT_TRUE(first->commit());
  EXPECT_EQ(read_text(dir.file("a.kfr")), "mine");
}

TEST(AtomicFile, NeverWritesThroughASymbolicLink) {
  TempDir dir;
  write_text(dir.file("victim"), "precious");
  ASSERT_EQ(::symlink(dir.file("victim").c_str(), dir.file("a.kfr.partial").c_str()), 0);
  const auto through_partial = AtomicFile::create(dir.path(), "a.kfr");
  ASSERT_FALSE(through_partial);
  EXPECT_THAT(through_partial.error().what, HasSubstr("symbolic link"));
  ASSERT_EQ(::symlink(dir.file("victim").c_str(), dir.file("b.kfr").c_str()), 0);
  auto file = AtomicFile::create(dir.path(), "b.kfr");
  ASSERT_TRUE(file);
  EXPECT_FALSE(file->commit());
  EXPECT_EQ(read_text(dir.file("victim")), "precious");
}

TEST(AtomicFile, SaysWhatIsWrongWithThePlace) {
  TempDir dir;
  const auto no_directory = AtomicFile::create(dir.file("none"), "a.kfr");
  ASSERT_FALSE(no_directory);
  EXPECT_EQ(no_directory.error().code, Errc::kNotFound);
  EXPECT_FALSE(AtomicFile::create(dir.path(), "../a.kfr"));
  EXPECT_FALSE(AtomicFile::create(dir.path(), ""));
  write_text(dir.file("plain"), "");
  EXPECT_FALSE(AtomicFile::create(dir.file("plain"), "a.kfr"));
}

// Who may replace files in the directory decides.
TEST(AtomicFile, IsCreatedOnlyWhereNobodyElseCanReplaceIt) {
  struct Place {
    mode_t mode;
    bool good;
  };
  TempDir dir;
  for (const auto& [mode, good] : {Place{0700, true}, Place{0755, true}, Place{01777, true}, Place{0775, true},
                                   Place{0757, false}, Place{0777, false}, Place{0722, false}}) {
    ASSERT_EQ(::chmod(dir.path().c_str(), mode), 0);  // the group is our own
    const auto file = AtomicFile::create(dir.path(), "a.kfr");
    EXPECT_EQ(file.has_value(), good) << std::oct << mode;
    if (good) continue;
    EXPECT_EQ(file.error().code, Errc::kPermission);
    EXPECT_THAT(file.error().what, HasSubstr("every user could replace the files in that directory; chmod o-w it, or "));
  }
  ASSERT_EQ(::chmod(dir.path().c_str(), 0700), 0);
}

// Each step of a commit fails once: an error that names the reason, and no file, whole or half.
TEST(AtomicFile, LeavesNothingWhenAStepOfCommitFails) {
  const struct {
    test::FailingCall call;
    const char* says;
  } steps[] = {{{SYS_fsync, EIO}, "cannot bring"},
               {{SYS_fsync, ENOSPC}, "ENOSPC"},
               {{SYS_renameat2, EIO}, "its name"},
               {{SYS_renameat2, EROFS}, "EROFS"}};
  for (const auto& step : steps) {
    TempDir dir;
    const auto failed_as_it_should = test::with_failing_call(step.call, [&] {
      auto file = AtomicFile::create(dir.path(), "a.kfr");
      if (!file || !file->write(bytes_of("content"))) return false;
      const auto committed = file->commit();
      return !committed && committed.error().what.find(step.says) != std::string::npos;
    });
    if (!failed_as_it_should) GTEST_SKIP() << "no seccomp filters here";
    EXPECT_TRUE(*failed_as_it_should) << step.says;
    EXPECT_TRUE(std::filesystem::is_empty(dir.path())) << step.says;
  }
}

TEST(AtomicFile, WithoutRenameat2AFinishedFileIsLinked) {
  TempDir dir;
  const auto linked = test::with_failing_call({SYS_renameat2, ENOSYS}, [&] {
    auto file = AtomicFile::create(dir.path(), "a.kfr");
    return file && file->write(bytes_of("content")) && file->commit();
  });
  if (!linked) GTEST_SKIP() << "no seccomp filters here";
  EXPECT_TRUE(*linked);
  EXPECT_EQ(read_text(dir.file("a.kfr")), "content");
  EXPECT_FALSE(dir.has("a.kfr.partial"));
}

TEST(AtomicFile, DirectoryRemovedWhileItIsWritten) {
  TempDir dir;
  const auto path = dir.file("d");
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  auto file = AtomicFile::create(path, "a.kfr");
  ASSERT_TRUE(file) << file.error().what;
  std::filesystem::remove_all(path);
  EXPECT_TRUE(file->write(bytes_of("content")));
  const auto committed = file->commit();
  ASSERT_FALSE(committed);
  EXPECT_THAT(committed.error().what, HasSubstr("ENOENT"));
  EXPECT_FALSE(dir.has("d"));
}

TEST(AtomicFile, IsNotCreatedAmongFilesOfOthers) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a directory away";
  constexpr uid_t kSomebody = 4242;
  TempDir dir;
  ASSERT_EQ(::chown(dir.path().c_str(), kSomebody, 0), 0);
  for (const mode_t mode : {0755, 01777}) {
    ASSERT_EQ(::chmod(dir.path().c_str(), mode), 0);
    const auto file = AtomicFile::create(dir.path(), "a.kfr");
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, Errc::kPermission);
    EXPECT_THAT(file.error().what, HasSubstr("belongs to user 4242, who could replace the files in it"));
  }
  ASSERT_EQ(::chown(dir.path().c_str(), 0, kSomebody), 0);
  ASSERT_EQ(::chmod(dir.path().c_str(), 0775), 0);
  const auto of_group = AtomicFile::create(dir.path(), "a.kfr");
  ASSERT_FALSE(of_group);
  EXPECT_THAT(of_group.error().what, HasSubstr("group 4242 could replace"));
  ASSERT_EQ(::chmod(dir.path().c_str(), 01775), 0);
  EXPECT_TRUE(AtomicFile::create(dir.path(), "a.kfr"));
}

// A link to a directory is judged by the directory, and what is renamed behind our back stays behind.
TEST(AtomicFile, StaysInTheDirectoryThatWasChecked) {
  TempDir dir;
  const auto path = dir.file("d"), link = dir.file("link"), moved = dir.file("moved");
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  ASSERT_EQ(::symlink(path.c_str(), link.c_str()), 0);
  auto file = AtomicFile::create(link, "a.kfr");
  ASSERT_TRUE(file) << file.error().what;
  ASSERT_EQ(::rename(path.c_str(), moved.c_str()), 0);
  ASSERT_EQ(::mkdir(path.c_str(), 0777), 0);
  ASSERT_TRUE(file->commit());
  EXPECT_TRUE(std::filesystem::exists(moved + "/a.kfr"));
  EXPECT_TRUE(std::filesystem::is_empty(path));
}

TEST(AtomicFile, DiskFullLeavesNothing) {
  TempDir dir;
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  {
    auto file = AtomicFile::create(dir.path(), "a.kfr");
    ASSERT_TRUE(file);
    const auto result = file->write(bytes_of(std::string(5000, 'x')));
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().what, HasSubstr("EFBIG"));
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_FALSE(dir.has("a.kfr.partial"));
}

}  // namespace
}  // namespace kflight
