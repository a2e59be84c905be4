#include "engine/io/csv.hpp"

#include <algorithm>

#include "engine/io/csv_layout.hpp"
#include "engine/io/file.hpp"
#include "engine/io/file_kind.hpp"
#include "engine/io/text.hpp"

namespace akin {
namespace {

bool blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

CsvRows::CsvRows(std::string_view text, std::string name, char separator)
    : text_(text), name_(std::move(name)), separator_(separator) {
  if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;  // the mark that some programs put in front of UTF-8
  if (const std::size_t length = declared_separator(text_.substr(at_)).length; length > 0) {
    at_ += length;
    next_line_ = 2;
  }
}

bool CsvRows::next(std::vector<std::string>& cells) {
  const bool blanks = separator_ == ' ';
  const auto skip_blanks = [&](bool tabs_too) {
    while (at_ < text_.size() && (text_[at_] == ' ' || (tabs_too && text_[at_] == '\t'))) ++at_;
  };
  const std::string stops = blanks ? " \t\n" : std::string{separator_, '\n'};
  while (at_ < text_.size()) {
    cells.clear();
    line_ = next_line_;
    skip_blanks(separator_ != '\t');
    comment_ = at_ < text_.size() && text_[at_] == '#';
    for (bool more = true; more;) {
      const std::size_t start = at_;
      skip_blanks(separator_ != '\t');
      std::string cell;
      const bool quoted = at_ < text_.size() && text_[at_] == '"';
      if (quoted) {
        for (++at_;; ++at_) {
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
      } else {
        at_ = blanks ? at_ : start;
      }
      std::size_t end = std::min(text_.find_first_of(stops, at_), text_.size());
      const std::string_view rest = trimmed(text_.substr(at_, end - at_));
      AKIN_CHECK(!quoted || rest.empty(), "{}: line {} goes on behind a closing quote: \"{}\"", name_, line_, rest);
      cells.push_back(quoted ? std::move(cell) : std::string(rest));
      if (blanks) {  // those at the end of a line separate nothing
        while (end < text_.size() && (blank(text_[end]) || text_[end] == '\r')) ++end;
        more = end < text_.size() && text_[end] != '\n';
        at_ = end + (more || end == text_.size() ? 0 : 1);
        next_line_ += !more && end < text_.size();
        continue;
      }
      more = end < text_.size() && text_[end] == separator_;
      if (end < text_.size()) next_line_ += text_[end] == '\n';
      at_ = std::min(end + 1, text_.size());
      if (more && at_ == text_.size()) {  // a separator ends the file: an empty cell follows
        cells.emplace_back();
        more = false;
      }
    }
    if (cells.size() > 1 || !cells[0].empty()) return true;
  }
  return false;
}

std::string read_table_text(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const std::string name = path.string();
  std::string text = read_text(path, max_bytes);
  AKIN_CHECK(!text.empty(), "{}: holds no row: the file is empty", name);
  if (text.find('\0') != std::string::npos || static_cast<unsigned char>(text[0]) >= 0x80 || text.starts_with("PK") ||
      text[0] == '<') {
    const std::string kind = foreign_kind(bytes_of(text), name, Wanted::table);
    AKIN_CHECK(kind.empty() || kind.starts_with("text"), "{}: is no table of text but {}", name, kind);
  }
  text = decoded_text(std::move(text), name);
  if (text.find('\n') == std::string::npos) std::replace(text.begin(), text.end(), '\r', '\n');
  return text;
}

}  // namespace akin
