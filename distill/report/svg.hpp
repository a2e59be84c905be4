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

/// One dot a seed and a line at the mean on the common axis [low, high] (fractions). Stretches to its cell.
std::string dots_svg(const ReportData& data, const MethodResult& method, double low, double high);

/// Bar with bootstrap interval and chance level on the common axis [low, high]. Stretches to its cell.
std::string similarity_svg(const SourceResult& source, double scale, double low, double high);
/// Bar of a weight in [0, 1].
std::string weight_svg(double alpha);

/// A K x K picture, one square a cell, shade = share of the row. For tables too large for numbers.
std::string confusion_svg(const Confusion& confusion, const std::vector<std::string>& classes);

}  // namespace akin
