// SPDX-License-Identifier: Apache-2.0
//
// perfetto.hpp - a trace for ui.perfetto.dev and trace_processor: protobuf as of protos/perfetto/trace. What is shown
// how, and what is not, is told in docs/export.md.
#pragma once

#include "export/exporter.hpp"

namespace kflight::exports {

Result<> export_perfetto(const model::Trace& trace, ByteSink& sink, const ExportOptions& options);

}  // namespace kflight::exports
