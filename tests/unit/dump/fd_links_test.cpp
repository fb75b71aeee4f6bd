// SPDX-License-Identifier: Apache-2.0
//
// The section about file descriptors: what is written is what is read, in order, and a damaged record ends it.
#include "dump/fd_links.hpp"

#include <gtest/gtest.h>

#include "support/dump_builder.hpp"

namespace kflight::dump {
namespace {

using namespace test;

TEST(FdLinks, RoundTrip) {
  DumpBuilder file;
  file.fd_link(9, 4, "/tmp/x\n").fd_link(8, 7, "socket:[5]", 3us).fd_link(8, 3, "pipe:[1]", 5us);
  const auto links = file.dump().fd_links();
  ASSERT_EQ(links.size(), 3u);
  EXPECT_EQ(links[0].target, "pipe:[1]");
  EXPECT_EQ(links[0].seen_ns, 5'000u);
  EXPECT_EQ(links[1].fd, 7u);
  EXPECT_EQ(links[2].tgid, 9u);
  EXPECT_EQ(links[2].target, "/tmp/x\n");
}

TEST(FdLinks, OfTwoAboutOneDescriptorTheFirstCounts) {
  DumpBuilder file;
  file.fd_link(8, 3, "pipe:[1]").fd_link(8, 3, "pipe:[2]");
  ASSERT_EQ(file.dump().fd_links().size(), 1u);
  EXPECT_EQ(file.dump().fd_links()[0].target, "pipe:[1]");
}

TEST(FdLinks, TextBeyondTheSectionEndsIt) {
  DumpBuilder file;
  file.fd_link(8, 3, "pipe:[1]").fd_link(8, 4, "pipe:[2]");
  std::vector<std::byte> bytes(file.fd_links.bytes().begin(), file.fd_links.bytes().end());
  bytes[sizeof(kf_fd_link) + 8 + offsetof(kf_fd_link, text_bytes)] = std::byte{200};
  std::vector<FdLink> links;
  EXPECT_EQ(take_fd_links(bytes, links), sizeof(kf_fd_link) + 8);
  ASSERT_EQ(links.size(), 1u);
  EXPECT_EQ(links[0].target, "pipe:[1]");
}

}  // namespace
}  // namespace kflight::dump
