// SPDX-License-Identifier: Apache-2.0
//
// jsonl.hpp - everything a trace holds as lines of JSON: a header, threads, events as `kflight events --format jsonl`
// prints them, the states the Timeline made of them, an explanation, and a last line by which a reader knows that the
// file is whole. docs/export.md describes the lines.
#pragma once

#include "export/exporter.hpp"

namespace kflight::exports {

Result<> export_jsonl(const model::Trace& trace, ByteSink& sink, const ExportOptions& options);

}  // namespace kflight::exports
