// Runs a grid: what is finished stays, what is not is made, what was made with other settings is named.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "distill/events.hpp"
#include "distill/grid/target_bank.hpp"
#include "distill/student/plan.hpp"

namespace akin {

/// What a run may be told while it goes on; all optional.
struct GridListener {
  /// What a target's cells and rankings depend on now; of every target that is opened, before any cell runs.
  std::function<void(const GridTarget& target, const TargetInputs& inputs)> inputs = {};
  /// All of a target was opened and checked, and nothing is written yet.
  std::function<void(const Task& first, const std::vector<Source>& sources)> opened = {};
  /// Who is made from what, in a strict run: before any student trains. `outputs`: of the sources for the group's task.
  std::function<void(const GridGroup& group, const std::vector<Source>& sources, const std::vector<Outputs>& outputs,
                     const Ranking* ranking, const std::vector<StudentPlan>& plans)>
      planned = {};
  /// All of a strict run is planned, and the first student that is missing is next.
  std::function<void()> begins = {};
  /// A cell has its record, made now or by an earlier run. `answers` tests its student again where it was not made now.
  std::function<void(const GridGroup& group, const Cell& cell, const StudentRecord& record,
                     const std::function<TestAnswers()>& answers)>
      finished = {};
  std::function<void()> target_done = {};
};

struct GridOptions {
  GridFolder place;
  std::filesystem::path cache = {};  ///< of the sources' outputs; empty: none
  GridFilter only = {};
  bool redo_stale = false;     ///< run cells again that were made with other settings, instead of stopping
  bool fresh = false;          ///< run all cells again
  bool keep_students = false;  ///< save every student
  /// All students are planned before any is trained, and what one cannot have stops the run; else the error is kept
  /// with its cell, and the others go on.
  bool strict = false;
  std::string made_by = {};  ///< version, for the records
  /// Share the cells and the folder; nullptr: alone. Not of a strict run. The Context has no ranks then, and each cell
  /// is one rank's; or it has those of ranks->group(), which make a cell together. The first rank goes on without ranks
  /// that are lost, the Context's too.
  std::shared_ptr<Ranks> ranks = nullptr;
  GridListener listener = {};
};

/// What there is to do before anything is done.
struct GridSurvey {
  struct Cell {
    std::string label;
    enum class State { finished, pending, stale } state;
    std::string changed;                      ///< stale: which settings differ
    std::optional<double> seconds, estimate;  ///< measured, or guessed from finished cells of the same method
  };
  std::vector<Cell> cells;
};
GridSurvey survey_grid(Context& ctx, const Grid& grid, const GridOptions& options);

struct GridOutcome {
  bool finished = false;  ///< false: stopped on request; the same command goes on
  std::size_t cells = 0, ran = 0;
  std::vector<std::string> failed;  ///< label and reason of cells that have no result
  /// Of the tables (run_experiment): target, budget and why `auto` chose its metric; rankings without a sure first.
  std::vector<std::string> chosen_metrics = {}, disputed = {};
};

/// Runs what is not finished. Failed cells are tried again by the next run. Stale cells stop it before anything runs.
GridOutcome run_grid(Context& ctx, const Grid& grid, const GridOptions& options, const Events& events = {});

}  // namespace akin
