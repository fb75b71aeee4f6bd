// SPDX-License-Identifier: Apache-2.0
#include "analyze/registry.hpp"

#include "analyze/explain_analysis.hpp"

namespace kflight::analyze {

namespace {
constexpr Analysis kAnalyses[] = {
    {"explain", "Where did this operation's time go, and who caused it?", run_explain},
};
}  // namespace

std::span<const Analysis> analyses() { return kAnalyses; }

}  // namespace kflight::analyze
