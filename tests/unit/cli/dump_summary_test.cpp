// SPDX-License-Identifier: Apache-2.0
//
// What `kflight info` says, and that it says it on one screen.
#include "cli/dump_summary.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "dump/section.hpp"
#include "dump/section_writer.hpp"
#include "support/calls.hpp"
#include "support/dump_builder.hpp"

namespace kflight::cli {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using test::ChunkBuilder;
using test::DumpBuilder;
using test::nr;
using testing::HasSubstr;
using testing::Not;


class InfoText : public testing::Test {
 protected:
  void SetUp() override {
    file.window(1s, 11s);
    file.meta.window.limited_by = "max-bytes";
    file.meta.config.max_bytes = 64 << 20;
    file.meta.config.target_pids = {100};
    file.meta.config.triggers = {"syscall:fsync>20ms"};
    Cause& cause = file.meta.cause;
    cause = {.trigger = "syscall:fsync>20ms", .kind = "syscall", .fired_ns = 10'500'000'000};
    cause.has_call = true;
    cause.tid = 101;
    cause.tgid = 100;
    cause.comm = Comm::from("db");
    cause.nr = nr("fsync");
    cause.args = {7};
    cause.enter_ns = 10'466'000'000;
    cause.exit_ns = 10'500'000'000;
    cause.ret = -5;
    cause.fd_path = "/var/lib/wal";
  }
  std::string text(std::size_t columns = 120) { return summary_as_text(file.dump(), "x.kfr", columns); }
  DumpBuilder file;
};

TEST_F(InfoText, TheCallIsDecoded) {
  EXPECT_THAT(text(), HasSubstr("call       fsync(fd=7)\n"));
  EXPECT_THAT(text(), HasSubstr("file       /var/lib/wal\n"));
  EXPECT_THAT(text(), HasSubstr("result     = -1 EIO after 34 ms, from -0.534000000 to -0.500000000\n"));
  EXPECT_THAT(text(), HasSubstr("thread     db:101 of process 100\n"));
  EXPECT_THAT(text(), Not(HasSubstr("WARNING")));
}

TEST_F(InfoText, OfManyLossesItSaysWhatShowsAll) {
  for (kf_u64 i = 0; i < 20; ++i) file.losses.push_back({KF_LOSS_RECURSION, 0, 2'000'000'000 + i, 2'000'000'001 + i, 1});
  EXPECT_THAT(text(), HasSubstr("more: kflight info --json"));
  EXPECT_EQ(Json::parse(summary_as_json(file.dump(), "x.kfr"))["losses_in_window"].size(), 20u);
}

TEST_F(InfoText, StacksAreCountedAndSoAreLostOnes) {
  EXPECT_THAT(text(), Not(HasSubstr("stacks"))) << "none were asked for";
  file.meta.config.stacks = "all";
  file.meta.config.sample_hz = 99;
  ChunkBuilder cpu(0, {.start = 2s, .cur_tid = 101});
  file.stack(1, 100, {0x1000});
  file.add(cpu.stack(101, KF_STACK_SAMPLE, 0, 1)
               .stack(101, KF_STACK_SAMPLE, 0, 1)
               .stack(101, KF_STACK_WAKER, 7, 0, KF_STACK_LOST_USER)
               .build());
  EXPECT_THAT(text(), HasSubstr("stacks     2 (1 different ones) of 0 waits, 1 wakings, 2 samples; asked for: all, 99 "
                                "samples a second\n"));
  EXPECT_THAT(text(), HasSubstr("2 more were lost: there was no room for them\n"));
  const auto summary = Json::parse(summary_as_json(file.dump(), "x.kfr"));
  EXPECT_EQ(summary["stacks"]["lost"], 2);
  EXPECT_EQ(summary["stacks"]["samples"], 2);
}

TEST_F(InfoText, WindowThatMissesTheCallsBeginning_Warns) {
  file.meta.cause.enter_ns = 500'000'000;
  EXPECT_THAT(text(), HasSubstr("WARNING: it began 500 ms before the window does"));
}

TEST_F(InfoText, CallInFlight_EndsLater) {
  file.meta.cause.call_in_flight = true;
  file.meta.cause.exit_ns = 0;
  EXPECT_THAT(text(), HasSubstr("had not returned after 34 ms"));
  EXPECT_THAT(text(), HasSubstr("ended      not known"));
  file.resolutions.push_back({.type = KF_CTL_RESOLVED,
                              .tid = 101,
                              .nr = nr("fsync"),
                              .enter_ns = file.meta.cause.enter_ns,
                              .exit_ns = 12'466'000'000});
  EXPECT_THAT(text(), HasSubstr("ended      = 0 after 2 s, at "));
}

TEST_F(InfoText, LossesAreDated) {
  ChunkBuilder cpu{1, {.start = 1s, .cur_tid = 5}};
  file.add(cpu.at(2s).waking(7).build());
  EXPECT_THAT(text(), HasSubstr("losses     none in the window\n"));
  cpu.at(3s).waking(7).build();
  file.add(cpu.at(4s).waking(7).build());
  file.meta.losses.ring_events = 1;
  EXPECT_THAT(text(), HasSubstr("losses     -9.000000000 to -7.000000000 cpu 1: 1 events, ring full\n"));
  EXPECT_THAT(text(), HasSubstr("since the start: 1 events: the kernel's ring was full"));
}

TEST_F(InfoText, DamageIsShown) {
  auto bytes = file.file();
  bytes.resize(bytes.size() - 8);
  const auto dump = Dump::from_bytes(bytes);
  ASSERT_TRUE(dump);
  const std::string said = summary_as_text(*dump, "x.kfr", 120);
  EXPECT_THAT(said, HasSubstr("INCOMPLETE, DAMAGED"));
  EXPECT_THAT(said, HasSubstr("damage     "));
}

TEST_F(InfoText, HostileTextIsEscaped) {
  file.meta.cause.fd_path = "/tmp/\x1b[2Jx";
  file.meta.host.hostname = "a\nb";
  EXPECT_THAT(text(), HasSubstr("/tmp/\\x1b[2Jx"));
  EXPECT_THAT(text(), HasSubstr("a\\x0ab"));
}

TEST_F(InfoText, FitsTheScreen) {
  for (const std::size_t columns : {80, 120}) {
    const std::string said = text(columns);
    for (std::size_t at = 0, end = 0; (end = said.find('\n', at)) != said.npos; at = end + 1)
      EXPECT_LE(end - at, columns) << said.substr(at, end - at);
  }
}

TEST_F(InfoText, EmptyDump_StillHasAnAnswer) {
  DumpBuilder empty;
  EXPECT_THAT(summary_as_text(empty.dump(), "x.kfr", 80), HasSubstr("fired      not known"));
}

TEST_F(InfoText, JsonHoldsMetadataAndWhatTheFileTells) {
  const Json info = Json::parse(summary_as_json(file.dump(), "x.kfr"));
  EXPECT_EQ(info["file"], "x.kfr");
  EXPECT_EQ(info["complete"], true);
  EXPECT_EQ(info["cause"]["trigger"], "syscall:fsync>20ms");
  EXPECT_EQ(info["call"], "fsync(fd=7)");
  EXPECT_EQ(info["result"], "= -1 EIO");
  EXPECT_EQ(info["window_begin_ns"], 1'000'000'000u);
}

// A file says of itself what it likes; what reading it has found stands.
TEST_F(InfoText, MetadataDoesNotReplaceWhatTheFileTells) {
  constexpr std::string_view kMeta = R"({"complete":true,"damage":"none","losses_in_window":7,"mine":1})";
  MemorySink sink;
  const kf_dump_header header = dump::make_file_header(DumpBuilder::kCreatedNs);
  dump::SectionWriter sections(sink, 1);
  ASSERT_TRUE(sections.write_plain(std::as_bytes(std::span(&header, 1))));
  ASSERT_TRUE(sections.write_section(KF_SEC_META, std::as_bytes(std::span(kMeta))));
  const auto bytes = sink.take();
  const auto cut = Dump::from_bytes(bytes);
  ASSERT_TRUE(cut) << cut.error().what;
  const Json info = Json::parse(summary_as_json(*cut, "x.kfr"));
  EXPECT_EQ(info["complete"], false);
  EXPECT_TRUE(info["damage"].is_array());
  EXPECT_TRUE(info["losses_in_window"].is_array());
  EXPECT_EQ(info["mine"], 1);
}

}  // namespace
}  // namespace kflight::cli
