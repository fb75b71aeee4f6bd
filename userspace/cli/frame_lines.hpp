// SPDX-License-Identifier: Apache-2.0
//
// frame_lines.hpp - the frames of a stack event below its line, the innermost first. The dump must outlive it. One
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kflight/event.hpp"
#include "model/symbols.hpp"

namespace kflight::cli {

class FrameLines {
 public:
  explicit FrameLines(const Dump& dump) : symbols_(dump) {}

  // Nothing for events of other kinds.
  void append(std::string& out, const Event& event);

 private:
  void append(std::string& out, std::string_view which, std::uint64_t id, std::uint64_t ts_ns);

  model::Symbolizer symbols_;
};

}  // namespace kflight::cli
