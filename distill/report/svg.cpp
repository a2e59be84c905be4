#include "distill/report/svg.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "distill/report/html.hpp"
#include "distill/report/verdict.hpp"

namespace akin {

namespace {

// The chart is drawn for the width of a phone, so that its text keeps its size there.
constexpr double width = 400, height = 262;
constexpr double left = 42, right = 126, top = 30, bottom = 40;
constexpr double label_gap = 13;
constexpr std::size_t most_points = 120;

struct Line {
  std::string method;
  std::uint64_t seed = 0;
  std::vector<std::pair<double, double>> points;
};

/// Measured points of one curve; neighbours averaged where there are more than the eye can tell apart.
Line line_of(const Curve& curve, CurveKind kind) {
  Line line{curve.method, curve.seed, {}};
  for (const CurvePoint& p : curve.points) {
    const double y = kind == CurveKind::train_loss ? p.loss : 100 * p.validation;
    if (std::isfinite(y)) line.points.emplace_back(static_cast<double>(p.step), y);
  }
  std::stable_sort(line.points.begin(), line.points.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  const std::size_t n = line.points.size();
  if (n <= most_points) return line;
  std::vector<std::pair<double, double>> thin;
  for (std::size_t b = 0; b < most_points; ++b) {
    const std::size_t begin = b * n / most_points, end = (b + 1) * n / most_points;
    double y = 0;
    for (std::size_t i = begin; i < end; ++i) y += line.points[i].second;
    thin.emplace_back(line.points[end - 1].first, y / static_cast<double>(end - begin));
  }
  line.points = std::move(thin);
  return line;
}

/// Mean over the seeds at the steps all of them have.
std::vector<std::pair<double, double>> mean_of(const std::vector<const Line*>& lines) {
  std::map<double, std::pair<int, double>> at;
  for (const Line* line : lines) {
    for (const auto& [x, y] : line->points) {
      auto& [n, sum] = at[x];
      ++n;
      sum += y;
    }
  }
  std::vector<std::pair<double, double>> mean;
  for (const auto& [x, value] : at) {
    if (value.first == static_cast<int>(lines.size())) mean.emplace_back(x, value.second / value.first);
  }
  return mean;
}

struct Axes {
  double x0, x1, y0, y1;
  double x(double v) const { return left + (v - x0) / (x1 - x0) * (width - left - right); }
  double y(double v) const { return height - bottom - (v - y0) / (y1 - y0) * (height - top - bottom); }
};

std::string polyline(const std::vector<std::pair<double, double>>& points, const Axes& axes, const MethodStyle& style,
                     bool thick, const std::string& title) {
  std::string out = fmt::format("<g class=\"{}\" style=\"stroke:var(--c{})\"><title>{}</title>",
                                thick ? "mean" : "seed", style.colour, html_escape(title));
  if (points.size() == 1) {
    out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" style=\"fill:var(--c{})\"/>",
                       axes.x(points[0].first), axes.y(points[0].second), style.colour);
  } else {
    out += "<polyline points=\"";
    for (const auto& [x, y] : points) out += fmt::format("{:.1f},{:.1f} ", axes.x(x), axes.y(y));
    if (!points.empty()) out.pop_back();
    out += "\"" + (thick && !style.dash.empty() ? " stroke-dasharray=\"" + style.dash + "\"" : std::string()) + "/>";
  }
  return out + "</g>";
}

/// Moves labels apart so that none covers another, and keeps them inside the chart.
void spread_labels(std::vector<double>& y, double low, double high) {
  const std::size_t n = y.size();
  if (n == 0) return;
  const double gap = std::min(label_gap, n > 1 ? (high - low) / static_cast<double>(n - 1) : label_gap);
  y[0] = std::max(y[0], low);
  for (std::size_t i = 1; i < n; ++i) y[i] = std::max(y[i], y[i - 1] + gap);
  y[n - 1] = std::min(y[n - 1], high);
  for (std::size_t i = n - 1; i-- > 0;) y[i] = std::min(y[i], y[i + 1] - gap);
}

std::string tick_text(double v, double step) {
  const int decimals = step >= 1 ? 0 : static_cast<int>(std::ceil(-std::log10(step) - 1e-9));
  return std::abs(v) >= 10000 ? show_count(v) : show_number(v, decimals);
}

std::string grid(const Axes& axes, const std::vector<double>& xt, const std::vector<double>& yt) {
  std::string out = "<g class=\"axis\">";
  for (double v : yt) {
    out += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>", left, axes.y(v),
                       width - right, axes.y(v));
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", left - 6, axes.y(v) + 4,
                       tick_text(v, yt[1] - yt[0]));
  }
  for (double v : xt) {
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>", axes.x(v),
                       height - bottom + 16, tick_text(v, xt[1] - xt[0]));
  }
  return out + fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">training step</text></g>",
                           (left + width - right) / 2, height - 6);
}

