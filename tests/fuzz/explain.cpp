// SPDX-License-Identifier: Apache-2.0
//
// A dump of anything, all the way: Timeline, check, every form of explain, every export, the texts of info and events.
// What is meant for a terminal holds nothing that could command it, whatever the dump's names are. Which of these it is
// to be is the last byte's choice, so that an execution takes no longer than it must; a corpus' files ask for all.
#include "analyze/explain_analysis.hpp"
#include "analyze/timeline_check.hpp"
#include "base/sinks.hpp"
#include "cli/check_text.hpp"
#include "cli/dump_summary.hpp"
#include "cli/event_text.hpp"
#include "cli/explained_spans.hpp"
#include "cli/frame_lines.hpp"
#include "export/registry.hpp"
#include "fuzz/dump_input.hpp"
#include "fuzz/target.hpp"
#include "model/trace.hpp"
#include "support/terminal_text.hpp"

namespace kflight::fuzz {
namespace {

constexpr std::size_t kColumns = 80, kMostThreads = 3;

void require_printable(std::string_view text) {
  const auto bad = test::first_unprintable(text);
  if (!bad) return;
  std::fprintf(stderr, "byte %zu of: %.*s\n", *bad, static_cast<int>(text.size()), text.data());
  require(false, "a text for terminals is printable");
}

void print_events(const Dump& dump) {
  cli::DumpClock clock(dump);
  cli::ThreadNames names(dump);
  cli::EventText text(clock, names, false);
  cli::FrameLines frames(dump);
  std::string out;
  for (const Event& event : dump.events()) {
    text.append(out, event);
    frames.append(out, event);
    names.follow(event);
  }
  require_printable(out);
}

void explain_one(const model::Trace& trace, const analyze::AnalysisOptions& options) {
  const auto report = analyze::run_explain(trace, options);
  require_printable(report ? analyze::render(*report, {.columns = kColumns}) : report.error().what);
  const auto folded = analyze::folded_explain(trace, options);
  require_printable(folded ? *folded : folded.error().what);
}

void explain_threads(const model::Trace& trace) {
  std::size_t threads = 0;
  for (const model::Thread& thread : trace.timeline().threads()) {
    if (threads++ == kMostThreads) break;
    analyze::AnalysisOptions options;
    options.choice.tid = thread.tid;
    explain_one(trace, options);
    options.choice.from_ns = trace.timeline().begin_ns();
    options.choice.to_ns = trace.timeline().end_ns();
    explain_one(trace, options);
  }
}

void export_all(const model::Trace& trace) {
  exports::ExportOptions content;
  if (auto spans = cli::explained_spans(trace, {})) content.explained = *std::move(spans);
  for (const exports::Exporter& exporter : exports::exporters()) {
    MemorySink sink;
    require(exporter.run(trace, sink, content).has_value(), "an export to memory is written");
  }
}

void print_summary(const Dump& dump) {
  require_printable(cli::summary_as_text(dump, "x.kfr", kColumns));
  (void)cli::summary_as_json(dump, "x.kfr");
}

void check(const model::Trace& trace) {
  const auto report = analyze::check_trace(trace, {.evidence = 3, .explanations = 10});
  require_printable(cli::check_as_text(report, *trace.dump(), "x.kfr", kColumns));
  (void)cli::check_as_json(report, "x.kfr");
}

using View = void (*)(const model::Trace&);
constexpr View kViews[] = {
    [](const model::Trace& trace) { print_summary(*trace.dump()); },
    [](const model::Trace& trace) { print_events(*trace.dump()); },
    check,
    [](const model::Trace& trace) { explain_one(trace, {}); },
    [](const model::Trace& trace) { explain_one(trace, {.list = true}); },
    [](const model::Trace& trace) { explain_one(trace, {.all_slow = true}); },
    explain_threads,
    export_all,
};
constexpr std::uint8_t kAllViews = 0xff;

void run(std::span<const std::byte> file, std::uint8_t choice) {
  auto dump = Dump::from_bytes(file);
  if (!dump) return require_printable(dump.error().what);
  const model::Trace trace(*std::move(dump));
  if (choice != kAllViews) return kViews[choice % std::size(kViews)](trace);
  for (const View view : kViews) view(trace);
}

}  // namespace
}  // namespace kflight::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kflight::fuzz::run(kflight::fuzz::dump_file_of(data, size), size == 0 ? 0 : data[size - 1]);
  return 0;
}
