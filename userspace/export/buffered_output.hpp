// SPDX-License-Identifier: Apache-2.0
//
// buffered_output.hpp - collects what an exporter writes and hands it to the sink in large pieces. After the sink's
// first error the rest is dropped; finish() tells. One thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "kflight/byte_sink.hpp"

namespace kflight::exports {

class BufferedOutput {
 public:
  explicit BufferedOutput(ByteSink& sink) : sink_(sink) { text_.reserve(2 * kPieceBytes); }

  // Append here, then call flush_if_full() now and then.
  std::string& text() noexcept { return text_; }
  void flush_if_full() {
    if (text_.size() >= kPieceBytes) flush();
  }
  bool failed() const noexcept { return !result_; }
  Result<> finish() {
    flush();
    return std::move(result_);
  }

 private:
  static constexpr std::size_t kPieceBytes = 256 * 1024;
  void flush() {
    if (result_ && !text_.empty()) result_ = sink_.write(std::as_bytes(std::span(text_)));
    text_.clear();
  }

  ByteSink& sink_;
  std::string text_;
  Result<> result_;
};

}  // namespace kflight::exports