/// A horizontal line with ends, between two places in per cent.
std::string whisker(double a, double b) {
  std::string out = fmt::format("<line class=\"whisker\" x1=\"{:.2f}%\" y1=\"12\" x2=\"{:.2f}%\" y2=\"12\"/>", a, b);
  for (double x : {a, b})
    out += fmt::format("<line class=\"whisker\" x1=\"{:.2f}%\" y1=\"8\" x2=\"{:.2f}%\" y2=\"16\"/>", x, x);
  return out;
}

double percent_at(double v, double low, double high) { return std::clamp((v - low) / (high - low), 0.0, 1.0) * 100; }

}  // namespace

std::vector<double> nice_ticks(double low, double high, int count) {
  if (!std::isfinite(low) || !std::isfinite(high)) return {0, 1};
  if (!(high > low)) {
    const double pad = std::max(std::abs(low) * 0.1, 1e-6);
    low -= pad;
    high += pad;
  }
  const double raw = (high - low) / std::max(1, count);
  const double decade = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * decade;
  for (double m : {1.0, 2.0, 5.0}) {
    if (raw <= m * decade * (1 + 1e-9)) {
      step = m * decade;
      break;
    }
  }
  std::vector<double> ticks;
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  for (double k = first; k <= last; ++k) ticks.push_back(k * step);
  return ticks;
}

MethodStyle method_style(const ReportData& data, const std::string& method) {
  static const std::vector<std::string> dashes = {"", "7 3", "2 3", "9 3 2 3"};
  int alone = 0, taught = 0;
  const Contest contest = contest_of(data);
  for (const MethodResult& m : data.methods) {
    const bool baseline = m.role != MethodRole::taught;
    if (m.name == method) {
      // Grey and purple for methods without teachers, vermilion for the student, then the rest of the palette.
      if (baseline) return {alone % 2, dashes[static_cast<std::size_t>(alone / 2 % 4)]};
      if (contest.student == &m) return {2, ""};
      return {3 + taught % 5, dashes[static_cast<std::size_t>((taught + 1) % 4)]};
    }
    if (baseline) {
      ++alone;
    } else if (contest.student != &m) {
      ++taught;
    }
  }
  return {7, "1 3"};
}

