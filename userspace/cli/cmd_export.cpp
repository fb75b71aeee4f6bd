// SPDX-License-Identifier: Apache-2.0
//
// cmd_export.cpp - `kflight export`: a dump in another tool's format. The path of the file goes to standard output, all
// else that is said to standard error, so that scripts can use both.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "base/escape.hpp"
#include "base/sinks.hpp"
#include "cli/explained_spans.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "export/registry.hpp"
#include "model/trace.hpp"

namespace kflight::cli {

namespace {

namespace fs = std::filesystem;
using exports::Exporter;

// Without an explanation that was not asked for the rest of the export is as good: says why there is none.
Result<exports::ExplainedOperation> explained(const model::Trace& trace, const ExportOptions& options) {
  analyze::OperationChoice choice;
  if (options.op) choice.op = *options.op;
  auto spans = explained_spans(trace, choice);
  if (spans || options.op) return spans;
  say(fmt::format("nothing is explained in the export: {}", spans.error().what));
  return exports::ExplainedOperation{};
}

void warn_of_damage(const Dump& dump, const std::string& path) {
  if (dump.damage().empty() && dump.complete()) return;
  say(fmt::format("'{}' is {}; what can be read is exported (`kflight info` says more)", escape_for_terminal(path),
                  dump.damage().empty() ? "incomplete" : "damaged"));
}

// "dir/x.kfr" -> "x.perfetto-trace"
std::string default_name(const std::string& dump_path, const Exporter& exporter) {
  fs::path name = fs::path(dump_path).filename();
  if (name.extension() == ".kfr") name.replace_extension();
  return name.string() + std::string(exporter.suffix);
}

fs::path target_path(const ExportOptions& options, const Exporter& exporter) {
  if (options.out.empty()) return fs::path(options.path).parent_path() / default_name(options.path, exporter);
  std::error_code none;
  const fs::path out(options.out);
  return fs::is_directory(out, none) ? out / default_name(options.path, exporter) : out;
}

// A reader that goes away is no failure.
class OutputSink final : public ByteSink {
 public:
  Result<> write(std::span<const std::byte> bytes) override {
    out_.text().append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    out_.flush_if_full();
    if (out_.closed()) return Error{Errc::kIo, "nobody reads standard output any more"};
    return Ok{};
  }
  bool closed() const { return out_.closed(); }
  int finish() { return out_.finish(); }

 private:
  Output out_;
};

int to_standard_output(const model::Trace& trace, const Exporter& exporter, const exports::ExportOptions& content) {
  if (exporter.is_binary && ::isatty(STDOUT_FILENO))
    return fail({Errc::kUsage, fmt::format("export: {} is binary and standard output is a terminal; name a file with "
                                           "-o, or send it to a program",
                                           exporter.name)});
  OutputSink sink;
  const auto written = exporter.run(trace, sink, content);
  return written || sink.closed() ? sink.finish() : fail(written.error());
}

Result<> to_file(const model::Trace& trace, const Exporter& exporter, const exports::ExportOptions& content,
                 const fs::path& path, bool force) {
  std::error_code none;
  if (!force && fs::exists(path, none))
    return Error{Errc::kIo, fmt::format("export: '{}' is there already; --force replaces it, -o names another file",
                                        escape_for_terminal(path.string()))};
  const fs::path directory = path.parent_path();
  KF_TRY_ASSIGN(AtomicFile file, AtomicFile::create(directory.empty() ? "." : directory.string(), path.filename()));
  KF_TRY(exporter.run(trace, file, content));
  return force ? file.commit_over() : file.commit();
}

}  // namespace

int cmd_export(const ExportOptions& options) {
  const Exporter& exporter = *exports::find_exporter(options.format);  // the command line knows no others
  auto trace = model::Trace::open(options.path);
  if (!trace) return fail(trace.error());
  warn_of_damage(*trace->dump(), options.path);
  exports::ExportOptions content;
  if (options.explain) {
    auto spans = explained(*trace, options);
    if (!spans) return fail(spans.error());
    content.explained = *std::move(spans);
  }
  if (options.out == "-") return to_standard_output(*trace, exporter, content);
  const fs::path path = target_path(options, exporter);
  if (const auto written = to_file(*trace, exporter, content, path, options.force); !written)
    return fail(written.error());
  say(std::string(exporter.next));
  return print_and_finish(path.string() + "\n");
}

}  // namespace kflight::cli
