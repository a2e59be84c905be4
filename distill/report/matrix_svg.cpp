// Drawings of many points: the confusion matrix and the map of features.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "distill/report/html.hpp"
#include "distill/report/svg.hpp"

namespace akin {

namespace {

constexpr int kColours = 8;
constexpr const char* kGrey = "var(--c0)";

/// How a class is drawn on the map.
struct Mark {
  std::string colour;
  std::size_t shape = 0;
};

/// Classes of the map with a mark of their own, by number; others are grey.
std::map<int, Mark> marks_of(const ReportData& data) {
  const FeatureMap& m = data.map;
  struct Count {
    int right = 0, all = 0;
  };
  std::map<int, Count> counts;
  for (std::size_t i = 0; i < m.labels.size(); ++i) {
    Count& c = counts[m.labels[i]];
    ++c.all;
    c.right += m.labels[i] == m.predictions[i];
  }
  std::vector<int> shown;
  for (const auto& [label, count] : counts) shown.push_back(label);
  if (shown.size() > map_classes) {
    std::stable_sort(shown.begin(), shown.end(),
                     [&](int a, int b) { return counts[a].right * counts[b].all < counts[b].right * counts[a].all; });
    shown.resize(kColours - 1);
    std::sort(shown.begin(), shown.end());
  }
  // Grey stands for all others, where there are others.
  const int first = shown.size() < counts.size() ? 1 : 0, colours = kColours - first;
  std::map<int, Mark> marks;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const auto k = static_cast<int>(i);
    marks[shown[i]] = {fmt::format("var(--c{})", first + k % colours), static_cast<std::size_t>(k / colours)};
  }
  return marks;
}

/// A path that draws a mark at x, y.
std::string mark_at(double x, double y, std::size_t shape) {
  switch (shape % 3) {
    case 0:  // a dot: a line of no length with round ends
      return fmt::format("M{:.1f} {:.1f}h0", x, y);
    case 1:
      return fmt::format("M{:.1f} {:.1f}l5 5m0-5l-5 5", x - 2.5, y - 2.5);
    default:
      return fmt::format("M{:.1f} {:.1f}v6m-3-3h6", x, y - 3);
  }
}

std::string mark_style(const Mark& mark) {
  return fmt::format("class=\"pt{}\" style=\"stroke:{}\"", mark.shape % 3, mark.colour);
}

}  // namespace

std::string confusion_svg(const Confusion& confusion, const std::vector<std::string>& classes) {
  const auto k = static_cast<std::size_t>(confusion.classes);
  const double cell = std::clamp(620 / static_cast<double>(k), 10.0, 22.0), font = std::min(11.5, cell - 0.5);
  std::size_t longest = 1;
  std::vector<std::string> names;
  for (std::size_t c = 0; c < k; ++c) {
    names.push_back(shorten_middle(class_name(classes, static_cast<int>(c)), 18));
    longest = std::max(longest, characters(names.back()));
  }
  const double margin = 8 + 0.62 * font * static_cast<double>(longest), size = cell * static_cast<double>(k);
  std::string out = fmt::format(
      "<svg class=\"heat\" width=\"{0:.0f}\" height=\"{0:.0f}\" viewBox=\"0 0 {0:.0f} {0:.0f}\" role=\"img\">"
      "<title>Confusion matrix of {1}</title>"
      "<desc>{2} classes, rows true, columns predicted; the stronger the colour, the larger the share of the "
      "row.</desc>"
      "<rect class=\"frame\" x=\"{3:.1f}\" y=\"{3:.1f}\" width=\"{4:.1f}\" height=\"{4:.1f}\"/>"
      "<g style=\"font-size:{5:.1f}px\">",
      size + margin + 2, html_escape(confusion.method), k, margin, size, font);
  for (std::size_t i = 0; i < k; ++i) {
    const double at = margin + (static_cast<double>(i) + 0.5) * cell + 0.36 * font;
    const std::string name = html_escape(names[i]);
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", margin - 4, at, name);
    out += fmt::format("<text transform=\"translate({:.1f} {:.1f}) rotate(-90)\">{}</text>", at, margin - 4, name);
  }
  out += "</g>";
  for (std::size_t t = 0; t < k; ++t) {
    std::int64_t row = 0;
    for (std::size_t p = 0; p < k; ++p) row += confusion.counts[t * k + p];
    for (std::size_t p = 0; p < k; ++p) {
      const std::int64_t n = confusion.counts[t * k + p];
      if (n == 0) continue;  // a blank cell needs no element: pages of 200 classes stay small
      out += fmt::format(
          "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
          "fill-opacity=\"{:.2f}\"><title>{} called {}: {}</title></rect>",
          t == p ? "right" : "wrong", margin + static_cast<double>(p) * cell, margin + static_cast<double>(t) * cell,
          cell, cell, 0.08 + 0.92 * static_cast<double>(n) / static_cast<double>(std::max<std::int64_t>(1, row)),
          html_escape(names[t]), html_escape(names[p]), n);
    }
  }
  return out + "</svg>";
}

