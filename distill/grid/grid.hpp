// Experiments: a grid of targets x label budgets x seeds x variants of methods, one small file for each finished cell.
//
//   experiment.hpp         what a TOML file describes, and the runner
//   experiment_config.cpp  reads it
//   experiment_cell.hpp    one cell: its settings, its file
//   experiment_tables.hpp  results.csv, sources.csv, results.md from the cells
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "distill/student/plan.hpp"
#include "distill/task/settings_file.hpp"

namespace akin {

/// A source of the bank. `path` may hold {target}, which stands for the name of the target: tables are made for one.
struct ExperimentSource {
  std::string name, path;
  std::optional<ModelInfo> foreign;  ///< of a file that does not describe itself
};

struct ExperimentTarget {
  std::string name;
  std::filesystem::path data;
  ImageFormat format;
  std::int64_t images = 0;           ///< training images to use at most, the same for all cells; 0 = all
  std::vector<std::string> sources;  ///< without the excluded ones
  Settings settings;                 ///< its overrides
};

struct ExperimentBudget {
  std::string name;
  LabelManifest labels;  ///< its seed is each cell's
};

/// A method with settings of its own.
struct ExperimentVariant {
  std::string name;
  Method method;
  Settings settings;  ///< its overrides
};

struct Experiment {
  std::string title, source;   ///< source: the file it was read from
  std::filesystem::path root;  ///< where relative paths start
  std::vector<std::uint64_t> seeds;
  std::vector<std::string> metrics;  ///< measured for every source: columns of sources.csv
  std::vector<ExperimentSource> sources;
  std::vector<ExperimentTarget> targets;
  std::vector<ExperimentBudget> budgets;
  std::vector<ExperimentVariant> variants;
  Settings settings;  ///< of all cells

  /// Settings of one cell: those of all, then the target's, then the variant's.
  PlanOptions options(const ExperimentTarget& target, const ExperimentVariant& variant) const;
};

/// Reads a TOML or JSON file; relative paths start from `root`, or from the file's own `root`, which is relative to the
/// folder of the file. UsageErrors name file, table and key; unknown keys come with the nearest known one.
Experiment read_experiment(const std::filesystem::path& file, const std::filesystem::path& root = {});

/// Parts of the grid to run; empty: all.
struct ExperimentFilter {
  std::set<std::string> targets, budgets, variants, methods;
  std::set<std::uint64_t> seeds;
  bool takes(const ExperimentTarget& target) const;
  bool takes(const ExperimentBudget& budget) const;
  bool takes(const ExperimentVariant& variant) const;
  bool takes_seed(std::uint64_t seed) const;
};
/// "target=cifar10", "method=weighted", "variant=", "budget=" or "seed="; several of one kind add up. UsageError names
/// what the experiment has not.
void add_filter(ExperimentFilter& filter, const std::string& text, const Experiment& experiment);

struct ExperimentOptions {
  std::filesystem::path run_folder;
  std::filesystem::path cache;  ///< of the sources' outputs; empty: none
  ExperimentFilter only;
  bool redo_stale = false;     ///< run cells again that were made with other settings, instead of stopping
  bool keep_students = false;  ///< save every student
  std::string made_by;         ///< version, for the cells
};

/// What there is to do before anything is done.
struct ExperimentSurvey {
  struct Cell {
    std::string label;
    enum class State { finished, pending, stale } state;
    std::string changed;                      ///< stale: which settings differ
    std::optional<double> seconds, estimate;  ///< measured, or guessed from finished cells of the same method
  };
  std::vector<Cell> cells;
};
ExperimentSurvey survey_experiment(Context& ctx, const Experiment& experiment, const ExperimentOptions& options);

struct ExperimentOutcome {
  bool finished = false;  ///< false: stopped on request; the same command goes on
  std::size_t cells = 0, ran = 0;
  std::vector<std::string> failed;  ///< label and reason of cells that have no result
};

/// Runs what is not finished and writes the tables. Errors of one cell (a metric undefined, all weights zero) are kept
/// with it and do not stop the others; they are tried again by the next run. Stale cells stop it before anything runs.
ExperimentOutcome run_experiment(Context& ctx, const Experiment& experiment, const ExperimentOptions& options,
                                 const Events& events = {});

}  // namespace akin
