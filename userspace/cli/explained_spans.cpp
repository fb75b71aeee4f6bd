// SPDX-License-Identifier: Apache-2.0
#include "cli/explained_spans.hpp"

#include <fmt/format.h>

#include <unordered_map>

#include "analyze/explain_words.hpp"

namespace kflight::cli {

using analyze::ExplainedOperation;
using analyze::Explanation;
using exports::ExplainedSpan;

namespace {

// "worker0: futex 0x7f..": who waited, for what.
std::string hop_text(const ExplainedOperation& e, std::uint32_t hop) {
  analyze::ChainNode node;
  node.hop = hop;
  const std::string wait = analyze::wait_text(e, node);
  return fmt::format("{}: {}", model::thread_name(e.timeline(), e.explanation.hops[hop].thread, e.explanation.end_ns),
                     wait.empty() ? "waits" : wait);
}

std::vector<std::string> chain_of(const ExplainedOperation& e, std::uint32_t hop) {
  std::vector<std::string> chain;
  for (; hop != model::kNone; hop = e.explanation.hops[hop].parent) chain.insert(chain.begin(), hop_text(e, hop));
  return chain;
}

bool is_more_of(const ExplainedSpan& last, const ExplainedSpan& span) {
  return last.end_ns == span.begin_ns && last.name == span.name && last.quality == span.quality &&
         last.chain == span.chain;
}

std::string operation_text(const ExplainedOperation& e) {
  const std::string thread = model::thread_label(e.timeline(), e.operation.thread, e.explanation.end_ns);
  return e.operation.what.empty() ? thread : fmt::format("{} of {}", e.operation.what, thread);
}

}  // namespace

Result<exports::ExplainedOperation> explained_spans(const model::Trace& trace, const analyze::OperationChoice& choice) {
  KF_TRY_ASSIGN(const analyze::Operation operation, analyze::choose_operation(trace, choice));
  const Explanation explanation = analyze::explain(trace, operation.thread, operation.begin_ns, operation.end_ns);
  const analyze::Blame blame = analyze::sum_up(trace, explanation);
  const ExplainedOperation e{trace, operation, explanation, blame};
  exports::ExplainedOperation out{operation_text(e), explanation.begin_ns, explanation.end_ns, {}};
  std::unordered_map<std::uint32_t, std::vector<std::string>> chains;  // by hop: many leaves share one
  for (const analyze::Leaf& leaf : explanation.leaves) {
    const auto [chain, is_new] = chains.try_emplace(leaf.hop);
    if (is_new) chain->second = chain_of(e, leaf.hop);
    ExplainedSpan span{leaf.begin_ns,
                       leaf.end_ns,
                       chain->second,
                       analyze::leaf_text(e, leaf),
                       std::string(analyze::category_name(leaf.category)),
                       std::string(analyze::quality_name(leaf.quality))};
    if (!out.spans.empty() && is_more_of(out.spans.back(), span)) {
      out.spans.back().end_ns = span.end_ns;
    } else {
      out.spans.push_back(std::move(span));
    }
  }
  return out;
}

}  // namespace kflight::cli
