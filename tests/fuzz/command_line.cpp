// SPDX-License-Identifier: Apache-2.0
//
// The arguments of kflight, one per line.
#include <string>
#include <vector>

#include "cli/command_line.hpp"
#include "fuzz/target.hpp"
#include "support/terminal_text.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kflight;
  std::vector<std::string> arguments(1);
  for (const char c : fuzz::text_of(data, size)) {
    if (c == '\n')
      arguments.emplace_back();
    else if (c != '\0')
      arguments.back() += c;
  }
  const auto command = cli::parse_command_line(arguments);
  fuzz::require(command.has_value() || !test::first_unprintable(command.error().what), "the message is printable");
  return 0;
}
