// Tables as text (RFC 4180 and what spreadsheets and data frames make of it): numbers in rows, with or without a line
// of column names.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/dtype.hpp"
#include "engine/io/file.hpp"

namespace akin {

/// Rows of cells, one after the other. Lines end with \n or \r\n; empty lines are skipped; a cell in quotes may hold
/// separators, line ends and doubled quotes. Blanks around an unquoted cell are taken off.
class CsvRows {
 public:
  /// `name`: of the file, for messages. The text must outlive this. Separator ' ': any number of blanks and tabs.
  CsvRows(std::string_view text, std::string name, char separator = ',');
  /// False after the last row. Error on an unclosed quote.
  bool next(std::vector<std::string>& cells);
  std::size_t line() const { return line_; }  ///< of the row that next() gave, from 1
  /// Whether that line begins with #, outside of quotes.
  bool comment() const { return comment_; }

 private:
  std::string_view text_;
  std::string name_;
  char separator_;
  std::size_t at_ = 0, line_ = 0, next_line_ = 1;
  bool comment_ = false;
};

struct CsvMatrix {
  std::vector<std::string> columns;  ///< names of those in `values`; empty where no line names them
  Array values;                      ///< f64 [rows, columns]
  std::vector<std::string> labels;   ///< cells of the column of labels, if there is one
  std::vector<std::string> names;    ///< cells of the column of file names, if there is one
  std::vector<std::string> numbers;  ///< of one that numbers the rows and was left out
  std::vector<std::string> notes;    ///< what was left out or taken for something, and why
};

/// A table of numbers, finite ones: separated by commas, semicolons, tabs, bars or blanks (or as a line "sep=;" says),
/// with a decimal point or comma, in UTF-8 or UTF-16. A first line with cells that are no numbers, or that counts the
/// columns, names them. A column called label, labels, class or likewise (see csv_columns.hpp) holds labels; name,
/// file, path ... names of images; index, id ... or without a name row numbers, which are left out, or names where they
/// do not count. TRUE and FALSE are 1 and 0. Lines that begin with # are passed over. Error, with line and column,
/// where a cell is no number, where a line has another number of cells, where a mark may be decimal or not, and where
/// there is no row.
CsvMatrix read_csv(const std::filesystem::path& path);
CsvMatrix parse_csv(std::string_view text, const std::string& name);

/// Labels and, where a column holds them, names of images: one a line, or a table whose columns are told as above.
/// Notes tell what is left out: for a list `of_pictures` neither a column called split, subset or partition, which it
/// takes, nor numbers of rows where nothing else names its pictures, which may be called 0, 1, 2 ...
struct CsvLabels {
  std::vector<std::string> labels, names, numbers, notes, splits;
};
CsvLabels parse_csv_labels(std::string_view text, const std::string& name, bool of_pictures = false);

/// The whole file as text to parse: decoded, with \n for the line ends of old Macs. Error where it is no text.
std::string read_table_text(const std::filesystem::path& path, std::uint64_t max_bytes = kMaxFileBytes);

}  // namespace akin
