// How the students learned, and where their features put the test images.
#include <algorithm>
#include <cmath>

#include "distill/report/page_parts.hpp"

namespace akin {

std::string map_section(const ReportData& data) {
  const FeatureMap& m = data.map;
  if (m.x.size() < 3) return {};
  return "<section>\n<h2>How the model sees the test images</h2>\n<p class=\"soft\">" + show_integer(std::ssize(m.x)) +
         " test images, where the features of " + e(m.method) +
         " put them: across and upwards their two strongest principal components, " + show_percent(m.share_x, 0) +
         " % and " + show_percent(m.share_y, 0) +
         " % of the variance. Classes that lie in one another here may still be apart in the other "
         "directions.</p>\n<figure>" +
         map_svg(data) + map_legend(data) + "</figure>\n</section>\n";
}

std::string training_section(const ReportData& data) {
  const std::int64_t fewest = std::max(kFewestForCurve, static_cast<std::int64_t>(data.classes.size()));
  const bool carried =
      data.validation_images < 0 || data.validation_images >= fewest;  // -1: an earlier akin did not say
  const std::string accuracy = carried ? curves_svg(data, CurveKind::validation_accuracy) : "";
  const std::string loss = curves_svg(data, CurveKind::train_loss);
  if (accuracy.empty() && loss.empty()) return {};
  std::string out = "<section>\n<h2>How they learned</h2>\n<div class=\"charts\">\n";
  for (const std::string& chart : {accuracy, loss}) {
    if (!chart.empty()) out += "<figure>" + chart + "</figure>\n";
  }
  out += "</div>\n<ul class=\"legend\">";
  for (const MethodResult& m : data.methods) {
    const bool drawn = std::any_of(data.curves.begin(), data.curves.end(),
                                   [&](const Curve& c) { return c.method == m.name && !c.points.empty(); });
    if (!drawn) continue;
    const MethodStyle style = method_style(data, m.name);
    out += fmt::format(
        "<li><svg width=\"30\" height=\"10\" aria-hidden=\"true\"><line x1=\"0\" y1=\"5\" x2=\"30\" y2=\"5\" "
        "style=\"stroke:var(--c{});stroke-width:2.2\"{}/></svg>{}</li>",
        style.colour, style.dash.empty() ? "" : " stroke-dasharray=\"" + style.dash + "\"", e(m.name));
  }
  out += "</ul>\n<p class=\"soft\">Thick: mean over seeds; thin: single seeds.";
  if (!loss.empty()) {
    out +=
        " The losses of two methods are different quantities (one adds its teachers’ answers): compare their "
        "shapes, not their heights.";
  }
  if (!carried && data.validation_images > 0)
    out += fmt::format(
        " Validation accuracy is not drawn: {} validation images are fewer than the {} that carry a curve (at least "
        "50, and "
        "one a class); chance moves accuracy on them by up to {:.0f} points.",
        data.validation_images, fewest, std::min(50.0, 100 / std::sqrt(static_cast<double>(data.validation_images))));
  return out + "</p>\n</section>\n";
}

}  // namespace akin
