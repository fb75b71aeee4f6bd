// SPDX-License-Identifier: Apache-2.0
//
// What stands behind an option or in the environment: durations, sizes, numbers, names, times. The first byte chooses.
#include "base/nearest_word.hpp"
#include "base/units.hpp"
#include "cli/event_filter.hpp"
#include "cli/option_values.hpp"
#include "cli/times.hpp"
#include "fuzz/target.hpp"
#include "record/recorder_name.hpp"
#include "support/terminal_text.hpp"

namespace kflight::fuzz {
namespace {

template <class T>
void judge(const Result<T>& result) {
  require(result.has_value() || !test::first_unprintable(result.error().what), "the message is printable");
}

void parse_duration_and_back(std::string_view text) {
  const auto duration = parse_duration(text);
  judge(duration);
  if (!duration) return;
  require(duration->count() >= 0, "no duration is negative");
  (void)format_duration(*duration);
}

void parse(unsigned which, std::string_view text) {
  switch (which % 16) {
    case 0:
      return parse_duration_and_back(text);
    case 1:
      return judge(parse_bytes(text));
    case 2:
      return judge(cli::parse_pid(text));
    case 3:
      return judge(cli::parse_cpu(text));
    case 4:
      return judge(cli::parse_count(text));
    case 5:
      return judge(cli::parse_sample_rate(text));
    case 6:
      return judge(cli::parse_name(text));
    case 7:
      return judge(cli::parse_absolute_path(text));
    case 8:
      return judge(cli::parse_positive_duration(text));
    case 9:
      return judge(cli::parse_window_bytes(text));
    case 10:
      return judge(cli::parse_ring_bytes(text));
    case 11:
      return judge(cli::parse_export_format(text));
    case 12:
      return judge(cli::parse_time_point(text));
    case 13:
      return judge(cli::parse_event_kind(text));
    case 14:
      return judge(record::check_recorder_name(text));
    default:
      require(!test::first_unprintable(escape_for_terminal(text)), "escaped text is printable");
  }
}

}  // namespace
}  // namespace kflight::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kflight::fuzz::Input input(data, size);
  const auto which = input.byte();
  kflight::fuzz::parse(which, input.text(size));
  return 0;
}
