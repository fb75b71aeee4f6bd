// SPDX-License-Identifier: Apache-2.0
//
// exporter.hpp - the shape of an exporter: a function that writes a trace in the format of another tool.
// registry.cpp lists them. Exporters read the Timeline and the events, stream their output in pieces, and need memory
// in proportion to the number of threads and CPUs, not events. They know nothing of analyses: what an explanation said
// comes in as plain text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kflight/byte_sink.hpp"
#include "model/trace.hpp"

namespace kflight::exports {

// A stretch of an operation that went to one cause.
struct ExplainedSpan {
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  std::vector<std::string>
      chain;         // waits from the operation's thread on: "worker0: futex 0x7f..", "worker2: read fd 3"
  std::string name;  // what the time went to: "timer set by worker2 itself"
  std::string category;
  std::string quality;  // exact, inferred, unknown
};

// Where the time of one operation went. Empty spans: nothing was explained.
struct ExplainedOperation {
  std::string name;
  std::uint64_t begin_ns = 0;
  std::uint64_t end_ns = 0;
  std::vector<ExplainedSpan> spans;  // by time
};

struct ExportOptions {
  ExplainedOperation explained;
};

using ExportFunction = Result<> (*)(const model::Trace& trace, ByteSink& sink, const ExportOptions& options);

struct Exporter {
  std::string_view name;    // as --format takes it
  std::string_view suffix;  // of the file
  std::string_view what;    // one line for people
  bool is_binary = false;   // not for a terminal
  std::string_view next;    // what to do with the file
  ExportFunction run = nullptr;
};

}  // namespace kflight::exports
