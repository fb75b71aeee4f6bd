// SPDX-License-Identifier: Apache-2.0
#include "analyze/report.hpp"

#include <algorithm>

#include "base/escape.hpp"

namespace kflight::analyze {

namespace {

constexpr std::string_view kBold = "\x1b[1m", kDim = "\x1b[2m", kPlain = "\x1b[0m";
constexpr std::size_t kLeastText = 20;  // columns text gets however narrow the terminal is

// Columns on the screen, one per character: names of threads and files hardly ever hold wide ones.
std::size_t display_columns(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    text.remove_prefix(std::max<std::size_t>(utf8_sequence_bytes(text), 1));
    ++columns;
  }
  return columns;
}

std::string padded(std::string_view text, std::size_t width, bool right) {
  const std::size_t used = display_columns(text);
  const std::string space(used < width ? width - used : 0, ' ');
  return right ? space + std::string(text) : std::string(text) + space;
}

// End of the first word, a number with its unit counted as one.
std::size_t word_end(std::string_view text) {
  constexpr std::string_view kUnits[] = {"ns", "us", "ms", "s", "%"};
  const std::size_t end = text.find(' ');
  if (end == std::string_view::npos) return end;
  const std::size_t next = text.find(' ', end + 1);
  std::string_view unit = text.substr(end + 1, next == std::string_view::npos ? next : next - end - 1);
  while (!unit.empty() && std::string_view(",;.)").find(unit.back()) != std::string_view::npos) unit.remove_suffix(1);
  return std::find(std::begin(kUnits), std::end(kUnits), unit) == std::end(kUnits) ? end : next;
}

// Breaks at blanks; a word longer than the line stands alone.
std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const std::size_t end = word_end(text);
    const std::string_view word = text.substr(0, end);
    const bool fits = display_columns(lines.back()) + 1 + display_columns(word) <= width;
    if (lines.back().empty()) {
      lines.back() = word;
    } else if (fits) {
      lines.back().append(" ").append(word);
    } else {
      lines.emplace_back(word);
    }
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

class Renderer {
 public:
  explicit Renderer(const TextStyle& style) : style_(style) {}

  void operator()(const Paragraph& paragraph) {
    heading(paragraph.heading);
    for (const std::string& line : wrapped(paragraph.text, style_.columns)) out_ += line + '\n';
  }

  void operator()(const Table& table) {
    const std::vector<std::size_t> widths = column_widths(table);
    std::vector<std::string> titles;
    for (const Table::Column& column : table.columns) titles.push_back(column.title);
    row(table, widths, titles, kDim);
    for (const auto& cells : table.rows) row(table, widths, cells, {});
    if (!table.total.empty()) row(table, widths, table.total, kBold);
  }

  void operator()(const Tree& tree) {
    heading(tree.heading);
    std::size_t figures = 0;
    for (const Tree::Line& line : tree.lines) figures = std::max(figures, display_columns(line.figure));
    for (const Tree::Line& line : tree.lines) {
      const std::size_t indent = figures + 2 + 2 * std::size_t{line.depth};
      const auto lines = wrapped(line.text, text_width(indent));
      out_ +=
          padded(line.figure, figures, true) + "  " + std::string(2 * std::size_t{line.depth}, ' ') + lines[0] + '\n';
      for (std::size_t i = 1; i < lines.size(); ++i) out_ += std::string(indent + 2, ' ') + lines[i] + '\n';
    }
  }

  void blank() { out_ += '\n'; }
  std::string take() { return std::move(out_); }

 private:
  std::size_t text_width(std::size_t taken) const {
    return style_.columns > taken + kLeastText ? style_.columns - taken : kLeastText;
  }

  void heading(std::string_view text) {
    if (!text.empty()) styled(text, kBold);
  }

  void styled(std::string_view line, std::string_view how) {
    if (style_.colour && !how.empty()) {
      out_.append(how).append(line).append(kPlain);
    } else {
      out_ += line;
    }
    out_ += '\n';
  }

  std::vector<std::size_t> column_widths(const Table& table) const {
    std::vector<std::size_t> widths, stretching;
    std::size_t taken = 0;
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      std::size_t width = display_columns(table.columns[i].title);
      for (const auto& cells : table.rows) width = std::max(width, i < cells.size() ? display_columns(cells[i]) : 0);
      if (i < table.total.size()) width = std::max(width, display_columns(table.total[i]));
      widths.push_back(width);
      if (table.columns[i].stretch) stretching.push_back(i);
      taken += (table.columns[i].stretch ? 0 : width) + (i > 0 ? 2 : 0);
    }
    // What a modest column leaves of its share goes to the others.
    std::sort(stretching.begin(), stretching.end(),
              [&](std::size_t x, std::size_t y) { return widths[x] < widths[y]; });
    std::size_t left = text_width(taken);
    for (std::size_t i = 0; i < stretching.size(); ++i) {
      std::size_t& width = widths[stretching[i]];
      width = std::min(width, left / (stretching.size() - i));
      left -= width;
    }
    return widths;
  }

  void row(const Table& table, const std::vector<std::size_t>& widths, const std::vector<std::string>& cells,
           std::string_view how) {
    std::vector<std::vector<std::string>> columns;
    std::size_t height = 1;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      columns.push_back(i < cells.size() ? wrapped(cells[i], widths[i]) : std::vector<std::string>{""});
      height = std::max(height, columns.back().size());
    }
    for (std::size_t y = 0; y < height; ++y) {
      std::string line;
      for (std::size_t i = 0; i < columns.size(); ++i) {
        if (i > 0) line += "  ";
        line += padded(y < columns[i].size() ? columns[i][y] : "", widths[i], table.columns[i].right);
      }
      line.erase(line.find_last_not_of(' ') + 1);
      styled(line, how);
    }
  }

  TextStyle style_;
  std::string out_;
};

}  // namespace

std::string render(const Report& report, const TextStyle& style) {
  Renderer renderer(style);
  for (std::size_t i = 0; i < report.blocks.size(); ++i) {
    if (i > 0) renderer.blank();
    std::visit(renderer, report.blocks[i]);
  }
  return renderer.take();
}

}  // namespace kflight::analyze
