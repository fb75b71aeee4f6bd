// SPDX-License-Identifier: Apache-2.0
//
// contradictions.hpp - do the options of a command fit together? The error says which to leave out. Pure functions of
// options that are each fine by themselves.
#pragma once

#include "cli/options.hpp"
#include "kflight/result.hpp"

namespace kflight::cli {

Result<> check_options(const RecordOptions& o);
Result<> check_options(const ExportOptions& o);
Result<> check_options(const EventsOptions& o);
Result<> check_options(const ExplainOptions& o);

// The other commands have no options that exclude each other.
template <class Options>
Result<> check_options(const Options&) {
  return {};
}

}  // namespace kflight::cli
