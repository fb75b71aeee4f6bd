// SPDX-License-Identifier: Apache-2.0
#include "cli/frame_lines.hpp"

#include <fmt/format.h>

namespace kflight::cli {

void FrameLines::append(std::string& out, const Event& event) {
  const auto* e = std::get_if<StackEvent>(&event);
  if (e == nullptr) return;
  append(out, "kernel", e->kernel_stack, e->ts_ns);
  append(out, "user", e->user_stack, e->ts_ns);
}

void FrameLines::append(std::string& out, std::string_view which, std::uint64_t id, std::uint64_t ts_ns) {
  if (id == 0) return;
  const model::ResolvedStack& stack = symbols_.resolve(id, ts_ns);
  const auto line = [&](std::string_view text) { out += fmt::format("{:>24} {}\n", which, text); };
  if (stack.frames.empty()) line("not in the dump");
  for (const model::Frame& frame : stack.frames) line(model::frame_text(frame));
  if (stack.truncated) line("... and more: the stack was cut");
}

}  // namespace kflight::cli
