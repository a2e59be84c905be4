#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "distill/grid/tables.hpp"

namespace akin {

namespace {

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

GridTables collect_tables(const Grid& grid, const GridFolder& folder) {
  GridTables out;
  out.title = grid.title;
  out.metrics = grid.ranked_by();
  for (const GridTarget& t : grid.targets) out.targets.push_back(t.name);
  for (const GridBudget& b : grid.budgets) out.budgets.push_back(b.name);
  for (const GridVariant& v : grid.variants) out.methods.emplace_back(v.name, v.method);
  std::map<std::string, Figures> alone;                    // what each source taught alone
  std::map<std::string, std::set<std::string>> looked_at;  // metrics that some student followed
  const auto place = [](const std::string& target, const std::string& budget, std::uint64_t seed,
                        const std::string& source) { return fmt::format("{}/{}/{}/{}", target, budget, seed, source); };
  for (const GridTarget& t : grid.targets)
    for (const Cell& c : cells_of(grid, t, t.sources)) {
      const std::optional<StoredRecord> stored = read_record(folder, c);
      if (!stored || stored->record.settings.is_null()) continue;
      const StudentRecord& r = stored->record;
      const std::string changes = changes_told_by_names(r.settings, c, grid.settings_of(t, c.variant));
      if (!changes.empty()) {
        out.stale.emplace_back(c.label(), changes);
        continue;
      }
      if (!r.error.empty()) {
        out.failed.emplace_back(c.label(), r.error);
        continue;
      }
      if (!r.metric_why.empty()) out.chosen_metrics[{t.name, c.budget->name}].insert(r.metric_why);
      if (const std::string metric = r.settings.value("metric", ""); !metric.empty())
        looked_at[place(t.name, c.budget->name, c.seed, "")].insert(metric);
      if (!c.teacher.empty()) alone[place(t.name, c.budget->name, c.seed, c.teacher)] = r.figures;
      add_result(out.rows, c, r);
    }
  for (const GridTarget& t : grid.targets)
    for (const GridBudget& b : grid.budgets)
      for (const std::uint64_t seed : grid.seeds) {
        const std::optional<Json> ranking = read_ranking(folder.ranking(t, b, seed));
        if (!ranking) continue;
        for (const std::string& metric : looked_at[place(t.name, b.name, seed, "")])
          add_lead(out, fmt::format("{}, {}, seed {}", t.name, b.name, seed), metric, (*ranking)["sources"]);
        for (const Json& source : (*ranking)["sources"]) {
          if (std::find(t.sources.begin(), t.sources.end(), source.value("source", "")) == t.sources.end()) continue;
          SourceRow row{.target = t.name,
                        .budget = b.name,
                        .source = source.value("source", ""),
                        .seed = seed,
                        .metrics = {},
                        .undefined = {}};
          for (const std::string& m : out.metrics) {
            const Json v = source.at("values").value(m, Json());
            row.metrics.push_back(v.is_number() ? v.get<double>() : not_measured);
            if (const std::string why = source.at("undefined").value(m, ""); !why.empty())
              row.undefined += (row.undefined.empty() ? "" : "; ") + why;
          }
          if (const auto it = alone.find(place(t.name, b.name, seed, row.source)); it != alone.end()) {
            row.test_last = it->second.test_accuracy;
            row.test_best = it->second.best_test_accuracy;
          }
          out.sources.push_back(std::move(row));
        }
      }
  return out;
}

}  // namespace akin
