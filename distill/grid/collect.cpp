#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "distill/grid/tables.hpp"

namespace akin {

namespace {

/// A finished cell or a ranking of the folder, and what it says that it was made of.
struct Piece {
  const GridTarget* target;
  std::string label;                                 ///< for people
  std::string changes;                               ///< since it was made; "" for none
  std::map<std::string, std::string> contents = {};  ///< digests of what it was made of, by what that is
};

/// One name for each thing that pieces must have in common: a target's images and tables made for it are its own, files
/// that serve several targets are the same for all.
std::string own(const GridTarget& t, const std::string& what) { return what + " of " + t.name; }

std::string source_key(const Grid& grid, const GridTarget& t, const std::string& name) {
  const auto it = std::find_if(grid.sources.begin(), grid.sources.end(), [&](const auto& s) { return s.name == name; });
  const bool shared = it != grid.sources.end() && it->path.find("{target}") == std::string::npos;
  return shared ? "sources." + name : own(t, "sources." + name);
}

std::map<std::string, std::string> contents_of(const Grid& grid, const GridTarget& t, const Json& before,
                                               const Settings& settings) {
  std::map<std::string, std::string> out;
  const auto add = [&](const std::string& key, const Json& digest) {
    if (digest.is_string()) out[key] = digest.get<std::string>();
  };
  for (const char* what : {"images", "test", "classes"}) add(own(t, what), before.value(what, Json()));
  if (const Json sources = before.value("sources", Json()); sources.is_object())
    for (const auto& [name, digest] : sources.items()) add(source_key(grid, t, name), digest);
  for (const Setting& s : setting_list())
    if (s.name != nullptr && s.range.file) add(s.name + (" " + text_of(s, settings)), before.value(s.name, Json()));
  return out;
}

/// Leaves together what was made of the same things: pieces of targets that this command opened were compared with what
/// is there now, the others must agree with those and among themselves. A majority decides nothing.
class Agreement {
 public:
  Agreement(const Grid& grid, const OpenedInputs& opened) : opened_(opened) {
    for (const GridTarget& t : grid.targets)
      if (const auto it = opened.find(t.name); it != opened.end())
        for (const auto& [name, digest] : it->second.sources) now_[source_key(grid, t, name)] = digest;
  }
  void add(const Piece& p) {
    for (const auto& [key, digest] : p.contents)
      if (opened_.contains(p.target->name))
        now_[key] = digest;
      else
        said_[key].insert(digest);
  }
  /// What keeps the piece apart from others; nothing for a piece that may stay.
  std::vector<std::string> disputed(const Piece& p) const {
    std::vector<std::string> out;
    if (opened_.contains(p.target->name)) return out;
    for (const auto& [key, digest] : p.contents) {
      const auto now = now_.find(key);
      if (now != now_.end() ? now->second != digest : said_.at(key).size() > 1) out.push_back(key);
    }
    return out;
  }

