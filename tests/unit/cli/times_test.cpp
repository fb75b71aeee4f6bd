// SPDX-License-Identifier: Apache-2.0
#include "cli/times.hpp"

#include <gmock/gmock.h>

#include <cstdlib>

#include "support/dump_builder.hpp"

namespace kflight::cli {
namespace {

using namespace std::chrono_literals;
using test::DumpBuilder;
using testing::HasSubstr;

class Times : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    file.window(1s, 5s);
    file.meta.clocks.realtime = 1'700'000'000'000'000'000;  // 2023-11-14 22:13:20 UTC, at the window's end
  }
  std::uint64_t resolve(const char* text) {
    const auto point = parse_time_point(text);
    EXPECT_TRUE(point) << (point ? "" : point.error().what);
    const auto ns = DumpClock(file.dump()).resolve(*point);
    EXPECT_TRUE(ns);
    return ns ? *ns : 0;
  }
  DumpBuilder file;
};

TEST_F(Times, PointsBeforeTheEnd) {
  EXPECT_EQ(resolve("-2s"), 3'000'000'000u);
  EXPECT_EQ(resolve("-500ms"), 4'500'000'000u);
  EXPECT_EQ(resolve("-0s"), 5'000'000'000u);
  EXPECT_EQ(resolve("-1h"), 0u);
}

TEST_F(Times, PointsOfOtherClocks) {
  EXPECT_EQ(resolve("@123456789"), 123'456'789u);
  EXPECT_EQ(resolve("22:13:18"), 3'000'000'000u);
  EXPECT_EQ(resolve("22:13:18.25"), 3'250'000'000u);
  EXPECT_EQ(resolve("2023-11-14 22:13:19"), 4'000'000'000u);
  EXPECT_EQ(resolve("2023-11-14T22:13:19.000000001"), 4'000'000'001u);
}

TEST_F(Times, TimeOfDayInAWindowThatCrossedMidnight) {
  file.meta.clocks.realtime = 1'700'006'402'000'000'000;  // 2023-11-15 00:00:02 UTC, at the window's end
  EXPECT_EQ(resolve("00:00:01"), 4'000'000'000u);
  EXPECT_EQ(resolve("00:00"), 3'000'000'000u);
  EXPECT_EQ(resolve("23:59:58.5"), 1'500'000'000u);
  EXPECT_EQ(resolve("00:00:03"), 6'000'000'000u) << "a little behind the end is not the day before";
}

TEST_F(Times, WhatIsNoTime) {
  for (const char* text :
       {"", "2s", "-", "-2", "@", "@x", "25:00", "12:60", "12:3", "12:34:56.", "2023-13-99", "12:34x"}) {
    const auto point = parse_time_point(text);
    ASSERT_FALSE(point) << text;
    EXPECT_EQ(point.error().code, Errc::kUsage);
    EXPECT_THAT(point.error().what, HasSubstr("write -2s or -500ms"));
  }
}

TEST_F(Times, WallClockNeedsTheDumpsClocks) {
  file.meta.clocks = {};
  EXPECT_FALSE(DumpClock(file.dump()).resolve(*parse_time_point("12:00")));
}

TEST_F(Times, TimesAsText) {
  DumpClock clock(file.dump());
  EXPECT_EQ(clock.relative(4'500'000'001), "-0.499999999");
  EXPECT_EQ(clock.relative(5'000'000'000), "+0.000000000");
  EXPECT_EQ(clock.relative(6'000'000'002), "+1.000000002");
  EXPECT_EQ(clock.wall(4'999'999'999), "2023-11-14 22:13:19.999999999");
}

}  // namespace
}  // namespace kflight::cli
