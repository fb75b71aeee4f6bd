// SPDX-License-Identifier: Apache-2.0
//
// report.hpp - reports that fit the screen: a label, and beside it text that is wrapped where the terminal ends.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

namespace kflight::cli {

class Report {
 public:
  explicit Report(std::size_t columns, std::size_t label_columns = 11)
      : columns_(columns), label_columns_(label_columns) {}

  // The label of a further line of the same fact is empty. Text is printed as it is: escape what comes from outside.
  Report& line(std::string_view label, std::string_view text);
  template <class... Args>
  Report& fact(std::string_view label, fmt::format_string<Args...> format, Args&&... args) {
    return line(label, fmt::format(format, std::forward<Args>(args)...));
  }
  Report& blank() { return text_ += '\n', *this; }
  const std::string& text() const { return text_; }

 private:
  std::size_t columns_;
  std::size_t label_columns_;
  std::string text_;
};

}  // namespace kflight::cli
