// SPDX-License-Identifier: Apache-2.0
#include "base/units.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "support/terminal_text.hpp"

namespace kflight {
namespace {

using testing::HasSubstr;

std::int64_t duration_ns(std::string_view text) {
  const auto result = parse_duration(text);
  EXPECT_TRUE(result) << (result ? "" : result.error().what);
  return result ? result->count() : -1;
}

std::uint64_t size_bytes(std::string_view text) {
  const auto result = parse_bytes(text);
  EXPECT_TRUE(result) << (result ? "" : result.error().what);
  return result ? *result : 0;
}

TEST(ParseDuration, EveryUnit) {
  EXPECT_EQ(duration_ns("7ns"), 7);
  EXPECT_EQ(duration_ns("250us"), 250'000);
  EXPECT_EQ(duration_ns("500ms"), 500'000'000);
  EXPECT_EQ(duration_ns("10s"), 10'000'000'000);
  EXPECT_EQ(duration_ns("2m"), 120'000'000'000);
  EXPECT_EQ(duration_ns("1h"), 3'600'000'000'000);
}

TEST(ParseDuration, FractionsAreExact) {
  EXPECT_EQ(duration_ns("1.5s"), 1'500'000'000);
  EXPECT_EQ(duration_ns("0.1ms"), 100'000);
  EXPECT_EQ(duration_ns("1.000000001s"), 1'000'000'001);
  EXPECT_EQ(duration_ns("2.50000000000000000000000s"), 2'500'000'000);
  EXPECT_EQ(duration_ns("0s"), 0);
}

TEST(ParseDuration, LimitsAreExact) {
  EXPECT_EQ(duration_ns("9223372036854775807ns"), std::numeric_limits<std::int64_t>::max());
  EXPECT_FALSE(parse_duration("9223372036854775808ns"));
  EXPECT_FALSE(parse_duration("9999999999999999999999999999999999999999999s"));
}

TEST(ParseDuration, ErrorsNameTheColumnAndTheFix) {
  struct Case {
    const char* text;
    const char* what;
  };
  const Case cases[] = {
      {"10", "bad duration '10', column 3: the unit is missing; write 10s or 10ms"},
      {"", "bad duration '', column 1: it is empty; write 10s or 10ms"},
      {"-3s", "bad duration '-3s', column 1: a duration cannot be negative"},
      {"fast", "bad duration 'fast', column 1: expected a digit; write 10s or 10ms"},
      {"1.s", "bad duration '1.s', column 3: expected a digit; write 10s or 10ms"},
      {"10 s", "bad duration '10 s', column 3: no unit ' s'; there are ns, us, ms, s, m, h"},
      {"10S", "bad duration '10S', column 3: no unit 'S'; there are ns, us, ms, s, m, h"},
      {"0.5ns", "bad duration '0.5ns', column 1: it is no whole number of ns; give fewer digits"},
      {"300000h", nullptr},
      {"10000000h", "bad duration '10000000h', column 1: it is too large; the largest is 9223372036854775807ns"},
  };
  for (const auto& [text, what] : cases) {
    const auto result = parse_duration(text);
    if (!what) {
      EXPECT_TRUE(result) << text;
      continue;
    }
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().what, what);
    EXPECT_EQ(result.error().code, Errc::kUsage);
  }
}

TEST(ParseDuration, ColumnCountsFromTheCallersText) {
  const auto result = parse_duration("50", 9);  // as in "syscall>50"
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().what, HasSubstr("column 11"));
}

TEST(ParseBytes, UnitsCountIn1024) {
  EXPECT_EQ(size_bytes("4096B"), 4096u);
  EXPECT_EQ(size_bytes("512KiB"), 512u << 10);
  EXPECT_EQ(size_bytes("512K"), 512u << 10);
  EXPECT_EQ(size_bytes("64MiB"), 64u << 20);
  EXPECT_EQ(size_bytes("1G"), 1ull << 30);
  EXPECT_EQ(size_bytes("1.5GiB"), 3ull << 29);
  EXPECT_EQ(size_bytes("16777215TiB"), 16777215ull << 40);
}

TEST(ParseBytes, RefusesWhatCouldMeanTwoThings) {
  EXPECT_EQ(parse_bytes("64").error().what, "bad size '64', column 3: the unit is missing; write 64MiB or 64KiB");
  EXPECT_THAT(parse_bytes("64MB").error().what, HasSubstr("no unit 'MB'; there are B, KiB, MiB"));
  EXPECT_FALSE(parse_bytes("16777216TiB"));
  EXPECT_FALSE(parse_bytes("0.0001KiB"));
  EXPECT_FALSE(parse_bytes("-1B"));
}

TEST(FormatDuration, FourDigitsAndZerosOnlyWhenRounded) {
  EXPECT_EQ(format_duration(std::int64_t{12}), "12 ns");
  EXPECT_EQ(format_duration(std::int64_t{340'000}), "340 us");
  EXPECT_EQ(format_duration(std::int64_t{17'301'234}), "17.30 ms");
  EXPECT_EQ(format_duration(std::chrono::milliseconds(1500)), "1.5 s");
  EXPECT_EQ(format_duration(std::int64_t{999'999}), "1000 us");
  EXPECT_EQ(format_duration(std::int64_t{0}), "0 ns");
  EXPECT_EQ(format_duration(std::int64_t{-17'301'234}), "-17.30 ms");
  EXPECT_EQ(format_duration(std::chrono::seconds(723)), "12 min 3 s");
  EXPECT_EQ(format_duration(std::chrono::minutes(125)), "2 h 5 min");
  EXPECT_EQ(format_duration(std::numeric_limits<std::int64_t>::min()), "-2562047 h 47 min");
}

TEST(FormatDuration, ExactTextParsesBack) {
  for (const std::int64_t ns : {1ll, 340'000ll, 1'500'000'000ll, 25'000'000ll}) {
    auto text = format_duration(ns);
    text.erase(text.find(' '), 1);
    EXPECT_EQ(duration_ns(text), ns) << text;
  }
}

TEST(FormatBytes, BinaryUnits) {
  EXPECT_EQ(format_bytes(812), "812 B");
  EXPECT_EQ(format_bytes(64 << 20), "64 MiB");
  EXPECT_EQ(format_bytes(1'580'000'000), "1.471 GiB");
  EXPECT_EQ(format_bytes(0), "0 B");
}

TEST(FormatCount, GroupsOfThree) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1,000");
  EXPECT_EQ(format_count(1234567), "1,234,567");
}

// Messages are printed, and the text may come from anywhere.
TEST(ParseDuration, MessagesQuoteNothingThatCouldCommandATerminal) {
  for (const char* text : {"\x1b]0;x", "1\x9bs", "\xc2\x9b", "1.5\n"}) {
    const auto duration = parse_duration(text);
    ASSERT_FALSE(duration);
    EXPECT_EQ(test::first_unprintable(duration.error().what), std::nullopt) << duration.error().what;
    EXPECT_EQ(duration.error().what.find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace kflight
