#include "engine/io/csv.hpp"

#include <algorithm>
#include <charconv>

#include "engine/io/file.hpp"

namespace akin {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

bool is_label(std::string_view column) { return column == "label" || column == "labels" || column == "class"; }

}  // namespace

CsvRows::CsvRows(std::string_view text, std::string name) : text_(text), name_(std::move(name)) {
  if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;  // the mark that some programs put in front of UTF-8
}

bool CsvRows::next(std::vector<std::string>& cells) {
  while (at_ < text_.size()) {
    cells.clear();
    line_ = next_line_;
    for (bool more = true; more;) {
      std::size_t begin = at_;
      while (begin < text_.size() && (text_[begin] == ' ' || text_[begin] == '\t')) ++begin;
      std::string cell;
      bool quoted = begin < text_.size() && text_[begin] == '"';
      if (quoted) {
        at_ = begin + 1;
        for (;; ++at_) {
          AKIN_CHECK(at_ < text_.size(), "{}: a quote in line {} is never closed", name_, line_);
          next_line_ += text_[at_] == '\n';
          if (text_[at_] != '"') {
            cell += text_[at_];
          } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
            cell += text_[++at_];
          } else {
            break;
          }
        }
        ++at_;
      }
      const std::size_t end = std::min(text_.find_first_of(",\n", at_), text_.size());
      const std::string_view rest = trimmed(text_.substr(at_, end - at_));
      AKIN_CHECK(!quoted || rest.empty(), "{}: line {} goes on behind a closing quote: \"{}\"", name_, line_, rest);
      cells.push_back(quoted ? std::move(cell) : std::string(rest));
      more = end < text_.size() && text_[end] == ',';
      if (end < text_.size()) next_line_ += text_[end] == '\n';
      at_ = std::min(end + 1, text_.size());
      if (more && at_ == text_.size()) {  // a comma ends the file: an empty cell follows
        cells.emplace_back();
        more = false;
      }
    }
    if (cells.size() > 1 || !cells[0].empty()) return true;
  }
  return false;
}

bool parse_number(std::string_view cell, double& value) {
  if (cell.starts_with('+')) cell.remove_prefix(1);
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  return error == std::errc() && end == cell.data() + cell.size() && !cell.empty();
}

CsvMatrix parse_csv(std::string_view text, const std::string& name) {
  CsvMatrix result;
  CsvRows rows(text, name);
  std::vector<std::string> cells;
  std::vector<double> values;
  std::size_t width = 0, label_column = std::string::npos;
  std::int64_t count = 0;
  for (bool first = true; rows.next(cells); first = false) {
    double value = 0;
    if (first) {
      width = cells.size();
      if (!std::all_of(cells.begin(), cells.end(),
                       [&](const std::string& cell) { return parse_number(cell, value); })) {
        for (std::size_t c = 0; c < width; ++c)
          if (is_label(cells[c])) label_column = c;
        result.columns = cells;
        continue;
      }
    }
    AKIN_CHECK(cells.size() == width, "{}: line {} has {} cells, the first one {}", name, rows.line(), cells.size(),
               width);
    for (std::size_t c = 0; c < width; ++c) {
      if (c == label_column) {
        result.labels.push_back(cells[c]);
        continue;
      }
      AKIN_CHECK(parse_number(cells[c], value),
                 "{}: line {}, column {}: \"{}\" is no number; a table holds numbers separated by commas (and may name "
                 "its columns in the first line)",
                 name, rows.line(), c + 1, cells[c]);
      values.push_back(value);
    }
    ++count;
  }
  AKIN_CHECK(count > 0, "{}: holds no row of numbers", name);
  if (label_column != std::string::npos) result.columns.erase(result.columns.begin() + std::ptrdiff_t(label_column));
  const auto columns = static_cast<std::int64_t>(values.size()) / count;
  result.values = Array::from(values, {count, columns});
  return result;
}

CsvMatrix read_csv(const std::filesystem::path& path) {
  return parse_csv(read_text(path, kMaxFileBytes), path.string());
}

}  // namespace akin
