#include "distill/similarity/metric_choice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace akin {

namespace {

/// On MNIST's digits LEEP put the digit reader first in 38 of 40 draws of 2 labels a class, PARC in 28; with 5 labels
/// in 40 and 36. No evidence for more labels favours LEEP.
constexpr std::int64_t kLabelsForParc = 5;

constexpr std::string_view kLeep = "leep", kParc = "parc";
constexpr std::string_view kChoices[] = {kLeep, kParc};

}  // namespace

std::span<const std::string_view> auto_metrics() { return kChoices; }

MetricChoice choose_metric(const std::string& name, std::int64_t measured, std::int64_t classes,
                           std::span<const std::string> headless) {
  if (name != kAutoMetric) return {name};
  AKIN_CHECK(measured > 0 && classes > 0, "metric auto: {} labelled images of {} classes; expected at least one",
             measured, classes);
  const std::string labels =
      fmt::format("{:.3g} labels a class", static_cast<double>(measured) / static_cast<double>(classes));
  if (measured >= kLabelsForParc * classes)
    return {std::string(kParc), fmt::format("auto chose PARC: {}, not fewer than {}", labels, kLabelsForParc)};
  if (headless.empty())
    return {std::string(kLeep),
            fmt::format("auto chose LEEP: {}, fewer than {}, and every source has a head", labels, kLabelsForParc)};
  const std::string others = headless.size() == 1 ? "" : fmt::format(" and {} more", headless.size() - 1);
  return {std::string(kParc),
          fmt::format("auto chose PARC: {}, fewer than {}, but LEEP needs the heads that {}{} lack{}", labels,
                      kLabelsForParc, headless.front(), others, others.empty() ? "s" : "")};
}

MetricChoice choose_metric(const std::string& name, const Task& task, const std::vector<Source>& sources,
                           std::int64_t probe_limit) {
  return choose_metric(name, std::min<std::int64_t>(std::ssize(task.split.labelled), probe_limit), task.classes(),
                       headless(sources));
}

std::vector<std::string> headless(const std::vector<Source>& sources) {
  std::vector<std::string> names;
  for (const Source& s : sources)
    if (s.classes() == 0) names.push_back(s.name);
  return names;
}

}  // namespace akin
