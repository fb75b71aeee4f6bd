// SPDX-License-Identifier: Apache-2.0
#include "base/escape.hpp"

#include <gtest/gtest.h>

namespace kflight {
namespace {

TEST(Escape, PrintableTextStays) {
  EXPECT_EQ(escape_for_terminal("nginx: worker"), "nginx: worker");
  EXPECT_EQ(escape_for_terminal("größe 日本 🚀"), "größe 日本 🚀");
  EXPECT_EQ(escape_for_terminal("by\\x2duuid"), "by\\x2duuid");
  EXPECT_EQ(escape_for_terminal(""), "");
}

TEST(Escape, ControlCharactersShow) {
  EXPECT_EQ(escape_for_terminal("\x1b[2Jboo"), "\\x1b[2Jboo");
  EXPECT_EQ(escape_for_terminal("a\r\nb\tc\x7f"), "a\\x0d\\x0ab\\x09c\\x7f");
  EXPECT_EQ(escape_for_terminal(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(escape_for_terminal("\xc2\x9b"
                                "31m"),
            "\\xc2\\x9b"
            "31m")
      << "C1 control sequence introducer";
}

TEST(Escape, TextThatRearrangesTheLineShows) {
  EXPECT_EQ(escape_for_terminal("\u202egpj.exe"), "\\xe2\\x80\\xaegpj.exe");
  EXPECT_EQ(escape_for_terminal("a\u2028b"), "a\\xe2\\x80\\xa8b");
  EXPECT_EQ(escape_for_terminal("\ufeffx"), "\\xef\\xbb\\xbfx");
}

TEST(Escape, InvalidUtf8Shows) {
  EXPECT_EQ(escape_for_terminal("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(escape_for_terminal("\xc0\xaf"), "\\xc0\\xaf") << "overlong";
  EXPECT_EQ(escape_for_terminal("\xe0\x80\x80"), "\\xe0\\x80\\x80") << "overlong";
  EXPECT_EQ(escape_for_terminal("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
  EXPECT_EQ(escape_for_terminal("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "above U+10FFFF";
  EXPECT_EQ(escape_for_terminal("ok\xe2\x82"), "ok\\xe2\\x82") << "cut at the end";
  EXPECT_EQ(escape_for_terminal("\xe2\x82z"), "\\xe2\\x82z") << "cut in the middle";
}

}  // namespace
}  // namespace kflight
