// Accuracy class by class.
#include <algorithm>

#include "distill/report/page_parts.hpp"

namespace akin {

namespace {

constexpr std::size_t kOpen = 12;   ///< rows in sight; where there are many more, the others fold away
constexpr std::size_t kMost = 120;  ///< rows at all: the worst ones

struct ClassRow {
  int label = 0;
  std::int64_t right = 0, all = 0;
  int mistaken_for = -1;  ///< most often; -1: for none
  std::int64_t mistakes = 0;

  double share() const { return all > 0 ? static_cast<double>(right) / static_cast<double>(all) : 2; }  // none: last
};

std::vector<ClassRow> rows_of(const Confusion& c) {
  const auto k = static_cast<std::size_t>(c.classes);
  std::vector<ClassRow> rows(k);
  for (std::size_t t = 0; t < k; ++t) {
    ClassRow& row = rows[t];
    row.label = static_cast<int>(t);
    for (std::size_t p = 0; p < k; ++p) {
      const std::int64_t n = c.counts[t * k + p];
      row.all += n;
      if (p == t) {
        row.right = n;
      } else if (n > row.mistakes) {
        row.mistakes = n;
        row.mistaken_for = static_cast<int>(p);
      }
    }
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const ClassRow& a, const ClassRow& b) { return a.share() < b.share(); });
  return rows;
}

std::string table_of(const ReportData& data, std::span<const ClassRow> rows) {
  std::string out =
      "<table class=\"data\"><thead><tr><th scope=\"col\">Class</th><th scope=\"col\" class=\"plot\"><span "
      "class=\"ends\"><span>0</span><span>right, %</span><span>100</span></span></th><th scope=\"col\" "
      "class=\"num\">Right, %</th><th scope=\"col\" class=\"num\">Images</th></tr></thead>\n<tbody>\n";
  for (const ClassRow& row : rows) {
    out += "<tr><th scope=\"row\">" + html_name(class_name(data.classes, row.label));
    if (row.mistakes > 0)
      out += "<span class=\"under\">" + show_integer(row.mistakes) + " called " +
             e(class_name(data.classes, row.mistaken_for)) + "</span>";
    out += "</th><td class=\"plot\">" + share_svg(row.right, row.all) + "</td><td class=\"num\">" +
           (row.all > 0 ? show_percent(row.share(), 0) : "–") + "</td><td class=\"num\">" + show_integer(row.right) +
           " of " + show_integer(row.all) + "</td></tr>\n";
  }
  return out + "</tbody></table>\n";
}

}  // namespace

std::string classes_section(const ReportData& data) {
  const Contest contest = contest_of(data);
  const Confusion* c = confusion_of(data, data.delivered);
  if (c == nullptr && contest.student != nullptr) c = confusion_of(data, contest.student->name);
  if (c == nullptr) return {};
  const std::vector<ClassRow> rows = rows_of(*c);
  const std::span<const ClassRow> all(rows);
  std::string out = "<section>\n<h2>Class by class</h2>\n<p class=\"soft\">What " + e(c->method) +
                    fmt::format(", seed {},", c->seed) +
                    " gets right of the test images of each class, the worst first. Line: 95 % interval by the number "
                    "of images; where "
                    "two lines overlap much, these images cannot tell which class is the harder one.</p>\n";
  if (rows.size() <= 2 * kOpen) {
    out += table_of(data, all);
  } else {
    const std::size_t shown = std::min(rows.size(), kMost);
    out += table_of(data, all.first(kOpen)) + "<details><summary>" +
           (shown < rows.size() ? fmt::format("The next {} of {} classes", shown - kOpen, rows.size())
                                : fmt::format("The other {} classes", rows.size() - kOpen)) +
           "</summary>" + table_of(data, all.subspan(kOpen, shown - kOpen)) + "</details>\n";
    if (shown < rows.size()) out += "<p class=\"soft\">report.json has all of them.</p>\n";
  }
  return out + "</section>\n";
}

}  // namespace akin
