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
  std::string word;  // "Image ID", image_id and ImageId are one
  for (const char c : name)
    if (c != ' ' && c != '_' && c != '-' && c != '.')
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (name.empty() || word.starts_with("unnamed:")) return ColumnRole::index;
  if (one_of(word,
             " label labels class classes target targets category groundtruth classname classid labelname labelid "
             "labelidx truelabel ytrue "))
    return ColumnRole::label;
  if (one_of(word,
             " name names file files filename filenames fname path paths filepath image images img imgs imageid imgid "
             "imagename imgname imagefile imgfile imagepath imgpath imagefilename photo photos photoid photoname "
             "picture pictures pictureid pic pics idcode uri url key "))
    return ColumnRole::name;
  if (one_of(word, " index level0 idx id ids row rows rowid rownumber rownames no nr obs # sampleid indexlevel0 "))
    return ColumnRole::index;
  return ColumnRole::feature;
}

std::string column_of(const Cells& columns, std::size_t c) {
  const bool named = c < columns.size() && !columns[c].empty();
  return named ? fmt::format("column {} (\"{}\")", c + 1, columns[c]) : fmt::format("column {}", c + 1);
}

std::string columns_of(const Cells& columns, const std::vector<std::size_t>& which) {
  constexpr std::size_t kShown = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(which.size(), kShown); ++i)
    text += (i > 0 ? ", " : "") + column_of(columns, which[i]);
  if (which.size() > kShown) text += fmt::format(" and {} more", which.size() - kShown);
  return text;
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

void check_names(const Cells& cells, const std::string& column, const std::string& file) {
  const auto empty = std::find(cells.begin(), cells.end(), "");
  AKIN_CHECK(empty == cells.end(), "{}: row {} has no name in {} (rows from 0); fill it, or leave the row out", file,
             empty - cells.begin(), column);
  const auto [first, second] = repeated(cells);
  AKIN_CHECK(second == 0,
             "{}: {} holds \"{}\" in rows {} and {}; names of images all differ. If these are labels, call it label; "
             "else leave it out",
             file, column, cells[first], first, second);
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

RowCount row_count_of(const std::vector<double>& values) {
  if (values.size() < 3) return counts_rows(values) ? RowCount::numbers : RowCount::none;
  const double last = static_cast<double>(values.size() - 1), step = (values.back() - values[0]) / last;
  constexpr double kRounded = 0.01;  // of a step, as a few decimals leave it
  const bool even = step != 0 && std::isfinite(step) && [&] {
    for (std::size_t i = 1; i < values.size(); ++i)
      if (!(std::abs(values[i] - values[0] - static_cast<double>(i) * step) <= kRounded * std::abs(step))) return false;
    return true;
  }();
  const auto whole = [](double v) { return v == std::floor(v); };
  if (!std::all_of(values.begin(), values.end(), whole)) return even ? RowCount::even : RowCount::none;
  if (even) return counts_rows(values) ? RowCount::numbers : RowCount::steps;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (*high - *low != last) return RowCount::none;
  std::vector<bool> met(values.size(), false);
  for (const double v : values) met[static_cast<std::size_t>(v - *low)] = true;
  return std::find(met.begin(), met.end(), false) == met.end() ? RowCount::permuted : RowCount::none;
}

}  // namespace akin
