// Comma-separated tables (RFC 4180): numbers in rows, with or without a line of column names.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/dtype.hpp"

namespace akin {

/// Rows of cells, one after the other. Lines end with \n or \r\n; empty lines are skipped; a cell in quotes may hold
/// commas, line ends and doubled quotes. Blanks around an unquoted cell are taken off.
class CsvRows {
 public:
  /// `name`: of the file, for messages. The text must outlive this.
  CsvRows(std::string_view text, std::string name);
  /// False after the last row. Error on an unclosed quote.
  bool next(std::vector<std::string>& cells);
  std::size_t line() const { return line_; }  ///< of the row that next() gave, from 1

 private:
  std::string_view text_;
  std::string name_;
  std::size_t at_ = 0, line_ = 0, next_line_ = 1;
};

/// The number that a whole cell is; false where it is none. "nan" and "inf" are numbers.
bool parse_number(std::string_view cell, double& value);

struct CsvMatrix {
  std::vector<std::string> columns;  ///< names; empty where the first line holds numbers
  Array values;                      ///< f64 [rows, columns], without the text columns
  std::vector<std::string> labels;   ///< cells of the column called label, labels or class, if there is one
};

/// A table of numbers. A first line with a cell that is no number names the columns. Error, with line and column, where
/// a cell is no number or empty, where a line has another number of cells, and where there is no row.
CsvMatrix read_csv(const std::filesystem::path& path);
CsvMatrix parse_csv(std::string_view text, const std::string& name);

}  // namespace akin