std::string curves_svg(const ReportData& data, CurveKind kind) {
  const bool loss = kind == CurveKind::train_loss;
  std::vector<Line> lines;
  double x1 = 0, y0 = loss ? 0 : 100, y1 = 0;
  for (const Curve& c : data.curves) {
    Line line = line_of(c, kind);
    if (line.points.empty()) continue;
    for (const auto& [x, y] : line.points) {
      x1 = std::max(x1, x);
      y0 = std::min(y0, y);
      y1 = std::max(y1, y);
    }
    lines.push_back(std::move(line));
  }
  if (lines.empty()) return {};
  if (!loss) y1 = std::min(100.0, std::max(y1, y0 + 1));
  const std::vector<double> xt = nice_ticks(0, std::max(1.0, x1), 4), yt = nice_ticks(y0, y1, 5);
  const Axes axes{0, xt.back(), yt.front(), yt.back()};
  const std::string name = loss ? "Training loss" : "Validation accuracy, %";

  std::vector<std::string> order;
  for (const MethodResult& m : data.methods) order.push_back(m.name);
  for (const Line& l : lines) {
    if (std::find(order.begin(), order.end(), l.method) == order.end()) order.push_back(l.method);
  }
  struct End {
    std::string method;
    double x, y;
  };
  std::vector<End> ends;
  std::string thin, thick, description;
  for (const std::string& method : order) {
    std::vector<const Line*> seeds;
    for (const Line& l : lines) {
      if (l.method == method) seeds.push_back(&l);
    }
    if (seeds.empty()) continue;
    const MethodStyle style = method_style(data, method);
    std::vector<std::pair<double, double>> mean = mean_of(seeds);
    if (mean.empty()) mean = seeds.front()->points;  // no common step: the first seed stands for the method
    if (seeds.size() > 1) {
      for (const Line* l : seeds) {
        thin += polyline(l->points, axes, style, false,
                         fmt::format("{}, seed {}: {} at the end", method, l->seed,
                                     show_number(l->points.back().second, loss ? 3 : 1)));
      }
    }
    const std::string last = show_number(mean.back().second, loss ? 3 : 1);
    thick += polyline(mean, axes, style, true, fmt::format("{}: {} at the end", method, last));
    description += fmt::format("{} ends at {}. ", method, last);
    ends.push_back({method, axes.x(mean.back().first), axes.y(mean.back().second)});
  }

  std::stable_sort(ends.begin(), ends.end(), [](const End& a, const End& b) { return a.y < b.y; });
  std::vector<double> label_y;
  for (const End& e : ends) label_y.push_back(e.y);
  spread_labels(label_y, top, height - bottom);
  std::string labels = "<g class=\"labels\">";
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const MethodStyle style = method_style(data, ends[i].method);
    labels += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" style=\"stroke:var(--c{})\"/>",
                          ends[i].x + 1, ends[i].y, width - right + 9, label_y[i], style.colour);
    labels += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", width - right + 12, label_y[i] + 4,
                          html_escape(shorten_middle(ends[i].method, 16)));
  }
  labels += "</g>";

  const std::string id = loss ? "loss" : "accuracy";
  return fmt::format(
             "<svg class=\"chart\" viewBox=\"0 0 {:.0f} {:.0f}\" role=\"img\" aria-labelledby=\"{}-t {}-d\">"
             "<title id=\"{}-t\">{} over training</title><desc id=\"{}-d\">{}</desc>"
             "<text class=\"name\" x=\"0\" y=\"13\">{}</text>",
             width, height, id, id, id, name, id, html_escape(description), name) +
         grid(axes, xt, yt) + thin + thick + labels + "</svg>";
}

std::vector<AxisMark> reference_marks(const ReportData& data) {
  std::vector<AxisMark> marks;
  if (const double chance = chance_level(data); chance > 0) marks.push_back({chance, "chance", chance_words(data)});
  for (const char* probe : {"LinearProbe", "ProbeCV"})  // one of them
    for (const MethodResult& m : data.methods)
      if (const Spread s = test_accuracy(m); m.name == probe && s.n > 0) {
        marks.push_back({s.mean, "probe", m.name + " " + show_percent(s.mean) + " %"});
        return marks;
      }
  return marks;
}

