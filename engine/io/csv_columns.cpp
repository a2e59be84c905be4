#include "engine/io/csv_columns.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "engine/io/number_text.hpp"
#include "engine/io/text.hpp"
#include "kernels/common/error.hpp"

namespace akin {
namespace {

bool one_of(const std::string& word, std::string_view words) {
  return words.find(" " + word + " ") != std::string_view::npos;
}

std::optional<std::vector<double>> numbers_of(const Cells& cells) {
  std::vector<double> values(cells.size());
  for (std::size_t i = 0; i < cells.size(); ++i)
    if (!parse_number(cells[i], values[i])) return std::nullopt;
  return values;
}

}  // namespace

ColumnRole column_role(std::string_view name) {
  std::string word;
  for (const char c : name) word += c == ' ' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (word.empty() || word.starts_with("unnamed:_")) return ColumnRole::index;
  if (one_of(word,
             " label labels class classes target targets category ground_truth groundtruth class_name classname "
             "class_id classid class_label label_name label_id label_idx true_label y_true "))
    return ColumnRole::label;
  if (one_of(word,
             " name names file files filename filenames file_name file_names path paths filepath file_path image "
             "images img imgs image_path img_path image_name img_name image_file image_id img_id uri url key "))
    return ColumnRole::name;
  if (one_of(word,
             " index level_0 idx id ids row rows row_id rowid row_number rownames row.names row_names no no. nr nr. "
             "obs # sample_id __index_level_0__ "))
    return ColumnRole::index;
  return ColumnRole::feature;
}

std::string column_of(const Cells& columns, std::size_t c) {
  const bool named = c < columns.size() && !columns[c].empty();
  return named ? fmt::format("column {} (\"{}\")", c + 1, columns[c]) : fmt::format("column {}", c + 1);
}

std::pair<std::size_t, std::size_t> repeated(const Cells& cells) {
  std::map<std::string_view, std::size_t> first;
  for (std::size_t i = 0; i < cells.size(); ++i)
    if (const auto [at, fresh] = first.emplace(cells[i], i); !fresh) return {at->second, i};
  return {0, 0};
}

Identity identity_of(const Cells& cells) {
  const auto numbers = numbers_of(cells);
  if (numbers && counts_rows(*numbers)) return Identity::row_numbers;
  const bool whole =
      numbers && std::all_of(numbers->begin(), numbers->end(), [](double v) { return v == std::floor(v); });
  if (numbers && !whole) return Identity::numbers;
  if (repeated(cells).second == 0) return Identity::names;
  return numbers ? Identity::repeated_numbers : Identity::repeated_text;
}

void check_text(const Cells& cells, const std::string& what, const std::string& file) {
  for (std::size_t i = 0; i < cells.size(); ++i)
    AKIN_CHECK(valid_utf8(cells[i]) == cells[i].size(), "{}: the {} of row {} is no UTF-8; save the file as UTF-8",
               file, what, i);
}

std::optional<std::size_t> chosen(const std::vector<ColumnRole>& roles, const Cells& columns, ColumnRole role) {
  std::optional<std::size_t> first;
  for (std::size_t c = 0; c < roles.size(); ++c) {
    if (roles[c] != role) continue;
    const std::string& name = columns[c];
    const bool plain = name == "label" || name == "labels" || name == "class" || name == "name" || name == "file";
    if (plain) return c;
    if (!first) first = c;
  }
  return first;
}

bool counts_rows(const std::vector<double>& values) {
  if (values.size() < 2 || (values[0] != 0 && values[0] != 1)) return false;
  for (std::size_t i = 1; i < values.size(); ++i)
    if (values[i] != values[0] + static_cast<double>(i)) return false;
  return true;
}

}  // namespace akin
