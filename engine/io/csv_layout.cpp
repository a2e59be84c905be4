#include "engine/io/csv_layout.hpp"

#include <algorithm>
#include <optional>

#include "engine/io/csv.hpp"
#include "engine/io/number_text.hpp"

namespace akin {
namespace {

constexpr std::size_t kLooked = 64;  // rows that tell the layout
constexpr std::size_t kCounted = 4;  // 0,1,2,3 above fractions numbers the columns; 0,1 may be a row
using Cells = std::vector<std::string>;

/// The first rows, cut at one separator.
struct Look {
  char separator;
  std::vector<Cells> rows;       // without comments
  std::optional<Cells> comment;  // the last line with # in front of them, without the #
  std::size_t width = 0;
  bool even = true;  // all rows have as many cells
  double share = 0;  // of the cells behind the first row that are numbers
};

/// Maybe with a decimal comma or marks between thousands.
bool may_be_number(const std::string& cell) {
  double ignored = 0;
  if (parse_truth(cell, ignored)) return true;
  for (const NumberFormat& format :
       {NumberFormat{}, NumberFormat{',', 0}, NumberFormat{',', '.'}, NumberFormat{'.', ','}})
    if (parse_number(cell, ignored, format)) return true;
  return false;
}

/// "0", "1", "2" ... or "1", "2", ...: how data frames name columns that have no names.
bool counts(const Cells& cells) {
  const auto from = [&](std::size_t first) {
    for (std::size_t i = 0; i < cells.size(); ++i)
      if (cells[i] != std::to_string(first + i)) return false;
    return true;
  };
  return !cells.empty() && (from(0) || from(1));
}

Cells uncommented(Cells cells, char separator) {
  std::string& first = cells[0];
  first.erase(0, std::min(first.find_first_not_of("# \t"), first.size()));
  if (first.empty() && separator == ' ') cells.erase(cells.begin());
  return cells;
}

/// That of most rows, of equally common ones the one met first.
std::size_t usual_width(const std::vector<Cells>& rows, std::size_t first) {
  std::size_t best = 0, most = 0;
  for (std::size_t r = first; r < rows.size(); ++r) {
    const auto same = static_cast<std::size_t>(
        std::count_if(rows.begin(), rows.end(), [&](const Cells& other) { return other.size() == rows[r].size(); }));
    if (same > most) {
      most = same;
      best = rows[r].size();
    }
  }
  return best;
}

std::optional<Look> look_at(std::string_view text, const std::string& name, char separator) {
  Look look{separator, {}, {}};
  CsvRows rows(text, name, separator);
  Cells cells;
  try {
    while (look.rows.size() < kLooked && rows.next(cells)) {
      if (!rows.comment())
        look.rows.push_back(cells);
      else if (look.rows.empty())
        look.comment = uncommented(cells, separator);
    }
  } catch (const Error&) {  // quotes that make no sense with this separator
    return std::nullopt;
  }
  if (look.rows.empty()) return look;
  const std::size_t first = look.rows.size() > 1 ? 1 : 0;
  look.width = usual_width(look.rows, first);
  const Cells& head = look.rows[0];
  const bool trailing = look.width > 1 && (head.size() < look.width || head.back().empty()) &&
                        std::all_of(look.rows.begin() + std::ptrdiff_t(first), look.rows.end(),
                                    [](const Cells& row) { return row.back().empty(); });
  look.width -= trailing;
  // One column of decimal commas looks like two columns of whole numbers; a line that names it tells.
  const bool points = look.width == 1 && !(head.size() == 1 && !may_be_number(head[0]));
  double numbers = 0, all = 0, ignored = 0;
  for (std::size_t r = 0; r < look.rows.size(); ++r) {
    Cells& row = look.rows[r];
    if (row.size() == look.width + 1 && row.back().empty()) row.pop_back();
    look.even = look.even && row.size() == look.width;
    for (std::size_t c = 0; r >= first && c < row.size(); ++c) {
      numbers += points ? parse_number(row[c], ignored) || parse_truth(row[c], ignored) : may_be_number(row[c]);
      all += !row[c].empty();
    }
  }
  look.share = all > 0 ? numbers / all : 0;
  return look;
}

/// Whether the first row names the columns.
bool names_columns(const Look& look) {
  const Cells& row = look.rows[0];
  if (row.size() + 1 == look.width) return std::none_of(row.begin(), row.end(), may_be_number);
  Cells whole;
  std::vector<std::size_t> text;
  bool other_numbers = false, all_missing = true;
  for (std::size_t c = 0; c < row.size(); ++c) {
    if (!may_be_number(row[c])) {
      text.push_back(c);
      all_missing = all_missing && is_missing(row[c]);
    } else if (only_digits(row[c])) {
      whole.push_back(row[c]);
    } else {
      other_numbers = true;
    }
  }
  if (other_numbers) return false;
  const auto rest = std::span(look.rows).subspan(1);
  if (text.empty()) {
    // Whoever writes 0.5 writes 0.0 as well: whole numbers above fractions are no row.
    const auto fraction = [](const std::string& cell) { return !only_digits(cell) && may_be_number(cell); };
    const auto any = [&](const Cells& cells) { return std::any_of(cells.begin(), cells.end(), fraction); };
    const auto all = [&](const Cells& cells) { return std::all_of(cells.begin(), cells.end(), fraction); };
    return counts(whole) && (row.size() >= kCounted ? std::any_of(rest.begin(), rest.end(), any)
                                                    : rest.size() > 1 && std::all_of(rest.begin(), rest.end(), all));
  }
  if (whole.empty() || rest.empty()) return true;
  if (counts(whole)) return true;
  const auto column_counts = [&] {
    Cells cells;
    for (const Cells& r : rest) cells.push_back(r[0]);
    return counts(cells);
  };
  if (all_missing) return text.size() == 1 && text[0] == 0 && column_counts();
  // A row of data with text in it has text below.
  return !std::all_of(text.begin(), text.end(),
                      [&](std::size_t c) { return c < rest[0].size() && !may_be_number(rest[0][c]); });
}

}  // namespace

DeclaredSeparator declared_separator(std::string_view text) {
  std::string_view line = text.substr(0, text.find('\n'));
  const std::size_t length = std::min(line.size() + 1, text.size());
  while (!line.empty() && (line.back() == '\r' || line.back() == '"')) line.remove_suffix(1);
  if (line.starts_with('"')) line.remove_prefix(1);
  if (line.size() != 5 || (!line.starts_with("sep=") && !line.starts_with("SEP="))) return {};
  return {line[4], length};
}

CsvLayout layout_of_table(std::string_view text, const std::string& name) {
  const DeclaredSeparator declared = declared_separator(text);
  std::optional<Look> best;
  for (const char separator : {',', ';', '\t', '|', ' '}) {
    if (declared.length > 0 && separator != declared.separator) continue;
    const std::optional<Look> look = look_at(text, name, separator);
    if (!look || look->rows.empty()) continue;
    const auto score = [](const Look& l) { return std::pair(l.share * (l.even ? 1 : 0.9), l.width); };
    if (!best || score(*look) > score(*best)) best = look;
  }
  if (!best) {
    CsvRows rows(text, name, declared.length > 0 ? declared.separator : ',');
    for (Cells cells; rows.next(cells);) continue;  // tells what is wrong with the quotes
    fail("{}: holds no row of numbers", name);
  }
  CsvLayout layout{best->separator, best->width, names_columns(*best)};
  if (layout.header) {
    layout.columns = best->rows[0];
    if (layout.columns.size() + 1 == layout.width) layout.columns.insert(layout.columns.begin(), "");
    AKIN_CHECK(layout.columns.size() == layout.width,
               "{}: the first line names {} columns, the lines below have {} cells", name, layout.columns.size(),
               layout.width);
    if (std::all_of(layout.columns.begin(), layout.columns.end(), only_digits))
      layout.notes.push_back(fmt::format("{}: the first line (0, 1, 2 ...) numbers the columns and is no row", name));
  } else if (best->comment && best->comment->size() == best->width &&
             std::none_of(best->comment->begin(), best->comment->end(), may_be_number)) {
    layout.columns = *best->comment;
    layout.comment_names = true;
  }
  return layout;
}

char separator_of_labels(std::string_view text, const std::string& name) {
  if (const DeclaredSeparator declared = declared_separator(text); declared.length > 0) return declared.separator;
  char best = ',';
  std::size_t width = 1;
  for (const char separator : {',', ';', '\t'}) {
    const std::optional<Look> look = look_at(text, name, separator);
    if (!look || !look->even || look->width <= width) continue;
    best = separator;
    width = look->width;
  }
  return best;
}

}  // namespace akin
