// SPDX-License-Identifier: Apache-2.0
//
// A trigger as somebody typed it: what parses can be written and parsed again, what does not gets a printable message.
#include "fuzz/target.hpp"
#include "record/trigger_spec.hpp"
#include "support/terminal_text.hpp"

namespace kflight::fuzz {
namespace {

void parse(std::string_view text) {
  const auto rule = record::parse_trigger(text);
  if (!rule) return require(!test::first_unprintable(rule.error().what), "the message is printable");
  const auto written = record::to_text(*rule);
  const auto again = record::parse_trigger(written);
  require(again.has_value(), "the canonical text parses");
  require(record::to_text(*again) == written, "the canonical text stays as it is");
}

}  // namespace
}  // namespace kflight::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kflight::fuzz::parse(kflight::fuzz::text_of(data, size));
  return 0;
}
