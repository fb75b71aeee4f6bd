// SPDX-License-Identifier: Apache-2.0
//
// output.hpp - how a command talks: reports to standard output, in large writes; errors to standard error. A reader
// that goes away (`| head`) is no failure: the rest is dropped and the exit status is 0.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "kflight/result.hpp"

namespace kflight::cli {

// Collects text and writes it out in pieces. One thread.
class Output {
 public:
  explicit Output(int fd = 1) : fd_(fd) { text_.reserve(kFlushBytes + 4096); }
  // Text may be appended to this directly; call flush_if_full() now and then.
  std::string& text() noexcept { return text_; }
  void flush_if_full() {
    if (text_.size() >= kFlushBytes) flush();
  }
  void flush();
  bool closed() const noexcept { return closed_; }  // nobody reads any more, or writing failed: stop producing
  // Flushes; 0, or 1 after a failure other than a reader that went away, which it reports.
  int finish();

 private:
  static constexpr std::size_t kFlushBytes = 256 * 1024;
  int fd_;
  bool closed_ = false;
  int error_number_ = 0;
  std::string text_;
};

// Writes the text and returns the exit status.
int print_and_finish(std::string_view text);

// A message to standard error, safe whatever it quotes.
void say(std::string_view message);

// Prints the error and returns the exit status that belongs to its kind.
int fail(const Error& error);

// Columns of a terminal; 80 when it is none.
std::size_t columns_of(int fd);
// Of the one on standard output, for text that needs at least 60.
std::size_t terminal_columns();

}  // namespace kflight::cli