std::string dots_svg(const ReportData& data, const MethodResult& method, double low, double high,
                     const std::vector<AxisMark>& marks) {
  const Spread s = test_accuracy(method);
  const int colour = method_style(data, method.name).colour;
  std::string title = method.name + ":";
  std::string dots, lines;
  for (const AxisMark& m : marks) {
    const double at = percent_at(m.at, low, high);
    lines += fmt::format("<line class=\"{}\" x1=\"{:.2f}%\" y1=\"0\" x2=\"{:.2f}%\" y2=\"24\"/>", m.css, at, at);
  }
  for (const Figures& r : method.seeds) {
    title += fmt::format(" seed {} {} %;", r.seed, show_percent(r.test_accuracy));
    if (!std::isfinite(r.test_accuracy)) continue;
    dots += fmt::format("<circle cx=\"{:.2f}%\" cy=\"12\" r=\"4.5\" style=\"fill:var(--c{})\"/>",
                        percent_at(r.test_accuracy, low, high), colour);
  }
  title.pop_back();
  if (const auto [from, to] = wilson_interval(s.mean, data.test_images); std::isfinite(from)) {
    lines += whisker(percent_at(from, low, high), percent_at(to, low, high));
    title += "; 95 % interval " + show_percent(from) + " to " + show_percent(to);
  }
  std::string out = fmt::format(
      "<svg class=\"strip\" width=\"100%\" height=\"24\" role=\"img\"><title>{}</title>"
      "<line class=\"track\" x1=\"0\" y1=\"12\" x2=\"100%\" y2=\"12\"/>",
      html_escape(title));
  out += lines;
  if (s.n > 0) {
    const double at = percent_at(s.mean, low, high);
    out += fmt::format("<line class=\"tick\" x1=\"{:.2f}%\" y1=\"3\" x2=\"{:.2f}%\" y2=\"21\"/>", at, at);
  }
  return out + dots + "</svg>";
}

std::string share_svg(std::int64_t right, std::int64_t n) {
  const double share = static_cast<double>(right) / static_cast<double>(std::max<std::int64_t>(1, n));
  const auto [from, to] = wilson_interval(share, n);
  std::string out = fmt::format(
      "<svg class=\"strip\" width=\"100%\" height=\"18\" role=\"img\"><title>{} of {} right, 95 % interval {} to {} "
      "%</title>",
      right, n, show_percent(from, 0), show_percent(to, 0));
  if (n > 0)
    out += fmt::format(
        "<line class=\"whisker\" x1=\"{:.1f}%\" y1=\"9\" x2=\"{:.1f}%\" y2=\"9\"/><circle class=\"share\" "
        "cx=\"{:.1f}%\" cy=\"9\" r=\"4\"/>",
        100 * from, 100 * to, 100 * share);
  return out + "</svg>";
}

std::string similarity_svg(const SourceResult& source, double scale, double low, double high) {
  const auto at = [&](double v) { return percent_at(scale * v, low, high); };
  const bool interval = std::isfinite(source.similarity_low) && std::isfinite(source.similarity_high);
  std::string title = source.name + ": " + show_number(scale * source.similarity, 1);
  if (interval) {
    title += ", interval " + show_number(scale * source.similarity_low, 1) + " to " +
             show_number(scale * source.similarity_high, 1);
  }
  if (std::isfinite(source.chance)) title += ", chance " + show_number(scale * source.chance, 1);
  std::string out = fmt::format("<svg class=\"strip\" width=\"100%\" height=\"24\" role=\"img\"><title>{}</title>",
                                html_escape(title));
  if (std::isfinite(source.similarity)) {
    const double zero = percent_at(0, low, high), value = at(source.similarity);
    out += fmt::format("<rect class=\"bar\" x=\"{:.2f}%\" y=\"5\" width=\"{:.2f}%\" height=\"14\"/>",
                       std::min(zero, value), std::max(0.4, std::abs(value - zero)));
    out += fmt::format("<line class=\"zero\" x1=\"{:.2f}%\" y1=\"1\" x2=\"{:.2f}%\" y2=\"23\"/>", zero, zero);
  }
  if (interval) {
    out += whisker(at(source.similarity_low), at(source.similarity_high));
  }
  if (std::isfinite(source.chance)) {
    out += fmt::format("<line class=\"chance\" x1=\"{:.2f}%\" y1=\"1\" x2=\"{:.2f}%\" y2=\"23\"/>", at(source.chance),
                       at(source.chance));
  }
  return out + "</svg>";
}

std::string weight_svg(double alpha) {
  if (!std::isfinite(alpha)) return {};
  return fmt::format(
      "<svg class=\"strip\" width=\"100%\" height=\"6\" aria-hidden=\"true\"><rect class=\"track\" x=\"0\" y=\"0\" "
      "width=\"100%\" height=\"6\"/><rect class=\"weight\" x=\"0\" y=\"0\" width=\"{:.2f}%\" height=\"6\"/></svg>",
      100 * std::clamp(alpha, 0.0, 1.0));
}

}  // namespace akin
