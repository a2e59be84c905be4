// Lists of labels from the rows of a text.
#include <algorithm>
#include <cctype>
#include <optional>

#include "engine/io/csv.hpp"
#include "engine/io/csv_columns.hpp"
#include "engine/io/csv_layout.hpp"
#include "engine/io/number_text.hpp"
#include "engine/io/picture_kind.hpp"

namespace akin {
namespace {

using Table = std::vector<Cells>;

Cells column_at(const Table& rows, std::size_t c, std::size_t first_row) {
  Cells cells;
  for (std::size_t r = first_row; r < rows.size(); ++r) cells.push_back(rows[r][c]);
  return cells;
}

bool all_numbers(const Cells& cells) {
  double ignored = 0;
  return std::all_of(cells.begin(), cells.end(), [&](const std::string& cell) { return parse_number(cell, ignored); });
}

bool holds_splits(std::string column) {
  std::transform(column.begin(), column.end(), column.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return column == "split" || column == "subset" || column == "partition";
}

/// Numbers of rows are left out, which is told, or name the pictures.
void settle_numbers(CsvLabels& result, const std::vector<std::string>& notes, bool of_pictures) {
  if (of_pictures && result.names.empty() && !result.numbers.empty())
    result.names = std::move(result.numbers);
  else
    result.notes.insert(result.notes.begin(), notes.begin(), notes.end());
}

/// Of a table whose first line names the columns. Whatever is left out is told: it may be what tells the rows apart.
CsvLabels labels_of_columns(const Table& rows, const std::vector<ColumnRole>& roles, const std::string& name,
                            bool of_pictures) {
  CsvLabels result;
  std::vector<std::string> numbered;
  const Cells& columns = rows[0];
  const auto label = chosen(roles, columns, ColumnRole::label);
  const std::size_t labels =
      label ? *label
            : static_cast<std::size_t>(std::find(roles.begin(), roles.end(), ColumnRole::feature) - roles.begin());
  std::optional<std::size_t> names, repeating;
  std::vector<std::size_t> passed;
  for (const ColumnRole role : {ColumnRole::name, ColumnRole::index, ColumnRole::feature, ColumnRole::label}) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (c == labels || roles[c] != role) continue;
      const Cells cells = column_at(rows, c, 1);
      if (holds_splits(columns[c]) && result.splits.empty()) {
        result.splits = cells;
        if (!of_pictures) passed.push_back(c);
        continue;
      }
      const Identity identity = identity_of(cells);
      const bool differ = repeated(cells).second == 0;
      const bool fits = role == ColumnRole::name      ? differ
                        : role == ColumnRole::index   ? identity == Identity::names
                        : role == ColumnRole::feature ? identity == Identity::names && !all_numbers(cells)
                                                      : false;
      if (identity == Identity::row_numbers) {
        result.numbers = cells;
        numbered.push_back(fmt::format("{}: {} numbers the rows and is left out", name, column_of(columns, c)));
      } else if (fits && !names) {
        names = c;
        if (role != ColumnRole::name)
          result.notes.push_back(fmt::format("{}: {} is taken for the images' names", name, column_of(columns, c)));
      } else {
        const bool empty = std::all_of(cells.begin(), cells.end(), [](const auto& cell) { return cell.empty(); });
        if (role == ColumnRole::name && !differ && !empty && !repeating) repeating = c;
        passed.push_back(c);
      }
    }
    if (role == ColumnRole::name && !names && repeating)
      check_names(column_at(rows, *repeating, 1), column_of(columns, *repeating), name);
  }
  result.labels = column_at(rows, labels, 1);
  if (names) {
    result.names = column_at(rows, *names, 1);
    check_names(result.names, column_of(columns, *names), name);
  }
  settle_numbers(result, numbered, of_pictures);
  if (columns[labels] != "label" && columns[labels] != "labels" && columns[labels] != "class")
    result.notes.push_back(fmt::format("{}: {} is taken for the labels", name, column_of(columns, labels)));
  if (!passed.empty())
    result.notes.push_back(fmt::format("{}: {} {} left out; the labels are {}", name, columns_of(columns, passed),
                                       passed.size() > 1 ? "are" : "is", column_of(columns, labels)));
  return result;
}

/// The labels of a table of several columns.
CsvLabels labels_of_table(const Table& rows, const std::string& name, bool of_pictures) {
  const std::size_t width = rows[0].size();
  std::vector<ColumnRole> roles(width);
  for (std::size_t c = 0; c < width; ++c) roles[c] = column_role(rows[0][c]);
  if (std::find(roles.begin(), roles.end(), ColumnRole::label) != roles.end() ||
      std::count(roles.begin(), roles.end(), ColumnRole::feature) == 1)
    return labels_of_columns(rows, roles, name, of_pictures);
  CsvLabels result;
  std::vector<std::string> numbered;
  std::size_t labels = width;
  std::vector<std::size_t> other;  // columns that do not number the rows
  for (std::size_t c = 0; c < width; ++c) {
    Cells cells = column_at(rows, c, 0);
    if (identity_of(cells) == Identity::row_numbers) {
      numbered.push_back(fmt::format("{}: {} numbers the rows and is left out", name, column_of({}, c)));
      result.numbers = std::move(cells);
    } else {
      other.push_back(c);
    }
  }
  if (other.size() == 2) {  // names all differ, labels do not
    const bool first = identity_of(column_at(rows, other[0], 0)) == Identity::names;
    if (first || identity_of(column_at(rows, other[1], 0)) == Identity::names) {
      result.names = column_at(rows, other[first ? 0 : 1], 0);
      labels = other[first ? 1 : 0];
      check_names(result.names, column_of({}, other[first ? 0 : 1]), name);
    }
  } else if (other.size() == 1) {
    labels = other[0];
  }
  AKIN_CHECK(labels < width,
             "{}: line 1 has {} cells, expected one label a line, a column of names that all differ beside it, or a "
             "first line that calls a column label",
             name, width);
  result.labels = column_at(rows, labels, 0);
  settle_numbers(result, numbered, of_pictures);
  result.notes.push_back(fmt::format("{}: {} is taken for the labels", name, column_of({}, labels)));
  return result;
}

/// With folders before it, or an ending such as .png behind it.
bool is_path(const std::string& cell) {
  if (cell.find_first_of("/\\") != std::string::npos) return true;
  const std::size_t dot = cell.rfind('.');
  return dot != std::string::npos && dot > 0 && dot + 1 < cell.size() &&
         std::all_of(cell.begin() + std::ptrdiff_t(dot) + 1, cell.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0; }) &&
         std::isalpha(static_cast<unsigned char>(cell[dot + 1])) != 0;
}

