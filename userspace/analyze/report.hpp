// SPDX-License-Identifier: Apache-2.0
//
// report.hpp - what an analysis answers with: blocks of text, tables and trees that are laid out for a given width, and
// the same facts as JSON. Text in it is safe to print; who fills it in escapes what came from the recorded machine.
#pragma once

#include <string>
#include <variant>
#include <vector>

namespace kflight::analyze {

struct Paragraph {
  std::string heading;  // may be empty
  std::string text;
};

struct Table {
  struct Column {
    std::string title;
    bool right = false;    // numbers
    bool stretch = false;  // takes what width is left, and wraps
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> total;  // below a rule; empty: none
};

struct Tree {
  std::string heading;
  struct Line {
    unsigned depth = 0;
    std::string figure;  // right-aligned in front
    std::string text;
  };
  std::vector<Line> lines;
};

struct Report {
  std::vector<std::variant<Paragraph, Table, Tree>> blocks;
  std::string json;  // one object
};

struct TextStyle {
  std::size_t columns = 100;
  bool colour = false;
};

std::string render(const Report& report, const TextStyle& style = {});

}  // namespace kflight::analyze
