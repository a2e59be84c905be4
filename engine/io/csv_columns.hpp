// What the columns of a table hold, by their names and cells.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace akin {

using Cells = std::vector<std::string>;

/// By its name, in any case, with or without blanks, _, - and . in it. label: label, labels, class, target, category
/// ...; name: name, file, path, image ...; index: no name, index, id, row ...
enum class ColumnRole { feature, label, name, index };
ColumnRole column_role(std::string_view name);

/// Which of the columns of a role counts: the first one of the plainest name.
std::optional<std::size_t> chosen(const std::vector<ColumnRole>& roles, const Cells& columns, ColumnRole role);

/// `column 3 ("width")` for messages.
std::string column_of(const Cells& columns, std::size_t c);
/// The same of several, in one line.
std::string columns_of(const Cells& columns, const std::vector<std::size_t>& which);

/// What a column that may tell rows apart holds: 0, 1, 2 ...; text or whole numbers that all differ; other numbers;
/// some whole numbers or texts several times.
enum class Identity { row_numbers, names, numbers, repeated_numbers, repeated_text };
Identity identity_of(const Cells& cells);

/// The first two rows of a repeated cell; {0, 0} where all differ.
std::pair<std::size_t, std::size_t> repeated(const Cells& cells);

/// Error where images cannot be told apart by these names: one is empty or there twice. `column`: for the message.
void check_names(const Cells& cells, const std::string& column, const std::string& file);

/// Error where a cell is no UTF-8. `what`: the cells hold, for the message.
void check_text(const Cells& cells, const std::string& what, const std::string& file);

/// Whether the values are 0, 1, 2 ... or 1, 2, 3 ... in order: row numbers.
bool counts_rows(const std::vector<double>& values);

/// What of the rows' order is in a column of numbers: 0, 1, 2 ... or 1, 2, 3 ...; other whole numbers in even steps up
/// or down (100, 101 ...; 30, 20 ...); even steps in fractions, rounding aside; each whole number of a range once.
enum class RowCount { none, numbers, steps, even, permuted };
RowCount row_count_of(const std::vector<double>& values);

}  // namespace akin
