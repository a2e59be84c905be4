// The metric "auto": which one fits the labels and sources at hand. Everything that asks for a metric by the settings'
// name goes through choose_metric, so that all of a run means the same one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "distill/task/source.hpp"

namespace akin {

/// Stands for a metric that is chosen by labels and sources.
inline constexpr std::string_view kAutoMetric = "auto";

/// A metric by its name, and why that one.
struct MetricChoice {
  std::string name;      ///< as find_metric takes it
  std::string why = {};  ///< a line for people; empty where the name itself was asked for
};

/// What `auto` may stand for.
std::span<const std::string_view> auto_metrics();

/// Any name but "auto" stands for itself. "auto" is LEEP below 5 labelled images a class, where every source has a
/// head, else PARC: with few labels the features of related sources look alike and their answers do not. `measured`:
/// labelled images that similarity is measured on, of `classes` classes (their mean counts). `headless`: sources without
/// a head.
MetricChoice choose_metric(const std::string& name, std::int64_t measured, std::int64_t classes,
                           std::span<const std::string> headless);
/// The same for a task and its bank, measured on at most `probe_limit` images.
MetricChoice choose_metric(const std::string& name, const Task& task, const std::vector<Source>& sources,
                           std::int64_t probe_limit);

/// Names of the sources without a head.
std::vector<std::string> headless(const std::vector<Source>& sources);

}  // namespace akin
