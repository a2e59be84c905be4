// One cell of a grid: what it depends on, and its record, in a file of its own.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "distill/grid/grid.hpp"
#include "distill/student/record.hpp"

namespace akin {

/// Takes a line for people.
using Tell = std::function<void(const std::string&)>;

/// A student of a target, budget, seed and variant; an oracle has one cell for each source.
struct Cell {
  const GridTarget* target;
  const GridBudget* budget;
  std::uint64_t seed;
  const GridVariant* variant;
  std::string teacher;  ///< of an oracle's cell; else empty

  std::string name() const;   ///< "cifar10/five/weighted-seed0", or ".../oracle-seed0@digits"
  std::string label() const;  ///< for people
};

/// A target's cells in the order they run. `teachers`: the sources that an oracle asks.
std::vector<Cell> cells_of(const Grid& grid, const GridTarget& target, const std::vector<std::string>& teachers);

/// Where the files of a grid lie. A grid of one target and one budget may be flat, as `akin distill` writes it:
/// students/<method>-seed<k>.{safetensors,json} and labels-seed<k>.json; else each has its target and budget as
/// folders.
struct GridFolder {
  std::filesystem::path folder;
  bool flat = false;

  std::filesystem::path record(const Cell& cell) const;
  std::filesystem::path student(const Cell& cell) const;
  std::filesystem::path best(const Cell& cell) const;  ///< of the step best on validation images
  std::filesystem::path checkpoint(const Cell& cell) const;
  std::filesystem::path labels(const GridTarget& t, const GridBudget& b, std::uint64_t seed) const;
  /// Every metric for every source of a target, budget and seed: {format, target, budget, settings, metrics, sources:
  /// [{source, values, undefined, intervals, best_shares}], sha256}; the last two where replicates were drawn. Static
  /// rivals count as metrics.
  std::filesystem::path ranking(const GridTarget& t, const GridBudget& b, std::uint64_t seed) const;
};

void write_record(const std::filesystem::path& file, const Cell& cell, const StudentRecord& record);

/// A record as it lies on disk.
struct StoredRecord {
  std::string target, budget, variant, method, teacher;
  StudentRecord record;
};
/// Nothing where there is no file, or a damaged one, of which `tell` is given a line: the cell is then made again. A
/// record of an earlier format has no settings, and so is stale.
std::optional<StoredRecord> read_record(const std::filesystem::path& file, const Tell& tell = {});
/// The same where it is this cell's: a file that says another target, budget, variant, seed or teacher counts as
/// damaged.
std::optional<StoredRecord> read_record(const GridFolder& place, const Cell& cell, const Tell& tell = {});

/// Names of a target and a budget.
struct Group {
  std::string target, budget;
};
void write_ranking(const std::filesystem::path& file, const Group& group, const Json& settings,
                   const std::vector<std::string>& metrics, const Json& rows);
/// What write_ranking wrote; nothing where there is no file, or one that is damaged or of another target or budget, of
/// which `tell` is given a line.
std::optional<Json> read_ranking(const std::filesystem::path& file, const Tell& tell, const Group& group);

/// Of records: "sources_see".
inline constexpr const char* kOriginals = "original pictures";

/// What identifies the inputs of a target's cells.
struct TargetInputs {
  std::string images, test;                                  ///< hashes of their contents
  std::string classes;                                       ///< digest of their names, in order
  std::vector<std::pair<std::string, std::string>> sources;  ///< names and hashes
  bool originals = false;                                    ///< sources see pictures as their files have them
};

/// Everything that a cell's figures depend on: only what its method looks at, so that a change makes no other cell
/// stale.
Json cell_settings(const Cell& cell, const Settings& settings, const TargetInputs& inputs);
/// What changed since a cell was made, from its record's settings to those of now; "" for nothing. The order of sources
/// counts where several teach at once: it is that of sums.
std::string cell_changes(const Json& before, const Json& now);
/// Settings of now for a record of before: where `auto` chooses the metric, which follows from images and sources, the
/// one that it stood for then. A metric that was named then is none of auto's.
Settings with_metric_of(Settings settings, const StudentRecord& record);
/// cell_changes without a look at images, sources and other files: for tables of cells whose inputs may not be at hand.
std::string changes_told_by_names(const StudentRecord& record, const Cell& cell, const Settings& settings);

/// What a budget says, as settings.
Json budget_settings(const LabelManifest& labels);

/// A row of results: of an oracle the best of its cells by test accuracy, with the seconds of all.
struct ResultRow {
  std::string target, budget, variant;
  Method method;
  StudentRecord record;
};
/// Adds a cell's record to the rows; cells come in the order of cells_of.
void add_result(std::vector<ResultRow>& rows, const Cell& cell, const StudentRecord& record);

/// Why the cell cannot go on from its checkpoint; "" where it can, or has none.
std::string changes_of_checkpoint(const GridFolder& place, const Cell& cell, const Json& settings);

}  // namespace akin
