#include <cmath>
#include <map>

#include "distill/grid/tables.hpp"

namespace akin {

using Json = Settings::Json;

ExperimentTables collect_tables(const Experiment& e, const std::filesystem::path& run_folder) {
  ExperimentTables out;
  out.title = e.title;
  out.metrics = experiment_metrics(e);
  for (const ExperimentTarget& t : e.targets) out.targets.push_back(t.name);
  for (const ExperimentBudget& b : e.budgets) out.budgets.push_back(b.name);
  for (const ExperimentVariant& v : e.variants) out.methods.emplace_back(v.name, v.method);
  // By target, budget and seed: what each source taught alone.
  std::map<std::string, std::map<std::string, CellResult>> single;
  const auto place = [](const std::string& t, const std::string& b, std::uint64_t seed) {
    return fmt::format("{}/{}/{}", t, b, seed);
  };
  for (const ExperimentTarget& t : e.targets)
    for (const Cell& c : cells_of(e, t, t.sources)) {
      std::optional<CellResult> r = read_cell(run_folder, c);
      if (!r) continue;
      if (!r->error.empty()) {
        out.failed.emplace_back(c.label(), r->error);
        continue;
      }
      if (!c.teacher.empty()) {
        auto& others = single[place(t.name, c.budget->name, c.seed)];
        others[c.teacher] = *r;
        // The oracle's row is the best of them, and grows with each.
        ExperimentRow* row = out.rows.empty() ? nullptr : &out.rows.back();
        if (row != nullptr && row->target == t.name && row->budget == c.budget->name &&
            row->variant == c.variant->name && row->result.figures.seed == c.seed) {
          const double seconds = row->result.figures.seconds + r->figures.seconds;
          if (r->figures.test_accuracy > row->result.figures.test_accuracy) row->result = *r;
          row->result.figures.seconds = seconds;
          continue;
        }
      }
      out.rows.push_back({t.name, c.budget->name, c.variant->name, c.variant->method, std::move(*r)});
    }
  for (const ExperimentTarget& t : e.targets)
    for (const ExperimentBudget& b : e.budgets)
      for (const std::uint64_t seed : e.seeds) {
        const std::optional<Json> ranking = read_ranking(run_folder, t, b, seed);
        if (!ranking) continue;
        const auto& taught = single[place(t.name, b.name, seed)];
        for (const Json& source : (*ranking)["sources"]) {
          ExperimentSourceRow row{.target = t.name,
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
          if (const auto it = taught.find(row.source); it != taught.end()) {
            row.test_last = it->second.figures.test_accuracy;
            row.test_best = it->second.figures.best_test_accuracy;
          }
          out.sources.push_back(std::move(row));
        }
      }
  return out;
}

}  // namespace akin
