#include "distill/grid/cell_state.hpp"

#include <algorithm>

#include "distill/grid/file_names.hpp"
#include "engine/io/file.hpp"
#include "engine/io/sha256.hpp"

namespace akin {

namespace {

/// A flat folder is there for its students; those of an experiment are missed where they are to be kept. Error where
/// one is not the file that its record is of.
bool has_students(const GridOptions& o, const Cell& c, const StudentRecord& record) {
  if (!o.keep_students) return true;
  const auto there = [&](const std::filesystem::path& file, const std::string& hash) {
    if (!is_there(file) || (hash.empty() && !o.place.flat)) return false;
    AKIN_CHECK(hash.empty() || sha256_file(file) == hash,
               "{}: is not the file that was written with {} (damaged, or another one); remove it, and its student is "
               "trained again",
               file.string(), o.place.record(c).filename().string());
    return true;
  };
  const bool student = there(o.place.student(c), record.student_hash), best = there(o.place.best(c), record.best_hash);
  return student && best == (record.figures.best_step >= 0);
}

}  // namespace

OpenedTarget open_target(Context& ctx, const Grid& grid, const GridOptions& o, const GridTarget& t, const Tell& tell) {
  OpenedTarget out{TargetBank(ctx, grid, t, o.cache), {}};
  const std::vector<Cell> cells = cells_of(grid, t, out.bank.teachers());
  check_file_names(o.place, cells, o.keep_students);
  for (const Cell& c : cells) out.cells.push_back(state_of(grid, o, c, out.bank, tell));
  return out;
}

CellState state_of(const Grid& grid, const GridOptions& o, const Cell& c, const TargetBank& bank, const Tell& tell) {
  CellState s{.cell = c, .settings = grid.settings_of(*c.target, c.variant), .record = {}};
  s.taken = o.only.takes(*c.budget) && o.only.takes(*c.variant) && o.only.takes_seed(c.seed);
  const Json settings = s.taken ? bank.settings_of(c, s.settings) : cell_settings(c, s.settings, bank.inputs());
  if (!o.fresh) {
    if (const std::optional<StoredRecord> found = read_record(o.place, c, tell)) {
      s.changed =
          found->record.settings.is_null() ? "an earlier akin made it" : cell_changes(found->record.settings, settings);
      if (!s.changed.empty())
        s.state = found->record.error.empty() ? CellState::State::stale : CellState::State::pending;
      else if (found->record.error.empty() && has_students(o, c, found->record))
        s.state = CellState::State::finished;
      else if (found->record.error.empty() && !o.place.flat)
        s.changed = kNotKept;
      s.record = found->record;
      s.made = o.place.record(c);
    } else if (s.changed = changes_of_checkpoint(o.place, c, settings); !s.changed.empty()) {
      s.made = o.place.checkpoint(c);
      s.state = CellState::State::stale;
    }
  }
  s.record.settings = settings;
  return s;
}

void refuse_stale(const GridOptions& o, const std::vector<CellState>& stale, std::size_t cells) {
  if (stale.empty() || o.redo_stale) return;
  AKIN_CHECK(!o.place.flat,
             "{}: was trained with other settings or data ({}): --resume needs the same ones; --force starts anew, "
             "--out DIR chooses another folder",
             stale.front().made.string(), stale.front().changed);
  std::vector<std::string> some;
  for (const CellState& s : stale)
    if (some.size() < 5) some.push_back(fmt::format("{} ({})", s.cell.name(), s.changed));
  fail(
      "{}: {} of {} cells were made with other settings or data: {}{}; --redo-stale runs them again, --out DIR "
      "starts another folder",
      o.place.folder.string(), stale.size(), cells, fmt::join(some, "; "),
      some.size() < stale.size() ? fmt::format("; and {} more", stale.size() - some.size()) : "");
}

std::string states_of(const std::vector<CellState>& cells) {
  std::string out;
  for (const CellState& s : cells)
    out += !s.taken                                ? '-'
           : s.state == CellState::State::finished ? 'f'
           : s.state == CellState::State::stale    ? 's'
                                                   : 'p';
  return out;
}

std::size_t pending_in(const std::string& states) {
  return static_cast<std::size_t>(
      std::count_if(states.begin(), states.end(), [](char c) { return c == 's' || c == 'p'; }));
}

void take_states(const std::string& states, std::vector<CellState>& cells) {
  AKIN_CHECK(states.size() == cells.size(), "grid: {} cells here, {} on the first rank", cells.size(), states.size());
  for (std::size_t i = 0; i < cells.size(); ++i)
    if (states[i] != '-')
      cells[i].state = states[i] == 'f'   ? CellState::State::finished
                       : states[i] == 's' ? CellState::State::stale
                                          : CellState::State::pending;
}

}  // namespace akin
