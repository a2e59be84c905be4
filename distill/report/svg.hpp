// The drawings of the report: inline SVG without scripts; colours come from the page's CSS variables --c0 ... --c7.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "distill/report/report.hpp"

namespace akin {

/// Round numbers from at or below `low` to at or above `high`, about `count` of them, never fewer than two.
std::vector<double> nice_ticks(double low, double high, int count);

/// How a method is drawn everywhere: a colour of the palette and, for those who cannot tell colours, a dash pattern.
struct MethodStyle {
  int colour = 0;    ///< index of --c<i>
  std::string dash;  ///< stroke-dasharray, empty = solid
};
MethodStyle method_style(const ReportData& data, const std::string& method);

enum class CurveKind { validation_accuracy, train_loss };
/// One chart of all methods: thin lines for the seeds, a thick one for their mean. Empty where nothing was logged.
std::string curves_svg(const ReportData& data, CurveKind kind);

/// A level drawn through the strips of all methods: chance, a probe.
struct AxisMark {
  double at = 0;     ///< fraction
  const char* css;   ///< class of its line
  std::string name;  ///< for the legend
};
/// What goes without looking, and the linear probe (or ProbeCV), where the run has them.
std::vector<AxisMark> reference_marks(const ReportData& data);

/// One dot a seed, a line at the mean and its 95 % interval by the number of test images, on the common axis
/// [low, high] (fractions), with the marks. Stretches to its cell.
std::string dots_svg(const ReportData& data, const MethodResult& method, double low, double high,
                     const std::vector<AxisMark>& marks = {});

/// A dot with a 95 % interval on [0, 1]: `right` of n images.
std::string share_svg(std::int64_t right, std::int64_t n);

/// Bar with bootstrap interval and chance level on the common axis [low, high]. Stretches to its cell.
std::string similarity_svg(const SourceResult& source, double scale, double low, double high);
/// Bar of a weight in [0, 1].
std::string weight_svg(double alpha);

/// A K x K picture with the names of the classes, one square a cell, shade = share of the row. For tables too large for
/// numbers. It has a size of its own, whatever the page's: names of 9 px stay readable.
std::string confusion_svg(const Confusion& confusion, const std::vector<std::string>& classes);

/// The feature map: class by colour and, from the ninth class on, by shape; above map_classes the least accurate
/// classes only, the others grey. Rings: called wrong.
std::string map_svg(const ReportData& data);
/// The legend of it.
std::string map_legend(const ReportData& data);
inline constexpr std::size_t map_classes = 24;

}  // namespace akin
