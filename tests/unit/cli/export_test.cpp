// SPDX-License-Identifier: Apache-2.0
//
// The export command: where the file goes, what it says, what it refuses; and the explanation that goes along.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cli/explained_spans.hpp"
#include "cli/options.hpp"
#include "support/dump_builder.hpp"
#include "support/sample_dump.hpp"
#include "support/temp_dir.hpp"
#include "support/worked_example.hpp"

namespace kflight::cli {
namespace {

using test::Nanos;
using test::read_text;
using test::TempDir;
using test::WorkedExample;
using test::write_text;
using testing::AllOf;
using testing::HasSubstr;

class ExportCommand : public testing::Test {
 protected:
  void SetUp() override { write_dump("x.kfr", test::sample_dump()); }

  void write_dump(const std::string& name, const std::vector<std::byte>& bytes) {
    write_text(dir.file(name), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  int run(ExportOptions options) {
    if (options.path.empty()) options.path = dir.file("x.kfr");
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int status = cmd_export(options);
    out = testing::internal::GetCapturedStdout();
    err = testing::internal::GetCapturedStderr();
    return status;
  }
  // What `kflight explain --op` ends with.
  int explain_status(std::uint64_t op) {
    ExplainOptions options;
    options.path = dir.file("x.kfr");
    options.op = op;
    testing::internal::CaptureStderr();
    const int status = cmd_explain(options);
    testing::internal::GetCapturedStderr();
    return status;
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(dir.path()), {}));
  }

  TempDir dir;
  std::string out, err;
};

TEST_F(ExportCommand, WritesBesideTheDumpAndSaysWhatNext) {
  EXPECT_EQ(run({}), kExitDone);
  EXPECT_EQ(out, dir.file("x.perfetto-trace") + "\n");
  EXPECT_THAT(err, HasSubstr("ui.perfetto.dev"));
  EXPECT_TRUE(dir.has("x.perfetto-trace"));
  EXPECT_EQ(run({.format = "jsonl"}), kExitDone);
  EXPECT_TRUE(dir.has("x.jsonl"));
  EXPECT_EQ(files(), 3u);
}

TEST_F(ExportCommand, TakesAFileOrADirectory) {
  std::filesystem::create_directory(dir.file("sub"));
  EXPECT_EQ(run({.format = "jsonl", .out = dir.file("sub")}), kExitDone);
  EXPECT_TRUE(dir.has("sub/x.jsonl"));
  EXPECT_EQ(run({.format = "jsonl", .out = dir.file("mine.json")}), kExitDone);
  EXPECT_TRUE(dir.has("mine.json"));
}

TEST_F(ExportCommand, LeavesWhatIsThereUnlessForced) {
  write_text(dir.file("x.jsonl"), "mine");
  EXPECT_EQ(run({.format = "jsonl"}), kExitFailed);
  EXPECT_THAT(err, AllOf(HasSubstr("x.jsonl' is there already"), HasSubstr("--force")));
  EXPECT_EQ(read_text(dir.file("x.jsonl")), "mine");
  EXPECT_EQ(run({.format = "jsonl", .force = true}), kExitDone);
  EXPECT_THAT(read_text(dir.file("x.jsonl")), HasSubstr(R"({"kind":"dump")"));
}

TEST_F(ExportCommand, StandardOutput_HoldsTheExportAlone) {
  EXPECT_EQ(run({.format = "jsonl", .out = "-"}), kExitDone);
  EXPECT_THAT(out, testing::StartsWith(R"({"kind":"dump")"));
  EXPECT_THAT(out, testing::EndsWith("}\n"));
  EXPECT_EQ(run({.out = "-"}), kExitDone) << "not a terminal";
  EXPECT_EQ(files(), 1u);
}

TEST_F(ExportCommand, SaysWhyItCannotWrite) {
  EXPECT_EQ(run({.out = dir.file("no/such/x")}), kExitFailed);
  EXPECT_THAT(err, AllOf(HasSubstr("cannot open the output directory"), HasSubstr("no/such")));
  EXPECT_EQ(run({.out = dir.file("x.kfr/y")}), kExitUsage) << "a file is no directory";
  EXPECT_EQ(files(), 1u);
}

TEST_F(ExportCommand, SaysWhyItCannotRead) {
  EXPECT_EQ(run({.path = dir.file("none.kfr")}), kExitFailed);
  EXPECT_THAT(err, HasSubstr("none.kfr"));
  write_text(dir.file("text.kfr"), std::string(1000, 'x'));
  EXPECT_EQ(run({.path = dir.file("text.kfr")}), kExitFailed);
}

TEST_F(ExportCommand, DamagedDump_IsExportedWithAWarning) {
  auto bytes = test::sample_dump();
  bytes.resize(bytes.size() - 40);
  write_dump("cut.kfr", bytes);
  EXPECT_EQ(run({.path = dir.file("cut.kfr"), .format = "jsonl"}), kExitDone);
  EXPECT_THAT(err, HasSubstr("what can be read is exported"));
  EXPECT_TRUE(dir.has("cut.jsonl"));
}

TEST_F(ExportCommand, WrongOperation_IsAnError) {
  EXPECT_EQ(run({.op = 99}), explain_status(99));
  EXPECT_THAT(err, HasSubstr("explain"));
  EXPECT_EQ(files(), 1u);
}

TEST_F(ExportCommand, OperationOfADumpWithoutCalls_IsNoWrongUsage) {
  test::DumpBuilder file;
  file.add(test::ChunkBuilder(0, {.start = Nanos(1'000'000)}).at(Nanos(2'000'000)).switch_to(7).build());
  write_dump("x.kfr", file.window(Nanos(1'000'000), Nanos(9'000'000)).file());
  EXPECT_EQ(run({.op = 1}), kExitFailed);
  EXPECT_EQ(explain_status(1), kExitFailed);
  EXPECT_THAT(err, HasSubstr("no call with a known beginning"));
  EXPECT_EQ(run({}), kExitDone) << "nothing was asked for";
}

TEST(ExplainedSpans, AddUpAndTellTheChain) {
  using W = WorkedExample;
  DumpMeta meta;
  meta.config.everyone = true;
  const model::Trace trace(W::trace().timeline(W::kStartNs, W::us(31500)), meta);
  const auto explained = explained_spans(trace, {.tid = W::T, .from_ns = W::kStartNs, .to_ns = W::us(31500), .op = {}});
  ASSERT_TRUE(explained) << explained.error().what;
  std::uint64_t at_ns = W::kStartNs, disk_ns = 0;
  for (const exports::ExplainedSpan& span : explained->spans) {
    EXPECT_EQ(span.begin_ns, at_ns) << "a gap";
    at_ns = span.end_ns;
    if (span.category.starts_with("disk:")) {
      disk_ns += span.end_ns - span.begin_ns;
      EXPECT_THAT(span.chain, testing::ElementsAre("T: read fd 3", "S: futex 0x7f001040", "H: fsync fd 7", testing::_));
      EXPECT_THAT(span.name, HasSubstr("disk 254:0: "));
    }
  }
  EXPECT_EQ(at_ns, W::us(31500));
  EXPECT_EQ(disk_ns, 17'300'000u);
}

}  // namespace
}  // namespace kflight::cli
