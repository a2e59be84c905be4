#include "distill/report/table.hpp"

#include <algorithm>
#include <cmath>

#include "distill/report/csv.hpp"
#include "distill/report/html.hpp"
#include "engine/io/file.hpp"
#include "kernels/common/error.hpp"

namespace akin {

namespace {

using Align = TextTable::Align;

/// Columns that a terminal leaves for code point `c`.
std::size_t columns_of(char32_t c) {
  const auto in = [c](char32_t low, char32_t high) { return c >= low && c <= high; };
  if (in(0x300, 0x36F) || in(0x200B, 0x200F) || in(0x20D0, 0x20FF) || in(0xFE00, 0xFE0F)) return 0;
  const bool wide = in(0x1100, 0x115F) || in(0x2E80, 0xA4CF) || in(0xAC00, 0xD7A3) || in(0xF900, 0xFAFF) ||
                    in(0xFE30, 0xFE6F) || in(0xFF00, 0xFF60) || in(0xFFE0, 0xFFE6) || in(0x1F300, 0x1F64F) ||
                    in(0x1F900, 0x1F9FF) || in(0x20000, 0x3FFFD);
  return wide ? 2 : 1;
}

std::vector<const SourceResult*> nearest_first(const ReportData& data) {
  std::vector<const SourceResult*> order;
  for (const SourceResult& s : data.sources) order.push_back(&s);
  std::stable_sort(order.begin(), order.end(), [](const SourceResult* a, const SourceResult* b) {
    if (std::isfinite(a->similarity) != std::isfinite(b->similarity)) return std::isfinite(a->similarity);
    return a->similarity > b->similarity;
  });
  return order;
}

}  // namespace

std::size_t display_width(const std::string& text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    std::size_t length = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    char32_t c = length == 1 ? first : first & (0xFFu >> (length + 1));
    length = std::min(length, text.size() - i);
    for (std::size_t k = 1; k < length; ++k) c = c << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3Fu);
    width += columns_of(c);
    i += length;
  }
  return width;
}

void TextTable::add(std::vector<std::string> cells) {
  AKIN_CHECK(cells.size() == columns_.size(), "table: {} cells for {} columns", cells.size(), columns_.size());
  for (std::string& cell : cells) {
    // A name with an escape sequence or a line break must not reach the terminal.
    for (char& c : cell) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
    }
  }
  rows_.push_back(std::move(cells));
}

std::string TextTable::str(std::size_t columns) const {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    widths.push_back(display_width(columns_[c].title));
    for (const auto& row : rows_) widths[c] = std::max(widths[c], display_width(row[c]));
  }
  // What every part begins with.
  std::vector<std::size_t> key;
  for (std::size_t c = 0; c < columns_.size() && (key.empty() || columns_[key.back()].title.empty()); ++c)
    key.push_back(c);
  const auto width_of = [&](const std::vector<std::size_t>& shown) {
    std::size_t sum = shown.empty() ? 0 : 2 * (shown.size() - 1);
    for (const std::size_t c : shown) sum += widths[c];
    return sum;
  };
  std::string out;
  std::vector<std::size_t> shown = key;
  for (std::size_t c = key.size(); c < columns_.size(); ++c) {
    std::vector<std::size_t> more = shown;
    more.push_back(c);
    if (columns > 0 && width_of(more) > columns && shown.size() > key.size()) {
      out += part(shown, widths, columns) + "\n";
      more = key;
      more.push_back(c);
    }
    shown = std::move(more);
  }
  return out + part(shown, widths, columns);
}

