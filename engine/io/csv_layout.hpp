// How a table of text is laid out: what separates its cells, and which line names the columns.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace akin {

/// Of a first line "sep=;", as Excel writes it: its length with the end of the line; 0 where there is none.
struct DeclaredSeparator {
  char separator = ',';
  std::size_t length = 0;
};
DeclaredSeparator declared_separator(std::string_view text);

struct CsvLayout {
  char separator = ',';
  std::size_t width = 0;                  ///< cells a row, without empty ones behind a last separator
  bool header = false;                    ///< the first line names the columns
  bool comment_names = false;             ///< the last line with # in front of them does
  std::vector<std::string> columns = {};  ///< names, one a cell of a row; empty where no line names them
  std::vector<std::string> notes = {};
};

/// Of a table of numbers, by its first rows.
CsvLayout layout_of_table(std::string_view text, const std::string& name);

/// Of a list of labels, which may be any text: commas, semicolons or tabs where they give all lines as many cells.
char separator_of_labels(std::string_view text, const std::string& name);

}  // namespace akin
