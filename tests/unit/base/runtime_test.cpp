// SPDX-License-Identifier: Apache-2.0
//
// Clocks, errno text, log lines, annotated mutex.
#include <gmock/gmock.h>

#include <cerrno>
#include <ctime>
#include <thread>
#include <vector>

#include "base/clocks.hpp"
#include "base/errors.hpp"
#include "base/log.hpp"
#include "base/mutex.hpp"

namespace kflight {
namespace {

TEST(Clocks, BoottimeAdvances) {
  const auto first = boottime_ns();
  EXPECT_GT(first, 0u);
  EXPECT_GE(boottime_ns(), first);
}

TEST(Clocks, ReadingLiesBetweenItsNeighbours) {
  const auto before = boottime_ns();
  const auto reading = read_all_clocks();
  const auto after = boottime_ns();
  EXPECT_GE(reading.boottime, before);
  EXPECT_LE(reading.boottime, after);
  EXPECT_LE(reading.monotonic, reading.boottime) << "boottime counts suspended time as well";
  EXPECT_NEAR(static_cast<double>(reading.realtime) / 1e9, static_cast<double>(std::time(nullptr)), 60);
}

TEST(Errors, NameNumberAndAdvice) {
  const auto error = errno_error(EACCES, "cannot open 'x'", "run as root");
  EXPECT_EQ(error.code, Errc::kPermission);
  EXPECT_EQ(error.what, "cannot open 'x': Permission denied (EACCES); run as root");
  EXPECT_EQ(errno_error(EIO, "cannot read").what, "cannot read: Input/output error (EIO)");
  EXPECT_EQ(errno_text(99999), "error 99999");
}

TEST(Log, LevelsByName) {
  EXPECT_EQ(log_level_from("debug"), LogLevel::kDebug);
  EXPECT_EQ(log_level_from("warn"), LogLevel::kWarn);
  EXPECT_EQ(log_level_from("error"), LogLevel::kError);
  EXPECT_EQ(log_level_from("nonsense"), LogLevel::kInfo);
}

TEST(Log, LinesAreWholeAndEscaped) {
  testing::internal::CaptureStderr();
  log_error("thread '{}' vanished", "a\x1b[2Jb\n");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "kflight: error: thread 'a\\x1b[2Jb\\x0a' vanished\n");
}

TEST(Log, ThreadsDoNotMixTheirLines) {
  testing::internal::CaptureStderr();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 50; ++i) log_line(LogLevel::kInfo, "0123456789");
    });
  for (auto& thread : threads) thread.join();
  std::string expected;
  for (int i = 0; i < 200; ++i) expected += "kflight: 0123456789\n";
  EXPECT_EQ(testing::internal::GetCapturedStderr(), expected);
}

struct Mailbox {
  Mutex mutex;
  CondVar changed;
  int value KF_GUARDED_BY(mutex) = 0;
};

TEST(Mutex, CondVarWakesAndTimesOut) {
  Mailbox box;
  std::thread sender([&] {
    const MutexLock lock(box.mutex);
    box.value = 42;
    box.changed.notify_one();
  });
  {
    const MutexLock lock(box.mutex);
    while (box.value == 0) box.changed.wait(box.mutex);
    EXPECT_EQ(box.value, 42);
    const auto past = std::chrono::steady_clock::now() - std::chrono::seconds(1);
    EXPECT_FALSE(box.changed.wait_until(box.mutex, past));
  }
  sender.join();
}

}  // namespace
}  // namespace kflight