std::string map_svg(const ReportData& data) {
  const FeatureMap& m = data.map;
  if (m.x.empty()) return {};
  constexpr double width = 400, height = 300, pad = 8;
  const auto [x0, x1] = std::minmax_element(m.x.begin(), m.x.end());
  const auto [y0, y1] = std::minmax_element(m.y.begin(), m.y.end());
  // One scale for both, so that distances on the map are distances of features.
  const double wide = std::max(*x1 - *x0, 1e-12), high = std::max(*y1 - *y0, 1e-12);
  const double scale = std::min((width - 2 * pad) / wide, (height - 2 * pad) / high);
  const std::map<int, Mark> marks = marks_of(data);
  std::map<int, std::string> paths;  // -1: classes without a mark
  std::string wrong;
  for (std::size_t i = 0; i < m.x.size(); ++i) {
    const double x = width / 2 + (m.x[i] - (*x0 + *x1) / 2) * scale,
                 y = height / 2 - (m.y[i] - (*y0 + *y1) / 2) * scale;
    const auto mark = marks.find(m.labels[i]);
    paths[mark == marks.end() ? -1 : m.labels[i]] += mark_at(x, y, mark == marks.end() ? 0 : mark->second.shape);
    if (m.labels[i] != m.predictions[i]) wrong += fmt::format("M{:.1f} {:.1f}a5 5 0 1 0 10 0a5 5 0 1 0-10 0", x - 5, y);
  }
  std::string out = fmt::format(
      "<svg class=\"chart map\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\"><title>Test images by the features of "
      "{}</title><rect class=\"frame\" x=\"0\" y=\"0\" width=\"{:.0f}\" height=\"{:.0f}\"/>",
      width, height, html_escape(m.method), width, height);
  for (const auto& [label, path] : paths)
    out += fmt::format("<path {} d=\"{}\"><title>{}</title></path>",
                       mark_style(label < 0 ? Mark{kGrey, 0} : marks.at(label)), path,
                       html_escape(label < 0 ? "other classes" : class_name(data.classes, label)));
  if (!wrong.empty()) out += "<path class=\"ring\" d=\"" + wrong + "\"><title>called wrong</title></path>";
  return out + "</svg>";
}

std::string map_legend(const ReportData& data) {
  const std::map<int, Mark> marks = marks_of(data);
  std::string out = "<ul class=\"legend\">";
  const auto entry = [&](const std::string& drawing, const std::string& name) {
    out +=
        "<li><svg width=\"14\" height=\"14\" aria-hidden=\"true\">" + drawing + "</svg>" + html_escape(name) + "</li>";
  };
  const auto drawn = [](const Mark& mark) {
    return fmt::format("<path {} d=\"{}\"/>", mark_style(mark), mark_at(7, 7, mark.shape));
  };
  for (const auto& [label, mark] : marks) entry(drawn(mark), class_name(data.classes, label));
  const bool others =
      std::any_of(data.map.labels.begin(), data.map.labels.end(), [&](int label) { return !marks.contains(label); });
  if (others) entry(drawn({kGrey, 0}), "other classes");
  entry("<path class=\"ring\" d=\"M2 7a5 5 0 1 0 10 0a5 5 0 1 0-10 0\"/>", "called wrong");
  return out + "</ul>";
}

}  // namespace akin
