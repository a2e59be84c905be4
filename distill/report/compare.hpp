// Several runs side by side, and the page of an experiment: from their own files, without training.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "distill/report/report.hpp"

namespace akin {

struct NamedRun {
  std::string name;  ///< of its folder
  ReportData data;
};

/// A setting that runs differ in; "" where a run has not got it.
struct SettingDifference {
  std::string name;
  std::vector<std::string> values;  ///< one a run
};
/// Of the configurations, and what was learnt from and tested on.
std::vector<SettingDifference> differing_settings(std::span<const NamedRun> runs);

/// What can be said of the best of them, and what stands against comparing them at all: a headline, then plain
/// sentences.
std::vector<std::string> comparison_lines(std::span<const NamedRun> runs);

/// Every method of every run with accuracy, its 95 % interval by the number of test images, and costs; settings that
/// differ; similarities. For a terminal.
std::string comparison_text(std::span<const NamedRun> runs);
/// The same for programs.
std::string comparison_json(std::span<const NamedRun> runs);
/// The same as a page like render_report's.
std::string render_comparison(std::span<const NamedRun> runs);

/// The page of an experiment from the text of its results.csv (distill/grid/tables.hpp) and, where there is one,
/// sources.csv: targets x variants by budget with mean and spread over seeds, a figure for each target, means over
/// targets, how near the sources are. Error, naming `where`, where a table is not akin's.
std::string render_experiment(const std::string& title, const std::string& results, const std::string& sources,
                              const std::string& where);

}  // namespace akin
