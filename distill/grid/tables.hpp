// What an experiment found: from its cells to tables.
#pragma once

#include "distill/grid/cell.hpp"

namespace akin {

/// A row of results.csv. An oracle's is its best cell by test accuracy.
struct ExperimentRow {
  std::string target, budget, variant;
  Method method;
  CellResult result;
};

/// A row of sources.csv: how similar a source is for one target, budget and seed, and what it taught alone.
struct ExperimentSourceRow {
  std::string target, budget, source;
  std::uint64_t seed = 0;
  std::vector<double> metrics;  ///< in the order of ExperimentTables::metrics; NaN: undefined
  std::string undefined;        ///< why
  double test_last = not_measured, test_best = not_measured;  ///< of an oracle's student
};

/// All of it, targets, budgets and variants in the order of the experiment.
struct ExperimentTables {
  std::string title;
  std::vector<std::string> targets, budgets, metrics;
  std::vector<std::pair<std::string, Method>> methods;  ///< of the variants
  std::vector<ExperimentRow> rows;
  std::vector<ExperimentSourceRow> sources;
  std::vector<std::pair<std::string, std::string>> failed;  ///< cells without a result, and why
};

/// What the run folder holds of the experiment's grid, finished or not.
ExperimentTables collect_tables(const Experiment& experiment, const std::filesystem::path& run_folder);

/// target,budget,seed,variant,method,test_last,test_best,val_last,val_best,best_step,seconds,top_source,top_weight,
/// labelled,unlabelled
std::string experiment_results_csv(const ExperimentTables& tables);
/// target,budget,seed,source,<metrics>,student_test_last,student_test_best,undefined
std::string experiment_sources_csv(const ExperimentTables& tables);
/// Mean, standard deviation and number of seeds by target and variant, means over targets, headline differences, and
/// rank correlations, in Markdown.
std::string experiment_markdown(const ExperimentTables& tables);

/// Spearman's rank correlation, ties averaged; NaN below 3 pairs or where one side is constant. Pairs with NaN are left
/// out.
double spearman(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace akin
