// SPDX-License-Identifier: Apache-2.0
//
// explained_spans.hpp - what explain says of one operation as plain text spans, for exporters, which know no analyses.
#pragma once

#include "analyze/operation.hpp"
#include "export/exporter.hpp"

namespace kflight::cli {

Result<exports::ExplainedOperation> explained_spans(const model::Trace& trace, const analyze::OperationChoice& choice);

}  // namespace kflight::cli
