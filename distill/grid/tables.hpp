// What an experiment found: from its cells to tables.
#pragma once

#include <map>
#include <set>

#include "distill/grid/runner.hpp"

namespace akin {

/// A row of sources.csv: how similar a source is for one target, budget and seed, and what it taught alone.
struct SourceRow {
  std::string target, budget, source;
  std::uint64_t seed = 0;
  std::vector<double> metrics;                                ///< in the order of GridTables::metrics; NaN: none
  std::string undefined;                                      ///< why
  double test_last = not_measured, test_best = not_measured;  ///< of an oracle's student
};

/// All of it, targets, budgets and variants in the order of the grid.
struct GridTables {
  std::string title;
  std::vector<std::string> targets, budgets;
  std::vector<std::string> metrics;                     ///< and the static rivals behind them
  std::vector<std::pair<std::string, Method>> methods;  ///< of the variants
  /// Pairs of variants to compare; not said: the headline's.
  std::optional<std::vector<std::pair<std::string, std::string>>> differences;
  std::vector<ResultRow> rows;
  std::vector<SourceRow> sources;
  std::vector<std::pair<std::string, std::string>> failed;  ///< cells without a result, and why
  /// Made with other settings or data, which, or not to be read: in no row. A line a cell or ranking, and one for all
  /// of a target that this command did not open and whose pieces do not agree.
  std::vector<std::pair<std::string, std::string>> stale;
  std::size_t left_out = 0;  ///< cells and rankings of these lines
  /// Why `auto` chose its metric, by target and budget.
  std::map<std::pair<std::string, std::string>, std::set<std::string>> chosen_metrics;
  std::size_t leads = 0;  ///< rankings that students followed and whose bootstrap draws are known
  std::vector<std::pair<std::string, std::string>> disputed;  ///< of them those without a sure first, and who it is
};

/// By target: what its cells and rankings depend on now.
using OpenedInputs = std::map<std::string, TargetInputs>;

/// What the folder holds of the grid, finished or not. Of targets in `opened` only what was made of those inputs; of
/// others what agrees with these, and among itself, in images, sources and other files.
GridTables collect_tables(const Grid& grid, const GridFolder& folder, const OpenedInputs& opened = {});

/// target,budget,seed,variant,method,test_last,test_best,val_last,val_best,best_step,seconds,top_source,top_weight,
/// labelled,unlabelled
std::string grid_results_csv(const GridTables& tables);
/// target,budget,seed,source,<metrics>,static:params,static:source-accuracy,student_test_last,student_test_best,undefined
std::string grid_sources_csv(const GridTables& tables);
/// Mean, standard deviation and number of seeds by target and variant, means over targets, headline differences, and
/// rank correlations, in Markdown.
std::string grid_markdown(const GridTables& tables);

/// run_grid; after each target, and at the end, results.csv, sources.csv and results.md.
GridOutcome run_experiment(Context& ctx, const Grid& grid, GridOptions options, const Events& events = {});

}  // namespace akin
