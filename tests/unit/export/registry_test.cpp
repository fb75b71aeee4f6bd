// SPDX-License-Identifier: Apache-2.0
//
// What every exporter has to do, whichever it is.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "base/sinks.hpp"
#include "export/registry.hpp"
#include "support/failing_sink.hpp"
#include "support/sample_dump.hpp"
#include "support/simulator.hpp"
#include "support/trace_builder.hpp"

namespace kflight::test {
namespace {

using exports::Exporter;

model::Trace simulated() {
  Simulator run(3, 20'000);
  run.run();
  return model::Trace(record(run, {.seed = 3, .begin_ns = 1'000'000}).timeline);
}

class LargestPiece final : public ByteSink {
 public:
  Result<> write(std::span<const std::byte> bytes) override {
    largest_bytes = std::max(largest_bytes, bytes.size());
    total_bytes += bytes.size();
    return Ok{};
  }
  std::size_t largest_bytes = 0, total_bytes = 0;
};

class EveryExporter : public testing::TestWithParam<Exporter> {};

TEST_P(EveryExporter, CanBeFoundAndTellsWhatItIs) {
  const Exporter& exporter = GetParam();
  ASSERT_NE(exports::find_exporter(exporter.name), nullptr);
  EXPECT_EQ(exports::find_exporter(exporter.name)->name, exporter.name);
  EXPECT_TRUE(exporter.suffix.starts_with('.'));
  EXPECT_FALSE(exporter.what.empty() || exporter.next.empty());
}

TEST_P(EveryExporter, IsTheSameEveryTime) {
  const auto file = sample_dump();
  MemorySink one, two;
  EXPECT_TRUE(GetParam().run(model::Trace(*Dump::from_bytes(file)), one, {}));
  EXPECT_TRUE(GetParam().run(model::Trace(*Dump::from_bytes(file)), two, {}));
  EXPECT_GT(one.bytes().size(), 100u);
  EXPECT_TRUE(std::ranges::equal(one.bytes(), two.bytes()));
}

TEST_P(EveryExporter, TakesATraceOfNothing) {
  MemorySink sink;
  EXPECT_TRUE(GetParam().run(model::Trace(TraceBuilder().timeline(0, 0)), sink, {}));
  EXPECT_TRUE(GetParam().run(model::Trace(TraceBuilder().timeline(5000, 9000)), sink, {}));
  EXPECT_FALSE(sink.bytes().empty());
}

TEST_P(EveryExporter, ReportsAFullDiskAndStopsWriting) {
  const model::Trace trace = simulated();
  MemorySink whole;
  ASSERT_TRUE(GetParam().run(trace, whole, {}));
  for (std::size_t capacity : {std::size_t{0}, std::size_t{1}, whole.bytes().size() / 2, whole.bytes().size() - 1}) {
    FailingSink sink(capacity);
    const auto result = GetParam().run(trace, sink, {});
    ASSERT_FALSE(result) << capacity;
    EXPECT_THAT(result.error().what, testing::HasSubstr("the sink is full"));
    EXPECT_EQ(sink.writes_after_failure(), 0);
  }
}

TEST_P(EveryExporter, WritesInPieces) {
  Simulator run(3, 400'000);
  run.run();
  LargestPiece sink;
  ASSERT_TRUE(GetParam().run(model::Trace(record(run).timeline), sink, {}));
  EXPECT_LT(sink.largest_bytes, 1u << 20);
  EXPECT_GT(sink.total_bytes, 2 * sink.largest_bytes);
}

// Each cut and each flipped byte that still opens must be exported without a crash.
TEST_P(EveryExporter, TakesDamagedDumps) {
  const auto whole = sample_dump();
  const auto export_what_opens = [&](std::span<const std::byte> bytes) {
    auto dump = Dump::from_bytes(bytes);
    MemorySink sink;
    return !dump || GetParam().run(model::Trace(*std::move(dump)), sink, {}).has_value();
  };
  for (std::size_t i = 0; i < whole.size(); i += 7) {
    auto flipped = whole;
    flipped[i] ^= std::byte{0x41};
    EXPECT_TRUE(export_what_opens(flipped)) << "byte " << i << " flipped";
    EXPECT_TRUE(export_what_opens(std::span(whole).first(i))) << "cut to " << i;
  }
}

TEST_P(EveryExporter, TakesGarbage) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    TraceBuilder t;
    for (int i = 0; i < 60; ++i) {
      t.at(1000 + random() % 8000).cpu(random() % 3);
      const auto tid = static_cast<std::uint32_t>(random() % 5);
      switch (random() % 8) {
        case 0:
          t.waking(tid, {.ctx = static_cast<std::uint8_t>(random() % 4)});
          break;
        case 1:
          t.wakeup(tid, random() % 4, random() % 2);
          break;
        case 2:
          t.fork(tid, static_cast<std::uint32_t>(random() % 5));
          break;
        case 3:
          t.exec(tid, static_cast<std::uint32_t>(random() % 5), "x");
          break;
        case 4:
          t.returns("read", random() % 9000, -4);
          break;
        case 5:
          t.loss(random() % 9000, random() % 3);
          break;
        default:
          t.switch_to(tid, {.state = static_cast<std::uint8_t>(random() % 12),
                            .preempt = random() % 2 == 0,
                            .throttled = random() % 5 == 0,
                            .call = random() % 2 ? "futex" : nullptr,
                            .enter_ns = random() % 2 ? random() % 9000 : 0});
      }
    }
    MemorySink sink;
    EXPECT_TRUE(GetParam().run(model::Trace(t.timeline(2000, 7000)), sink, {}));
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryExporter,
                         testing::ValuesIn(exports::exporters().begin(), exports::exporters().end()),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

TEST(Exporters, HaveNamesAndSuffixesOfTheirOwn) {
  std::set<std::string_view> names, suffixes;
  for (const Exporter& exporter : exports::exporters()) {
    EXPECT_TRUE(names.insert(exporter.name).second);
    EXPECT_TRUE(suffixes.insert(exporter.suffix).second);
  }
  EXPECT_EQ(exports::find_exporter("perfeto"), nullptr);
}

}  // namespace
}  // namespace kflight::test
