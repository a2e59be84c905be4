// A grid of targets x label budgets x seeds x variants of methods: what `akin experiment` reads from a file, and what
// `akin distill` is with one target and one budget.
//
//   grid.hpp       the grid
//   grid_file.cpp  reads one from TOML or JSON
//   cell.hpp       one cell: its settings, its record, where its files lie
//   runner.hpp     runs what is not finished
//   tables.hpp     results.csv, sources.csv, results.md of an experiment from the cells
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "distill/student/settings.hpp"

namespace akin {

/// A source of the bank. `path` may hold {target}, which stands for the name of the target: tables are made for one.
struct GridSource {
  std::string name, path;
  std::optional<ModelInfo> foreign = {};  ///< of a file that does not describe itself
};

struct GridTarget {
  std::string name;
  std::function<std::shared_ptr<const TargetImages>()> load;  ///< reads its images
  std::vector<std::string> sources = {};                      ///< names: those of the bank without the excluded ones
  SettingsTable settings = {};                                ///< its overrides
  std::filesystem::path data = {};                            ///< where its images lie; empty: drawn
};

struct GridBudget {
  std::string name;
  LabelManifest labels;  ///< its seed is each cell's
};

/// A method with settings of its own.
struct GridVariant {
  std::string name;
  Method method;
  SettingsTable settings = {};  ///< its overrides
};

struct Grid {
  std::string title;
  std::filesystem::path root;  ///< where relative paths start
  std::vector<std::uint64_t> seeds;
  std::vector<std::string> metrics;  ///< measured for every source; empty: the one of the settings
  std::vector<GridSource> sources;
  std::vector<GridTarget> targets;
  std::vector<GridBudget> budgets;
  std::vector<GridVariant> variants;
  Settings settings;  ///< of all cells
  /// That train a cell together: cells whose settings do not say a number of slices have one for each of them.
  std::int64_t ranks_per_cell = 1;
  /// Pairs of variants whose difference the tables show; not said: those that the paper's headline names, where they
  /// are.
  std::optional<std::vector<std::pair<std::string, std::string>>> differences = {};

  /// Settings of one cell: those of all, then the target's, then the variant's. {target} in the path of the reference
  /// stands for the target's name.
  Settings settings_of(const GridTarget& target, const GridVariant* variant = nullptr) const;
  /// The metrics that are measured for every source: those named, and for `auto` each that it may stand for.
  std::vector<std::string> measured_metrics() const;
  /// What every source is ranked by in the tables: these metrics and the static rivals.
  std::vector<std::string> ranked_by() const;
};

/// What a grid reads.
struct GridInputs {
  std::vector<std::filesystem::path> data, files;  ///< data sets; sources, models to start from, references
};
GridInputs inputs_of(const Grid& grid);

/// `text` with {target} replaced by a name.
std::string with_target(std::string text, const std::string& name);

/// Reads a target's images; at most `images` of the training split (0: all), the same for everybody.
std::shared_ptr<const TargetImages> load_target(const std::filesystem::path& data, const ImageFormat& format,
                                                std::int64_t images = 0);

/// Reads a TOML or JSON file; relative paths start from `root`, or from the file's own `root`, which is relative to the
/// folder of the file. UsageErrors name file, table and key; unknown keys come with the nearest known one.
Grid read_grid(const std::filesystem::path& file, const std::filesystem::path& root = {},
               std::int64_t ranks_per_cell = 1);

/// Parts of the grid to run; empty: all.
struct GridFilter {
  std::set<std::string> targets, budgets, variants, methods;
  std::set<std::uint64_t> seeds;
  bool takes(const GridTarget& target) const;
  bool takes(const GridBudget& budget) const;
  bool takes(const GridVariant& variant) const;
  bool takes_seed(std::uint64_t seed) const;
};
/// "target=cifar10", "method=weighted", "variant=", "budget=" or "seed="; several of one kind add up. UsageError names
/// what the grid has not.
void add_filter(GridFilter& filter, const std::string& text, const Grid& grid);

}  // namespace akin
