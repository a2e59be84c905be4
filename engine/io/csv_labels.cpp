// Lists of labels from the rows of a text.
#include <algorithm>

#include "engine/io/csv.hpp"
#include "engine/io/csv_columns.hpp"
#include "engine/io/csv_layout.hpp"
#include "engine/io/number_text.hpp"

namespace akin {
namespace {

/// The labels of a table of several columns.
CsvLabels labels_of_table(const std::vector<Cells>& rows, const std::string& name) {
  CsvLabels result;
  const std::size_t width = rows[0].size();
  Cells columns;
  std::vector<ColumnRole> roles(width, ColumnRole::feature);
  for (std::size_t c = 0; c < width; ++c) roles[c] = column_role(rows[0][c]);
  const bool header = std::find(roles.begin(), roles.end(), ColumnRole::label) != roles.end() ||
                      std::count(roles.begin(), roles.end(), ColumnRole::feature) == 1;
  const auto column = [&](std::size_t c) {
    Cells cells;
    for (std::size_t r = header ? 1 : 0; r < rows.size(); ++r) cells.push_back(rows[r][c]);
    return cells;
  };
  if (header) columns = rows[0];
  std::size_t labels = header ? chosen(roles, rows[0], ColumnRole::label).value_or(width) : width;
  if (header && labels == width)
    labels = static_cast<std::size_t>(std::find(roles.begin(), roles.end(), ColumnRole::feature) - roles.begin());
  std::vector<std::size_t> other;  // columns that no line names and that do not number the rows
  for (std::size_t c = 0; c < width; ++c) {
    if (header && (c == labels || roles[c] == ColumnRole::feature || roles[c] == ColumnRole::label)) continue;
    const Identity identity = identity_of(column(c));
    if (identity == Identity::row_numbers)
      result.notes.push_back(fmt::format("{}: {} numbers the rows and is left out", name, column_of(columns, c)));
    else if (!header)
      other.push_back(c);
    else if (identity == Identity::names && result.names.empty())
      result.names = column(c);
  }
  if (other.size() == 2) {  // names all differ, labels do not
    const bool first = identity_of(column(other[0])) == Identity::names;
    if (first || identity_of(column(other[1])) == Identity::names) {
      result.names = column(other[first ? 0 : 1]);
      labels = other[first ? 1 : 0];
    }
  } else if (other.size() == 1) {
    labels = other[0];
  }
  AKIN_CHECK(labels < width,
             "{}: line 1 has {} cells, expected one label a line, or a first line that calls a column label", name,
             width);
  result.labels = column(labels);
  if (!header || (rows[0][labels] != "label" && rows[0][labels] != "labels" && rows[0][labels] != "class"))
    result.notes.push_back(fmt::format("{}: {} is taken for the labels", name, column_of(columns, labels)));
  return result;
}

}  // namespace

CsvLabels parse_csv_labels(std::string_view text, const std::string& name) {
  CsvRows rows(text, name, separator_of_labels(text, name));
  std::vector<Cells> table;
  std::size_t end = 1;
  for (Cells cells; rows.next(cells);) {
    AKIN_CHECK(table.empty() || cells.size() == table[0].size(), "{}: line {} has {} cells, expected {}", name,
               rows.line(), cells.size(), table[0].size());
    AKIN_CHECK(table.empty() || rows.line() == end, "{}: line {} is empty: a row without a label", name, end);
    end = rows.line() + 1;
    for (const std::string& cell : cells) end += static_cast<std::size_t>(std::count(cell.begin(), cell.end(), '\n'));
    table.push_back(std::move(cells));
  }
  AKIN_CHECK(!table.empty(), "{}: holds no label", name);
  CsvLabels result;
  if (table[0].size() > 1 && table.size() > 1) {
    result = labels_of_table(table, name);
  } else {
    AKIN_CHECK(table[0].size() == 1, "{}: line 1 has {} cells, expected one label a line", name, table[0].size());
    double number = 0;
    const std::string& first = table[0][0];
    const bool plain = first == "label" || first == "labels" || first == "class";
    const bool other = !plain && column_role(first) == ColumnRole::label &&
                       std::find(table.begin() + 1, table.end(), table[0]) == table.end();
    const bool title = plain || (other && table.size() > 1);
    if (other && title) result.notes.push_back(fmt::format("{}: the first line (\"{}\") is no label", name, first));
    // A column without a name is called 0 by data frames; the classes' names show that it is no class.
    const bool zero =
        table.size() > 1 && first == "0" &&
        std::none_of(table.begin() + 1, table.end(), [&](const Cells& c) { return parse_number(c[0], number); });
    if (zero) result.notes.push_back(fmt::format("{}: the first line (0) names the column and is no label", name));
    for (std::size_t r = title || zero ? 1 : 0; r < table.size(); ++r) result.labels.push_back(table[r][0]);
  }
  AKIN_CHECK(!result.labels.empty(), "{}: holds no label", name);
  check_text(result.labels, "label", name);
  check_text(result.names, "name", name);
  return result;
}

}  // namespace akin
