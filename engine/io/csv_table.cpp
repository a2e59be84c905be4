// Tables of numbers from the rows of a text.
#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "engine/io/csv.hpp"
#include "engine/io/csv_columns.hpp"
#include "engine/io/csv_layout.hpp"
#include "engine/io/number_text.hpp"

namespace akin {
namespace {

std::vector<ColumnRole> roles_of(const CsvLayout& layout) {
  std::vector<ColumnRole> roles(layout.width, ColumnRole::feature);
  for (std::size_t c = 0; c < layout.columns.size(); ++c) roles[c] = column_role(layout.columns[c]);
  return roles;
}

/// A table that is read again whenever its cells tell something of all rows: the decimal mark, a column to leave out.
class Table {
 public:
  Table(std::string_view text, const std::string& name)
      : text_(text),
        name_(name),
        layout_(layout_of_table(text, name)),
        roles_(roles_of(layout_)),
        left_out_(layout_.width, false) {
    const bool has_x = std::find(layout_.columns.begin(), layout_.columns.end(), "x") != layout_.columns.end();
    for (std::size_t c = 0; c < layout_.columns.size() && !has_x; ++c)
      if (layout_.columns[c] == "y") roles_[c] = ColumnRole::label;
    for (const ColumnRole role : {ColumnRole::label, ColumnRole::name}) {
      const auto one = chosen(roles_, layout_.columns, role);
      for (std::size_t c = 0; c < roles_.size(); ++c)
        if (one && roles_[c] == role && c != *one)
          leave_out(c, role == ColumnRole::label ? "is a second one of labels" : "is a second one of names");
    }
  }

  CsvMatrix read() {
    while (!pass()) continue;
    result_.numbers = std::move(numbers_);
    result_.notes.insert(result_.notes.begin(), layout_.notes.begin(), layout_.notes.end());
    return std::move(result_);
  }

 private:
  bool is_feature(std::size_t c) const { return roles_[c] == ColumnRole::feature && !left_out_[c]; }
  std::string at(std::size_t c, std::size_t line) const {
    return fmt::format("{}: line {}, {}", name_, line, column_of(layout_.columns, c));
  }
  void leave_out(std::size_t c, const std::string& why) {
    left_out_[c] = true;
    layout_.notes.push_back(fmt::format("{}: {} {} and is left out", name_, column_of(layout_.columns, c), why));
  }

  /// True when the table was read; false when something was learnt that asks for another look.
  bool pass() {
    result_ = {};
    values_.clear();
    other_.assign(layout_.width, {});
    truths_.assign(layout_.width, 0);
    filled_.assign(layout_.width, 0);
    hollow_.clear();
    evidence_ = {};
    CsvRows rows(text_, name_, layout_.separator);
    Cells cells;
    std::size_t count = 0, comments = 0, blank_line = 0;
    for (bool first = true; rows.next(cells);) {
      if (rows.comment()) {
        ++comments;
        continue;
      }
      if (std::exchange(first, false) && layout_.header) continue;
      if (std::all_of(cells.begin(), cells.end(), [](const std::string& cell) { return cell.empty(); })) {
        if (blank_line == 0) blank_line = rows.line();
        continue;
      }
      AKIN_CHECK(blank_line == 0, "{}: line {} has empty cells only; take it out, or fill it", name_, blank_line);
      if (cells.size() == layout_.width + 1 && cells.back().empty()) cells.pop_back();
      AKIN_CHECK(cells.size() == layout_.width, "{}: line {} has {} cells, the first one {}", name_, rows.line(),
                 cells.size(), layout_.width);
      AKIN_CHECK(!layout_.header || cells != layout_.columns,
                 "{}: line {} names the columns once more (two tables in one "
                 "file?)",
                 name_, rows.line());
      for (std::size_t c = 0; c < cells.size(); ++c)
        if (!take(cells[c], c, rows.line(), count)) return false;
      ++count;
    }
    AKIN_CHECK(count > 0, "{}: holds no row of numbers", name_);
    return finish(count, comments);
  }