std::string TextTable::part(const std::vector<std::size_t>& shown, std::vector<std::size_t> widths,
                            std::size_t columns) const {
  constexpr std::size_t kLeast = 12;
  std::size_t sum = 2 * (shown.size() - 1);
  for (const std::size_t c : shown) sum += widths[c];
  // A column of texts that is too wide even alone.
  if (std::size_t& last = widths[shown.back()];
      columns > 0 && sum > columns && shown.size() > 1 && columns_[shown.back()].align == Align::left)
    last = std::max(std::min(kLeast, last), columns - std::min(columns, sum - last));
  std::string out;
  const auto line = [&](auto cell) {
    std::string text;
    for (std::size_t c : shown) {
      const std::string value = shortened(cell(c), widths[c]);
      const std::string blanks(widths[c] - std::min(widths[c], display_width(value)), ' ');
      if (c != shown.front()) text += "  ";
      text += columns_[c].align == Align::left ? value + blanks : blanks + value;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  line([&](std::size_t c) { return columns_[c].title; });
  line([&](std::size_t c) {
    std::string rule;
    for (std::size_t i = 0; i < widths[c]; ++i) rule += "─";
    return rule;
  });
  for (const auto& row : rows_) {
    line([&](std::size_t c) { return row[c]; });
  }
  return out;
}

std::string wrapped(const std::string& text, std::size_t columns) {
  if (columns == 0) return text;
  std::string out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view whole = std::string_view(text).substr(begin, end - begin);
    const std::size_t indent = std::min(whole.find_first_not_of(' '), whole.size());
    std::string line(whole.substr(0, indent));
    bool empty = true;  // but for blanks
    for (std::size_t at = indent; at <= whole.size();) {
      const std::size_t blank = std::min(whole.find(' ', at), whole.size());
      const std::string word(whole.substr(at, blank - at));
      if (!empty && display_width(line) + 1 + display_width(word) > columns) {
        out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
        line.assign(indent + 2, ' ');
      } else if (!empty) {
        line += " ";
      }
      line += word;
      empty = false;
      at = blank + 1;
    }
    out += line;
    if (end < text.size()) out += "\n";
    begin = end + 1;
  }
  return out;
}

std::string shortened(const std::string& text, std::size_t columns) {
  if (display_width(text) <= columns) return text;
  if (columns < 4) return first_columns(text, columns);
  const std::size_t front = (columns - 1) / 2;
  std::size_t at = text.size();
  while (at > 0 && display_width(text.substr(at)) < columns - 1 - front) --at;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  return first_columns(text, front) + "…" + text.substr(at);
}

std::string first_columns(const std::string& text, std::size_t columns) {
  std::size_t end = 0, used = 0;
  while (end < text.size()) {
    std::size_t n = 1;
    while (end + n < text.size() && (static_cast<unsigned char>(text[end + n]) & 0xC0) == 0x80) ++n;
    used += display_width(text.substr(end, n));
    if (used > columns) break;
    end += n;
  }
  return text.substr(0, end);
}

std::string results_table(const ReportData& data, std::size_t columns) {
  TextTable table({{"method", Align::left},
                   {"test %", Align::right},
                   {"each seed", Align::left},
                   {"best step", Align::right},
                   {"validation", Align::right},
                   {"time", Align::right},
                   {"images/s", Align::right}});
  for (const MethodResult& m : data.methods) {
    const Spread s = test_accuracy(m);
    std::string seeds;
    for (const Figures& r : m.seeds) seeds += (seeds.empty() ? "" : " ") + show_percent(r.test_accuracy);
    table.add({m.name, show_percent_spread(s.mean, s.std), seeds.empty() ? "–" : seeds,
               show_percent(best_test_accuracy(m).mean), show_percent(spread_over(m, &Figures::val_accuracy).mean),
               show_seconds(spread_over(m, &Figures::seconds).mean),
               show_count(spread_over(m, &Figures::images_per_second).mean)});
  }
  return table.str(columns);
}

std::string sources_table(const ReportData& data, std::size_t columns) {
  const std::string metric = data.metric + (data.metric_scale == 1 ? "" : " x" + show_number(data.metric_scale, 0));
  TextTable table({{"source", Align::left},
                   {"classes", Align::right},
                   {"own test %", Align::right},
                   {metric, Align::right},
                   {"interval", Align::right},
                   {"chance", Align::right},
                   {"mapped", Align::right},
                   {"weight", Align::right}});
  for (const SourceResult* s : nearest_first(data)) {
    const auto scaled = [&](double v) { return show_number(data.metric_scale * v, 1); };
    const bool interval = std::isfinite(s->similarity_low) && std::isfinite(s->similarity_high);
    table.add({s->name, s->classes > 0 ? fmt::format("{}", s->classes) : "–", show_percent(s->test_accuracy),
               scaled(s->similarity), interval ? scaled(s->similarity_low) + " to " + scaled(s->similarity_high) : "–",
               scaled(s->chance), show_number(s->mapped, 3), show_number(s->alpha, 3)});
  }
  std::string notes;
  for (const std::string& note : data.ranking_notes) notes += note + "\n";
  return table.str(columns) + wrapped(notes, columns);
}

std::string results_csv(const ReportData& data) {
  std::vector<std::string> head = {"method", "seed"};
  for (const FigureRow& row : figure_rows()) head.emplace_back(row.name);
  std::string out = csv_line(head);
  for (const MethodResult& m : data.methods)
    for (const Figures& f : m.seeds) {
      std::vector<std::string> cells = {csv_text(m.name), std::to_string(f.seed)};
      for (const FigureRow& row : figure_rows()) cells.push_back(csv_figure(row, f));
      out += csv_line(cells);
    }
  return out;
}

std::span<const char* const> kept_tables() {
  static constexpr const char* kTables[] = {"similarity.csv", "weights.csv", "oracle.csv",
                                            "errors.csv", "log.jsonl"};
  return kTables;
}

std::vector<std::string> write_tables(const ReportData& data, const std::filesystem::path& run_dir) {
  std::vector<std::string> written = {"results.csv"};
  write_file_atomic(run_dir / written.front(), std::string_view(results_csv(data)));
  if (data.tables.empty()) return written;
  for (const char* name : kept_tables())
    if (const auto table = data.tables.find(name); table != data.tables.end()) {
      write_file_atomic(run_dir / name, std::string_view(table->second));
      written.emplace_back(name);
    } else {
      remove_file(run_dir / name);
    }
  return written;
}

}  // namespace akin
