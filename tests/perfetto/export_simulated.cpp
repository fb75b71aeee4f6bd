// SPDX-License-Identifier: Apache-2.0
//
// export_simulated.cpp - exports simulated traces for compare.mjs, with an explanation of some stretch in each:
//   export_simulated FOLDER FIRST_SEED TRACES      writes FOLDER/SEED.perfetto-trace and FOLDER/SEED.jsonl
#include <fcntl.h>
#include <fmt/format.h>

#include <cstdlib>

#include "base/sinks.hpp"
#include "cli/explained_spans.hpp"
#include "export/registry.hpp"
#include "support/simulator.hpp"

namespace {

using namespace kflight;

bool write_all_formats(const std::string& folder, std::uint64_t seed) {
  test::Simulator run(seed, 20'000);
  run.run();
  const std::uint64_t begin_ns = seed % 2 ? 5'000'000 + seed * 1'003 : 0;
  DumpMeta meta;
  meta.config.everyone = true;
  const model::Trace trace(test::record(run, {.seed = seed, .begin_ns = begin_ns}).timeline, meta);
  exports::ExportOptions options;
  auto spans = cli::explained_spans(
      trace, {.tid = 1, .from_ns = begin_ns + 1'000'000, .to_ns = run.end_ns() - 2'000'000, .op = {}});
  if (spans) options.explained = *std::move(spans);
  for (const exports::Exporter& exporter : exports::exporters()) {
    const std::string path = fmt::format("{}/{}{}", folder, seed, exporter.suffix);
    UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    FileSink sink(fd.get(), path);
    if (auto written = exporter.run(trace, sink, options); !written) {
      fmt::print(stderr, "export_simulated: {}\n", written.error().what);
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: export_simulated FOLDER FIRST_SEED TRACES\n");
    return 2;
  }
  const auto first = std::strtoull(argv[2], nullptr, 10), traces = std::strtoull(argv[3], nullptr, 10);
  for (std::uint64_t seed = first; seed < first + traces; ++seed)
    if (!write_all_formats(argv[1], seed)) return 1;
  return 0;
}