  bool take(std::string& cell, std::size_t c, std::size_t line, std::size_t row) {
    if (left_out_[c]) return true;
    if (roles_[c] != ColumnRole::feature) {
      if (cell.empty() && roles_[c] == ColumnRole::label) fail("{} is empty: a row without a label", at(c, line));
      other_[c].push_back(std::move(cell));
      return true;
    }
    double value = 0;
    if (cell.empty() && row == 0) {  // of an empty column, unless a later cell is not
      values_.push_back(0);
      hollow_.insert(c);
      return true;
    }
    if (hollow_.contains(c)) {
      values_.push_back(0);
      if (cell.empty()) return true;
      fail("{}: line {}, {} is empty; fill it, or leave the row or column out", name_, first_line(),
           column_of(layout_.columns, c));
    }
    ++filled_[c];
    if (layout_.separator != ',' && format_ == NumberFormat{}) evidence_.add(cell);
    if (parse_truth(cell, value)) {
      ++truths_[c];
    } else if (!parse_number(cell, value, format_)) {
      if (cell.find(',') != std::string::npos || cell.find('.') != std::string::npos) {
        const NumberFormat found = settle_format();
        if (!(found == format_)) {
          format_ = found;
          return false;
        }
      }
      if (text_column(c, cell)) return false;
      fail("{} {}; a table holds finite numbers (its first line may name the columns)", at(c, line),
           why_no_number(cell));
    }
    AKIN_CHECK(std::isfinite(value),
               "{} holds {}, row {}; finite numbers are needed: fill it, or leave the row or column out", at(c, line),
               cell, row);
    AKIN_CHECK(truths_[c] == 0 || truths_[c] == filled_[c],
               "{}: \"{}\" among other kinds of cells; numbers, or TRUE and "
               "FALSE, all along a column",
               at(c, line), cell);
    values_.push_back(value);
    return true;
  }

  /// A column of text in a table without names of columns: the images' names where all differ.
  bool text_column(std::size_t c, const std::string& cell) {
    if (!layout_.columns.empty() || is_missing(cell) || cell.find_first_of("0123456789") == 0) return false;
    Cells column;
    each_row([&](const Cells& cells) {
      if (c < cells.size()) column.push_back(cells[c]);
    });
    if (std::any_of(column.begin(), column.end(), [](const std::string& text) {
          double ignored = 0;
          return parse_number(text, ignored);
        }))
      return false;
    const auto [first, second] = repeated(column);
    AKIN_CHECK(
        second == 0 && chosen(roles_, Cells(roles_.size()), ColumnRole::name) == std::nullopt,
        "{}: {} holds text (\"{}\"), and no line names the columns; put one in front that calls it label, or name "
        "where it names the images",
        name_, column_of(layout_.columns, c), cell);
    roles_[c] = ColumnRole::name;
    layout_.notes.push_back(
        fmt::format("{}: {} holds text and is taken for the images' names", name_, column_of(layout_.columns, c)));
    return true;
  }

  template <class Take>
  void each_row(Take&& take_row) const {
    CsvRows rows(text_, name_, layout_.separator);
    Cells cells;
    for (bool first = true; rows.next(cells);) {
      if (rows.comment()) continue;
      if (std::exchange(first, false) && layout_.header) continue;
      take_row(cells);
    }
  }

  std::size_t first_line() const {
    CsvRows rows(text_, name_, layout_.separator);
    Cells cells;
    for (bool first = true; rows.next(cells);)
      if (!rows.comment() && !(std::exchange(first, false) && layout_.header)) break;
    return rows.line();
  }

  NumberFormat settle_format() const {
    NumberFormatEvidence evidence;
    each_row([&](const Cells& cells) {
      for (std::size_t c = 0; c < std::min(cells.size(), layout_.width); ++c)
        if (is_feature(c)) evidence.add(cells[c]);
    });
    return evidence.settle(name_, layout_.separator);
  }

  bool is_empty(std::size_t c) const {
    if (roles_[c] == ColumnRole::feature) return hollow_.contains(c) && filled_[c] == 0;
    return (roles_[c] == ColumnRole::name || roles_[c] == ColumnRole::index) &&
           std::all_of(other_[c].begin(), other_[c].end(), [](const std::string& cell) { return cell.empty(); });
  }

