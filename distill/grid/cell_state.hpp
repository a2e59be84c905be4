// What there is of each cell before a run: finished, to be made, or made with other settings.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "distill/grid/runner.hpp"

namespace akin {

inline constexpr const char* kNotKept = "its student was not kept";

struct CellState {
  using State = GridSurvey::Cell::State;
  Cell cell;
  Settings settings;
  StudentRecord record;  ///< its settings are those of today; the rest is of an earlier run where it is finished
  State state = State::pending;
  bool taken = true;  ///< by the filter
  std::string changed = {};
  std::filesystem::path made = {};  ///< what was made with other settings
  std::optional<StudentPlan> plan = {};
  std::string error = {};  ///< why there is no plan
};

/// A target's images, bank and cells.
struct OpenedTarget {
  TargetBank bank;
  std::vector<CellState> cells;
};
OpenedTarget open_target(Context& ctx, const Grid& grid, const GridOptions& options, const GridTarget& target,
                         const Tell& tell);

/// As its record, its checkpoint and its students say. Error where a student's file is not the one of its record.
CellState state_of(const Grid& grid, const GridOptions& options, const Cell& cell, const TargetBank& bank,
                   const Tell& tell);

/// Error where cells are stale and the options do not have them made again.
void refuse_stale(const GridOptions& options, const std::vector<CellState>& stale, std::size_t cells);

/// The states of cells as a letter each; how many of them are to be made; and cells that get theirs from such a text:
/// what another rank found.
std::string states_of(const std::vector<CellState>& cells);
std::size_t pending_in(const std::string& states);
void take_states(const std::string& states, std::vector<CellState>& cells);

}  // namespace akin