 private:
  const OpenedInputs& opened_;
  std::map<std::string, std::string> now_;
  std::map<std::string, std::set<std::string>> said_;
};

/// What of a ranking's settings tells no content.
Json without_contents(Json settings) {
  for (const char* content : {"images", "reference", "sources"}) settings.erase(content);
  return settings;
}

std::string place(const std::string& target, const std::string& budget, std::uint64_t seed, const std::string& more) {
  return fmt::format("{}/{}/{}/{}", target, budget, seed, more);
}

struct FoundCell {
  Cell cell;
  StudentRecord record;
  Piece piece;
};
struct FoundRanking {
  const GridTarget* target;
  const GridBudget* budget;
  std::uint64_t seed;
  Json sources;
  Piece piece;
};

/// A file that is no record or ranking of its place, which this command does not make again: the tables lack it.
void tell_unread(GridTables& out, const std::filesystem::path& file, const std::string& label) {
  if (!is_there(file)) return;
  out.stale.emplace_back(label, "its file is damaged, another one's or an earlier akin's (run it without --only)");
  ++out.left_out;
}

std::vector<FoundCell> find_cells(const Grid& grid, const GridFolder& folder, const OpenedInputs& opened,
                                  GridTables& tables) {
  std::vector<FoundCell> out;
  for (const GridTarget& t : grid.targets)
    for (const Cell& c : cells_of(grid, t, t.sources)) {
      const std::optional<StoredRecord> stored = read_record(folder, c);
      if (!stored || stored->record.settings.is_null()) {
        tell_unread(tables, folder.record(c), c.label());
        continue;
      }
      const Json& before = stored->record.settings;
      const Settings settings = grid.settings_of(t, c.variant), chosen = with_metric_of(settings, stored->record);
      const auto now = opened.find(t.name);
      out.push_back({c,
                     stored->record,
                     {&t, c.label(),
                      now != opened.end() ? cell_changes(before, cell_settings(c, chosen, now->second))
                                          : changes_told_by_names(stored->record, c, settings),
                      contents_of(grid, t, before, settings)}});
    }
  return out;
}

std::vector<FoundRanking> find_rankings(const Grid& grid, const GridFolder& folder, const OpenedInputs& opened,
                                        GridTables& tables) {
  std::vector<FoundRanking> out;
  for (const GridTarget& t : grid.targets)
    for (const GridBudget& b : grid.budgets)
      for (const std::uint64_t seed : grid.seeds) {
        const std::optional<Json> ranking = read_ranking(folder.ranking(t, b, seed), {}, {t.name, b.name});
        const std::string label = fmt::format("{}, {}, seed {}, similarities", t.name, b.name, seed);
        if (!ranking || !(*ranking)["settings"].is_object()) {
          tell_unread(tables, folder.ranking(t, b, seed), label);
          continue;
        }
        const Json& before = (*ranking)["settings"];
        const auto now = opened.find(t.name);
        const Json wanted = ranking_settings(grid, t, b, seed, now != opened.end() ? &now->second : nullptr);
        out.push_back({&t,
                       &b,
                       seed,
                       (*ranking)["sources"],
                       {&t, label, settings_changes(now != opened.end() ? before : without_contents(before), wanted),
                        contents_of(grid, t, before, grid.settings_of(t))}});
      }
  return out;
}

/// The lines of what is left out, of which the tables of `out` have nothing.
template <class Found>
std::vector<Found> without_stale(std::vector<Found> found, const Agreement& agreement, GridTables& out,
                                 std::map<const GridTarget*, std::pair<std::size_t, std::set<std::string>>>& apart) {
  std::erase_if(found, [&](const Found& f) {
    if (!f.piece.changes.empty()) {
      out.stale.emplace_back(f.piece.label, f.piece.changes);
      ++out.left_out;
      return true;
    }
    const std::vector<std::string> disputed = agreement.disputed(f.piece);
    if (disputed.empty()) return false;
    auto& [count, what] = apart[f.piece.target];
    ++count;
    ++out.left_out;
    what.insert(disputed.begin(), disputed.end());
    return true;
  });
  return found;
}

/// Counts a ranking whose bootstrap draws are known, and keeps it where they do not agree on the first.
void add_lead(GridTables& out, const std::string& label, const std::string& metric, const Json& sources) {
  std::vector<std::string> names;
  std::vector<double> values, shares;
  const auto of = [&](const Json& by_metric) {
    const Json v = by_metric.is_object() ? by_metric.value(metric, Json()) : Json();
    return v.is_number() ? v.get<double>() : not_measured;
  };
  bool known = false;
  for (const Json& source : sources) {
    names.push_back(source.value("source", ""));
    values.push_back(of(source.at("values")));
    shares.push_back(of(source.value("best_shares", Json())));
    known = known || std::isfinite(shares.back());
  }
  out.leads += known;
  if (const std::string line = disputed_lead(metric, names, values, shares); !line.empty())
    out.disputed.emplace_back(label, line);
}

}  // namespace

GridTables collect_tables(const Grid& grid, const GridFolder& folder, const OpenedInputs& opened) {
  GridTables out;
  out.title = grid.title;
  out.metrics = grid.ranked_by();
  for (const GridTarget& t : grid.targets) out.targets.push_back(t.name);
  for (const GridBudget& b : grid.budgets) out.budgets.push_back(b.name);
  for (const GridVariant& v : grid.variants) out.methods.emplace_back(v.name, v.method);
  out.differences = grid.differences;
  std::vector<FoundCell> cells = find_cells(grid, folder, opened, out);
  std::vector<FoundRanking> rankings = find_rankings(grid, folder, opened, out);
  Agreement agreement(grid, opened);
  for (const FoundCell& c : cells)
    if (c.piece.changes.empty()) agreement.add(c.piece);
  for (const FoundRanking& r : rankings)
    if (r.piece.changes.empty()) agreement.add(r.piece);

  std::set<std::string> teachers_before;  // an oracle is the best of all its sources, or none
  const auto oracle = [](const Cell& c) { return place(c.target->name, c.budget->name, c.seed, c.variant->name); };
  for (const FoundCell& c : cells)
    if (!c.cell.teacher.empty() && (!c.piece.changes.empty() || !agreement.disputed(c.piece).empty()))
      teachers_before.insert(oracle(c.cell));
  std::map<const GridTarget*, std::pair<std::size_t, std::set<std::string>>> apart;
  cells = without_stale(std::move(cells), agreement, out, apart);
  rankings = without_stale(std::move(rankings), agreement, out, apart);
  for (const auto& [target, left] : apart)
    out.stale.emplace_back(target->name,
                           fmt::format("{} cells and rankings were not made of the same {} (run them without --only)",
                                       left.first, fmt::join(left.second, ", ")));

  std::map<std::string, Figures> alone;                    // what each source taught alone
  std::map<std::string, std::set<std::string>> looked_at;  // metrics that some student followed
  for (const FoundCell& c : cells) {
    if (!c.record.error.empty()) {
      out.failed.emplace_back(c.cell.label(), c.record.error);
      continue;
    }
    const std::string& target = c.cell.target->name;
    const std::string& budget = c.cell.budget->name;
    if (!c.record.metric_why.empty() && grid.settings_of(*c.cell.target, c.cell.variant).metric == kAutoMetric)
      out.chosen_metrics[{target, budget}].insert(c.record.metric_why);
    if (const std::string metric = c.record.settings.value("metric", ""); !metric.empty())
      looked_at[place(target, budget, c.cell.seed, "")].insert(metric);
    if (!c.cell.teacher.empty())
      alone[place(target, budget, c.cell.seed, c.cell.teacher)] = c.record.figures;
    if (!teachers_before.contains(oracle(c.cell))) add_result(out.rows, c.cell, c.record);
  }
  for (const FoundRanking& r : rankings) {
    for (const std::string& metric : looked_at[place(r.target->name, r.budget->name, r.seed, "")])
      add_lead(out, fmt::format("{}, {}, seed {}", r.target->name, r.budget->name, r.seed), metric, r.sources);
    for (const Json& source : r.sources) {
      const std::string name = source.value("source", "");
      if (std::find(r.target->sources.begin(), r.target->sources.end(), name) == r.target->sources.end()) continue;
      SourceRow row{.target = r.target->name,
                    .budget = r.budget->name,
                    .source = name,
                    .seed = r.seed,
                    .metrics = {},
                    .undefined = {}};
      for (const std::string& m : out.metrics) {
        const Json v = source.at("values").value(m, Json());
        row.metrics.push_back(v.is_number() ? v.get<double>() : not_measured);
        if (const std::string why = source.at("undefined").value(m, ""); !why.empty())
          row.undefined += (row.undefined.empty() ? "" : "; ") + why;
      }
      if (const auto it = alone.find(place(r.target->name, r.budget->name, r.seed, name)); it != alone.end()) {
        row.test_last = it->second.test_accuracy;
        row.test_best = it->second.best_test_accuracy;
      }
      out.sources.push_back(std::move(row));
    }
  }
  return out;
}

}  // namespace akin
