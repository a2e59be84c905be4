#include <algorithm>
#include <vector>

#include "distill/report/page_parts.hpp"

namespace akin {

namespace {

constexpr int kTableClasses = 12;
constexpr int kDrawAll = 40;  ///< of more classes two drawings are enough

std::string confusion_table(const ReportData& data, const Confusion& c) {
  const auto k = static_cast<std::size_t>(c.classes);
  std::size_t longest = 0;
  for (const std::string& name : data.classes) longest = std::max(longest, name.size());
  const std::int64_t most = c.counts.empty() ? 0 : *std::max_element(c.counts.begin(), c.counts.end());
  std::string out = std::string("<table class=\"cm ") + (longest > 2 ? "long" : "short") +
                    fmt::format("\" style=\"--k:{}\"><thead><tr><th class=\"corner\">true ↓ said →</th>", k);
  for (std::size_t p = 0; p < k; ++p) {
    const std::string name = class_name(data.classes, static_cast<int>(p));
    out += fmt::format("<th scope=\"col\" title=\"{}\"><span>{}</span></th>", html_escape(name),
                       html_escape(shorten_middle(name, 16)));
  }
  out += "</tr></thead><tbody>\n";
  for (std::size_t t = 0; t < k; ++t) {
    const std::string name = class_name(data.classes, static_cast<int>(t));
    out += "<tr><th scope=\"row\" title=\"" + html_escape(name) + "\">" + html_name(name) + "</th>";
    std::int64_t row = 0;
    for (std::size_t p = 0; p < k; ++p) row += c.counts[t * k + p];
    for (std::size_t p = 0; p < k; ++p) {
      const std::int64_t n = c.counts[t * k + p];
      const double share = row > 0 ? static_cast<double>(n) / static_cast<double>(row) : 0;
      if (n == 0) {
        out += "<td class=\"nil\">·</td>";
        continue;
      }
      // Counts of five digits do not fit a phone's cell.
      const std::string text = most < 10000 ? fmt::format("{}", n) : show_percent(share, 0) + "%";
      out += fmt::format("<td class=\"{}\" style=\"--s:{:.2f}\">{}</td>", t == p ? "r" : "w", share, text);
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table>\n";
}

std::string confusion_mix(const ReportData& data, const Confusion& c) {
  const auto k = static_cast<std::size_t>(c.classes);
  std::vector<std::size_t> cells;
  for (std::size_t i = 0; i < c.counts.size(); ++i) {
    if (i / k != i % k && c.counts[i] > 0) cells.push_back(i);
  }
  if (cells.empty()) return "<p class=\"soft\">No test image was called wrong.</p>\n";
  std::stable_sort(cells.begin(), cells.end(), [&](std::size_t x, std::size_t y) { return c.counts[x] > c.counts[y]; });
  cells.resize(std::min<std::size_t>(cells.size(), c.classes > kTableClasses ? 10 : 5));
  std::string out = "<p class=\"soft\">Mistaken most often:</p><ol class=\"mix\">";
  for (std::size_t i : cells) {
    out += "<li>" + html_escape(class_name(data.classes, static_cast<int>(i / k))) + " called " +
           html_escape(class_name(data.classes, static_cast<int>(i % k))) + ": " + show_integer(c.counts[i]) + "</li>";
  }
  return out + "</ol>\n";
}

}  // namespace

std::string confusions_section(const ReportData& data) {
  std::vector<const Confusion*> shown;
  for (const Confusion& c : data.confusions)
    if (c.classes > 0 && c.counts.size() == static_cast<std::size_t>(c.classes) * static_cast<std::size_t>(c.classes))
      shown.push_back(&c);
  if (shown.empty()) return {};
  // The model that is handed over first.
  std::stable_sort(shown.begin(), shown.end(), [&](const Confusion* a, const Confusion* b) {
    return a->method == data.delivered && b->method != data.delivered;
  });
  std::string figures, more;
  for (const Confusion* c : shown) {
    std::int64_t total = 0, right = 0;
    for (std::size_t i = 0; i < c->counts.size(); ++i) {
      total += c->counts[i];
      if (i % (static_cast<std::size_t>(c->classes) + 1) == 0) right += c->counts[i];
    }
    const std::string title = fmt::format("{}, seed {}: {} of {} right", html_escape(c->method), c->seed,
                                          show_integer(right), show_integer(total));
    if (c->classes <= kTableClasses) {
      figures +=
          "<figure><h3>" + title + "</h3>\n" + confusion_table(data, *c) + confusion_mix(data, *c) + "</figure>\n";
      continue;
    }
    // A large drawing moves in a box of its own; the second folds away, and more would make the page heavy.
    const bool drawn = c->classes <= kDrawAll || more.empty();
    const std::string drawing =
        !drawn ? std::string()
               : "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Confusion matrix of " +
                     html_escape(c->method) + "\">" + confusion_svg(*c, data.classes) + "</div>\n";
    if (c == shown.front())
      figures += "<figure><h3>" + title + "</h3>\n" + confusion_mix(data, *c) + drawing + "</figure>\n";
    else
      more += "<details><summary>" + title + "</summary>" + confusion_mix(data, *c) + drawing + "</details>\n";
  }
  const bool pair = shown.front()->classes <= kTableClasses;
  return "<section>\n<h2>What they mix up</h2>\n<p class=\"soft\">Rows: what the image is; columns: what it was "
         "called; "
         "blue on the diagonal: right. The stronger the colour, the larger the share of the row.</p>\n" +
         (pair ? "<div class=\"pair\">\n" + figures + "</div>\n" : figures + more) + "</section>\n";
}

}  // namespace akin