  bool finish(std::size_t count, std::size_t comments) {
    std::vector<std::size_t> empty;
    for (std::size_t c = 0; c < layout_.width; ++c)
      if (!left_out_[c] && is_empty(c)) empty.push_back(c);
    if (!empty.empty()) {  // a spreadsheet may have thousands of them
      for (const std::size_t c : empty) left_out_[c] = true;
      layout_.notes.push_back(fmt::format("{}: {} {} empty and {} left out", name_, columns_of(layout_.columns, empty),
                                          empty.size() > 1 ? "are" : "is", empty.size() > 1 ? "are" : "is"));
      return false;
    }
    if (format_ == NumberFormat{}) evidence_.settle(name_, layout_.separator);
    std::optional<std::size_t> names;
    for (const ColumnRole role : {ColumnRole::name, ColumnRole::index}) {
      for (std::size_t c = 0; c < layout_.width; ++c) {
        if (roles_[c] != role || left_out_[c]) continue;
        const Cells& cells = other_[c];
        const Identity identity = identity_of(cells);
        const bool fractions = identity == Identity::numbers && repeated(cells).second == 0;
        if (identity == Identity::numbers && !(fractions && role == ColumnRole::name)) {
          roles_[c] = ColumnRole::feature;
          if (role == ColumnRole::name)
            layout_.notes.push_back(
                fmt::format("{}: {} holds fractions, some more than once, and is taken for a feature", name_,
                            column_of(layout_.columns, c)));
          return false;
        }
        if (identity == Identity::repeated_text) check_names(cells, column_of(layout_.columns, c), name_);
        if ((identity == Identity::names || fractions) && !names) {
          names = c;
          continue;
        }
        if (identity == Identity::row_numbers) numbers_ = cells;
        leave_out(c, identity == Identity::row_numbers        ? "numbers the rows"
                     : identity == Identity::repeated_numbers ? "holds numbers of rows or things"
                                                              : "is a second one of names");
        return false;
      }
    }
    if (names) {
      result_.names = std::move(other_[*names]);
      check_names(result_.names, column_of(layout_.columns, *names), name_);
      check_text(result_.names, "name", name_);
    }
    if (names && (roles_[*names] == ColumnRole::index || identity_of(result_.names) == Identity::numbers))
      result_.notes.push_back(
          fmt::format("{}: {} is taken for the images' names", name_, column_of(layout_.columns, *names)));
    for (std::size_t c = 0; c < layout_.width; ++c) {
      if (roles_[c] != ColumnRole::label || left_out_[c]) continue;
      result_.labels = std::move(other_[c]);
      check_text(result_.labels, "label", name_);
      const std::string& title = layout_.columns[c];
      if (title != "label" && title != "labels" && title != "class")
        result_.notes.push_back(fmt::format("{}: {} is taken for the labels", name_, column_of(layout_.columns, c)));
    }
    if (const std::size_t passed = comments - layout_.comment_names; passed > 0)
      result_.notes.push_back(fmt::format("{}: lines that begin with # are passed over ({})", name_, passed));
    for (std::size_t c = 0; c < layout_.columns.size(); ++c)
      if (is_feature(c)) result_.columns.push_back(layout_.columns[c]);
    AKIN_CHECK(!values_.empty(), "{}: has no column of features", name_);
    const auto rows = static_cast<std::int64_t>(count);
    result_.values = Array::from(values_, {rows, static_cast<std::int64_t>(values_.size()) / rows});
    return true;
  }

  std::string_view text_;
  std::string name_;
  CsvLayout layout_;
  std::vector<ColumnRole> roles_;
  std::vector<bool> left_out_;
  NumberFormat format_;
  NumberFormatEvidence evidence_;
  Cells numbers_;  // of a column of row numbers
  // Of one pass:
  CsvMatrix result_;
  std::vector<double> values_;
  std::vector<Cells> other_;                  // cells of columns that hold no features
  std::vector<std::size_t> truths_, filled_;  // cells TRUE or FALSE, cells that are not empty
  std::set<std::size_t> hollow_;              // columns that begin with an empty cell
};

}  // namespace

CsvMatrix parse_csv(std::string_view text, const std::string& name) { return Table(text, name).read(); }

CsvMatrix read_csv(const std::filesystem::path& path) { return parse_csv(read_table_text(path), path.string()); }

}  // namespace akin
