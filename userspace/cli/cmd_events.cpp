// SPDX-License-Identifier: Apache-2.0
//
// cmd_events.cpp - `kflight events`: every event of a dump that passes the filters, as text or JSON lines.
#include <cstdint>

#include "cli/event_filter.hpp"
#include "cli/event_text.hpp"
#include "cli/frame_lines.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "export/event_json.hpp"

namespace kflight::cli {

namespace {

// Before this line, events are those that happen to be in the first chunks of some CPUs.
void mark_begin(std::string& out, std::uint64_t printed) {
  if (printed > 0) out += "---- the window begins: from here on every CPU's events are there ----\n";
}

int print_text(const Dump& dump, const EventFilter& filter, DumpClock& clock, const EventsOptions& options) {
  Output out;
  ThreadNames names(dump);
  EventText text(clock, names, options.absolute);
  text.append_header(out.text());
  FrameLines frames(dump);
  std::uint64_t printed = 0;
  bool begun = false;
  for (const Event& event : dump.events()) {
    const std::uint64_t ts_ns = head(event).ts_ns;
    if (ts_ns >= filter.to_ns() || out.closed() || (options.limit && printed == *options.limit)) break;
    if (!begun && ts_ns >= dump.window_begin_ns()) {
      mark_begin(out.text(), printed);
      begun = true;
    }
    if (filter.wants(event)) {
      text.append(out.text(), event);
      if (options.stacks) frames.append(out.text(), event);
      out.flush_if_full();
      ++printed;
    }
    names.follow(event);
  }
  return out.finish();
}

int print_jsonl(const Dump& dump, const EventFilter& filter, const EventsOptions& options) {
  Output out;
  std::uint64_t printed = 0;
  for (const Event& event : dump.events()) {
    if (head(event).ts_ns >= filter.to_ns() || out.closed() || (options.limit && printed == *options.limit)) break;
    if (!filter.wants(event)) continue;
    exports::append_event_json(out.text(), event);
    out.flush_if_full();
    ++printed;
  }
  return out.finish();
}

}  // namespace

int cmd_events(const EventsOptions& options) {
  const auto dump = Dump::open(options.path);
  if (!dump) return fail(dump.error());
  DumpClock clock(*dump);
  const auto filter = EventFilter::create(options, clock);
  if (!filter) return fail(filter.error());
  return options.jsonl ? print_jsonl(*dump, *filter, options) : print_text(*dump, *filter, clock, options);
}

}  // namespace kflight::cli
