// One cell of an experiment: what it was made with, and what came out, in a file of its own.
#pragma once

#include <string>
#include <vector>

#include "distill/grid/grid.hpp"
#include "distill/report/figures.hpp"
#include "distill/student/record.hpp"

namespace akin {

/// A student of a target, budget, seed and variant; an oracle has one cell for each source.
struct Cell {
  const ExperimentTarget* target;
  const ExperimentBudget* budget;
  std::uint64_t seed;
  const ExperimentVariant* variant;
  std::string teacher;  ///< of an oracle's cell; else empty

  std::string name() const;   ///< "cifar10/five/weighted-seed0", or ".../oracle-seed0@digits"
  std::string label() const;  ///< for people
};

/// What a cell's file holds.
struct CellResult {
  std::string variant, method, made_by;  ///< as read from a file
  Settings::Json settings;               ///< everything that the figures depend on
  SeedResult figures;
  std::string top_source;            ///< what it started from, or its main teacher
  double top_weight = not_measured;  ///< of that teacher
  std::int64_t labelled = 0, unlabelled = 0;
  std::string error;  ///< why there are no figures; then only settings count
};

/// A target's cells in the order they run. `teachers`: the sources that an oracle asks.
std::vector<Cell> cells_of(const Experiment& experiment, const ExperimentTarget& target,
                           const std::vector<std::string>& teachers);

/// The metrics that the experiment asks for: those it names, else the one of its settings.
std::vector<std::string> experiment_metrics(const Experiment& experiment);

/// Every metric for every source of a target, budget and seed: {settings, metrics, sources: [{source, values,
/// undefined}]}.
std::filesystem::path ranking_file(const std::filesystem::path& run_folder, const ExperimentTarget& target,
                                   const ExperimentBudget& budget, std::uint64_t seed);
/// Nothing where there is no file, or a damaged one.
std::optional<Settings::Json> read_ranking(const std::filesystem::path& run_folder, const ExperimentTarget& target,
                                           const ExperimentBudget& budget, std::uint64_t seed);
std::optional<Settings::Json> read_ranking(const std::filesystem::path& file);

std::filesystem::path cell_file(const std::filesystem::path& run_folder, const Cell& cell);
void write_cell(const std::filesystem::path& run_folder, const Cell& cell, const CellResult& result,
                const std::string& made_by);
/// Nothing where there is no file, or a damaged one: the cell is then made again.
std::optional<CellResult> read_cell(const std::filesystem::path& run_folder, const Cell& cell);
std::optional<CellResult> read_cell(const std::filesystem::path& file);

/// What identifies the inputs of a target's cells.
struct TargetInputs {
  std::string images, test;                                  ///< hashes of their contents
  std::vector<std::pair<std::string, std::string>> sources;  ///< names and hashes
};

/// The settings of a cell: only those that its method looks at, so that a change makes no other cell stale.
Settings::Json cell_settings(const Cell& cell, const PlanOptions& options, const TargetInputs& inputs);

/// "lr was 0.1 and is 0.05, ..."; empty where they are equal.
std::string settings_changes(const Settings::Json& before, const Settings::Json& now);

/// What a budget says, as settings.
Settings::Json budget_settings(const LabelManifest& labels);

}  // namespace akin
