#include <cmath>
#include <iterator>
#include <map>

#include "distill/grid/cell_state.hpp"
#include "distill/grid/runner.hpp"

namespace akin {

GridSurvey survey_grid(Context& ctx, const Grid& grid, const GridOptions& options) {
  using State = CellState::State;
  std::vector<CellState> states;
  for (const GridTarget& t : grid.targets) {
    if (!options.only.takes(t)) continue;
    std::vector<CellState> own = open_target(ctx, grid, options, t, {}).cells;
    std::move(own.begin(), own.end(), std::back_inserter(states));
  }
  // A cell takes as long as others of its method, best of its target.
  std::map<std::string, std::vector<double>> seconds;
  const auto keys = [](const Cell& c) {
    return std::vector<std::string>{c.target->name + "/" + c.variant->name,
                                    c.target->name + "/" + name_of(c.variant->method), name_of(c.variant->method)};
  };
  for (const CellState& s : states)
    if (std::isfinite(s.record.figures.seconds))
      for (const std::string& key : keys(s.cell)) seconds[key].push_back(s.record.figures.seconds);
  GridSurvey out;
  for (const CellState& s : states) {
    if (!s.taken) continue;
    GridSurvey::Cell c{s.cell.label(), s.state, s.changed, {}, {}};
    if (s.state == State::finished) c.seconds = s.record.figures.seconds;
    for (const std::string& key : keys(s.cell))
      if (!c.seconds && !c.estimate && seconds.contains(key)) c.estimate = spread_of(seconds[key]).mean;
    out.cells.push_back(std::move(c));
  }
  return out;
}

}  // namespace akin
