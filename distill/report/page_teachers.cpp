#include <algorithm>
#include <cmath>

#include "distill/report/page_parts.hpp"

namespace akin {

namespace {

/// How alike the teachers are, in the order of the table above.
std::string likeness(const ReportData& data, const std::vector<const SourceResult*>& order) {
  const std::size_t n = data.sources.size();
  if (n < 2 || data.likeness.cka.size() != n * n) return {};
  std::string out =
      "<h3>How alike the teachers are</h3>\n<p class=\"soft\">Debiased linear CKA between the features of each two "
      "on " +
      show_integer(data.likeness.images) +
      " of the target’s images: 1 for the same up to turning and scaling, 0 for unrelated. Teachers that are alike may "
      "have little to add to each other.</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"How "
      "alike the "
      "teachers are\"><table class=\"cm like\"><thead><tr><th class=\"corner\"><span "
      "class=\"unseen\">Teacher</span></th>";
  for (std::size_t i = 0; i < n; ++i)
    out += fmt::format("<th scope=\"col\" title=\"{}\">{}</th>", e(order[i]->name), i + 1);
  out += "</tr></thead><tbody>\n";
  for (std::size_t i = 0; i < n; ++i) {
    out += fmt::format("<tr><th scope=\"row\">{} {}</th>", i + 1, html_name(order[i]->name));
    for (std::size_t k = 0; k < n; ++k) {
      const auto row = static_cast<std::size_t>(order[i] - data.sources.data()),
                 column = static_cast<std::size_t>(order[k] - data.sources.data());
      const double value = data.likeness.cka[row * n + column];
      if (i == k || !std::isfinite(value))
        out += std::string("<td class=\"nil\">") + (i == k ? "·" : "–") + "</td>";
      else
        out += fmt::format("<td class=\"r\" style=\"--s:{:.2f}\">{}</td>", std::clamp(value, 0.0, 1.0),
                           show_number(value, 2));
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

}  // namespace

std::string teachers_section(const ReportData& data) {
  if (data.sources.empty()) return {};
  std::vector<const SourceResult*> order;
  double low = 0, high = 0;
  bool chance = false, interval = false;
  for (const SourceResult& s : data.sources) {
    order.push_back(&s);
    for (double v : {s.similarity, s.similarity_low, s.similarity_high, s.chance}) {
      if (!std::isfinite(v)) continue;
      low = std::min(low, data.metric_scale * v);
      high = std::max(high, data.metric_scale * v);
    }
    chance |= std::isfinite(s.chance);
    interval |= std::isfinite(s.similarity_low) && std::isfinite(s.similarity_high);
  }
  std::stable_sort(order.begin(), order.end(), [](const SourceResult* a, const SourceResult* b) {
    if (std::isfinite(a->similarity) != std::isfinite(b->similarity)) return std::isfinite(a->similarity);
    return a->similarity > b->similarity;
  });
  const std::vector<double> ticks = nice_ticks(low, high, 4);
  const double step = ticks[1] - ticks[0];
  const int decimals = step >= 1 ? 0 : static_cast<int>(std::ceil(-std::log10(step) - 1e-9));
  std::string out =
      "<section>\n<h2>How near the teachers’ tasks are</h2>\n<p>Each teacher was trained on another task. " +
      e(data.metric) +
      " measures, on a few labelled target images, how well its features or answers already tell the target’s "
      "classes apart; the weights turn that into how much the student listens to it.</p>\n<p "
      "class=\"soft\">Bar: similarity, nearest first.";
  if (interval) out += " Thin line with ends: bootstrap interval.";
  if (chance) out += " Dashed: what shuffled labels give, so anything below it is chance.";
  out +=
      "</p>\n<table class=\"data\"><thead><tr><th scope=\"col\">Teacher</th><th scope=\"col\" class=\"plot\"><span "
      "class=\"ends\"><span>" +
      show_number(ticks.front(), decimals) + "</span><span>similarity</span><span>" +
      show_number(ticks.back(), decimals) + "</span></span></th><th scope=\"col\" class=\"num\">" + e(data.metric) +
      (data.metric_scale == 1 ? "" : " × " + show_number(data.metric_scale, 0)) +
      "</th><th scope=\"col\" class=\"num\">Weight</th></tr></thead>\n<tbody>\n";
  for (const SourceResult* s : order) {
    std::string about = s->classes > 0 ? fmt::format("{} classes", s->classes) : std::string();
    if (std::isfinite(s->test_accuracy)) {
      about += (about.empty() ? "" : ", ") + show_percent(s->test_accuracy) + " % on its own task";
    }
    out += "<tr><th scope=\"row\">" + html_name(s->name) + "<span class=\"under\">" + about +
           "</span></th><td class=\"plot\">" + similarity_svg(*s, data.metric_scale, ticks.front(), ticks.back()) +
           "</td><td class=\"num\">" + show_number(data.metric_scale * s->similarity, 1);
    if (std::isfinite(s->similarity_low) && std::isfinite(s->similarity_high)) {
      out += "<span class=\"under\">" + show_number(data.metric_scale * s->similarity_low, 1) + " to " +
             show_number(data.metric_scale * s->similarity_high, 1) + "</span>";
    }
    out += "</td><td class=\"num\">" + show_number(s->alpha, 3) + weight_svg(s->alpha);
    if (std::isfinite(s->mapped)) out += "<span class=\"under\">from " + show_number(s->mapped, 3) + "</span>";
    out += "</td></tr>\n";
  }
  out += "</tbody></table>\n";
  for (const std::string& note : data.ranking_notes) out += "<p class=\"soft\">" + e(note) + "</p>\n";
  return out + likeness(data, order) + "</section>\n";
}

}  // namespace akin
