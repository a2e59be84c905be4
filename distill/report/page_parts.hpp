// Sections of the page (page.cpp), each empty where the run has nothing for it, and what they share.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "distill/report/html.hpp"
#include "distill/report/report.hpp"
#include "distill/report/svg.hpp"

namespace akin {

/// "How near the teachers' tasks are", with how alike the teachers are.
std::string teachers_section(const ReportData& data);
/// "Class by class": accuracy of the delivered model with counts, worst first.
std::string classes_section(const ReportData& data);
/// "What they mix up": what each student called the test images of each class. A table for up to 12 classes, a drawing
/// for more, and the commonest mistakes.
std::string confusions_section(const ReportData& data);
/// "Surest mistakes" of the delivered model.
std::string errors_section(const ReportData& data);
/// "What they see": test images on which student and baseline differ.
std::string images_section(const ReportData& data);
/// "How the model sees the test images": its features in two dimensions.
std::string map_section(const ReportData& data);
/// "How they learned".
std::string training_section(const ReportData& data);
/// Words of this page and what they mean.
std::vector<std::pair<std::string, std::string>> built_in_glossary(const ReportData& data);

/// Begin of a page up to its lead paragraphs (</header> is the caller's), and its end.
std::string page_head(const std::string& title, const std::string& headline, const std::vector<std::string>& lines);
std::string page_end();
/// Nice ends of an axis for these accuracies, a little wider than what it shows.
std::pair<double, double> accuracy_ends(const std::vector<double>& values);

/// Validation images from which on a curve of their accuracy is drawn: two standard errors are then 14 points or less.
inline constexpr std::int64_t kFewestForCurve = 50;

inline std::string e(std::string_view text) { return html_escape(text); }

inline std::string swatch(const ReportData& data, const std::string& method) {
  return fmt::format("<span class=\"swatch\" style=\"background:var(--c{})\"></span>",
                     method_style(data, method).colour);
}

/// The confusion matrix of a method; null where none is kept.
inline const Confusion* confusion_of(const ReportData& data, const std::string& method) {
  for (const Confusion& c : data.confusions)
    if (c.method == method && c.classes > 0) return &c;
  return nullptr;
}

}  // namespace akin