/// Lines of one text each as `path label`, `number label` or `1 label`, cut at their last blank; nothing where they are
/// none of these: classes may be called "golden retriever".
std::optional<Table> cut_at_blanks(const Table& lines) {
  Table rows;
  for (const Cells& line : lines) {
    const std::size_t blank = line[0].find_last_of(" \t");
    if (blank == std::string::npos) return std::nullopt;
    const std::string before = line[0].substr(0, blank);
    rows.push_back({before.substr(0, before.find_last_not_of(" \t") + 1), line[0].substr(blank + 1)});
  }
  const bool header = column_role(rows[0][0]) != ColumnRole::feature && column_role(rows[0][1]) == ColumnRole::label;
  if (header && rows.size() == 1) return std::nullopt;
  const Cells before = column_at(rows, 0, header), behind = column_at(rows, 1, header);
  const bool numbers = std::all_of(before.begin(), before.end(), only_digits);
  // A label is no picture: then the blanks are those of a name.
  const bool plain = (std::all_of(before.begin(), before.end(), is_path) && !all_called_pictures(behind)) ||
                     (numbers && identity_of(before) == Identity::row_numbers) ||
                     (numbers && std::all_of(behind.begin(), behind.end(), only_digits));
  return plain ? std::optional(rows) : std::nullopt;
}

}  // namespace

CsvLabels parse_csv_labels(std::string_view text, const std::string& name, bool of_pictures) {
  CsvRows rows(text, name, separator_of_labels(text, name));
  Table table;
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
  if (table[0].size() == 1 && table.size() > 1) table = cut_at_blanks(table).value_or(table);
  CsvLabels result;
  if (table[0].size() > 1 && table.size() > 1) {
    result = labels_of_table(table, name, of_pictures);
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
