#include "distill/grid/tables.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "distill/report/csv.hpp"
#include "engine/io/file.hpp"
#include "engine/io/folder_lock.hpp"
#include "engine/io/text.hpp"
#include "engine/ranks.hpp"

namespace akin {

namespace {

/// A figure of a row, such as the test accuracy after the last step.
using Figure = double Figures::*;

/// Values by seed of one target, budget and variant.
std::map<std::uint64_t, double> by_seed(const GridTables& t, const std::string& target, const std::string& budget,
                                        const std::string& variant, Figure figure) {
  std::map<std::uint64_t, double> out;
  for (const ResultRow& r : t.rows)
    if (r.target == target && r.budget == budget && r.variant == variant && std::isfinite(r.record.figures.*figure))
      out[r.record.figures.seed] = r.record.figures.*figure;
  return out;
}

Spread spread(const std::map<std::uint64_t, double>& values) {
  std::vector<double> list;
  for (const auto& [seed, v] : values) list.push_back(v);
  return spread_of(list);
}

std::string shown(const Spread& s) {
  if (s.n == 0) return "–";
  const std::string mean = fmt::format("{:.1f}", 100 * s.mean);
  return (s.n > 1 ? fmt::format("{} ± {:.1f}", mean, 100 * s.std) : mean) + fmt::format(" ({})", s.n);
}

std::string row(const std::vector<std::string>& cells) { return fmt::format("| {} |\n", fmt::join(cells, " | ")); }

std::string rule(std::size_t columns) {
  std::string out = "|---|";
  for (std::size_t i = 1; i < columns; ++i) out += "---:|";
  return out + "\n";
}

/// Variants x targets, and the mean over the targets.
std::string accuracy_table(const GridTables& t, const std::string& budget, Figure figure) {
  std::vector<std::string> head = {"test %"};
  head.insert(head.end(), t.targets.begin(), t.targets.end());
  head.emplace_back("mean over targets");
  std::string out = row(head) + rule(head.size());
  for (const auto& [variant, method] : t.methods) {
    std::vector<std::string> cells = {method == Method::oracle ? variant + " (analysis only)" : variant};
    double sum = 0;
    std::size_t n = 0;
    for (const std::string& target : t.targets) {
      const Spread s = spread(by_seed(t, target, budget, variant, figure));
      cells.push_back(shown(s));
      if (s.n == 0) continue;
      sum += s.mean;
      ++n;
    }
    if (n == 0) continue;
    const std::string mean = fmt::format("{:.1f}", 100 * sum / static_cast<double>(n));
    cells.push_back(n == t.targets.size() ? mean : fmt::format("{} ({} of {})", mean, n, t.targets.size()));
    out += row(cells);
  }
  return out;
}

struct Difference {
  Spread spread;        ///< over seeds, of the mean over targets
  std::size_t targets;  ///< that count
};

/// a - b: for each seed the mean over the targets; seeds that lack one of the targets do not count.
Difference difference(const GridTables& t, const std::string& budget, const std::string& a, const std::string& b,
                      Figure figure) {
  std::map<std::uint64_t, std::vector<double>> gaps;
  std::set<std::string> counted;
  for (const std::string& target : t.targets) {
    const auto first = by_seed(t, target, budget, a, figure), second = by_seed(t, target, budget, b, figure);
    for (const auto& [seed, value] : first)
      if (const auto it = second.find(seed); it != second.end()) {
        gaps[seed].push_back(value - it->second);
        counted.insert(target);
      }
  }
  std::vector<double> means;
  for (const auto& [seed, list] : gaps)
    if (list.size() == counted.size()) means.push_back(spread_of(list).mean);  // the same targets for every seed
  return {spread_of(means), counted.size()};
}

/// Pairs of variants: those asked for, or else the paper's two headline differences and those of a student that starts
/// where its rival does.
std::vector<std::pair<std::string, std::string>> compared(const GridTables& t) {
  if (t.differences) return *t.differences;
  constexpr std::pair<Method, Method> pairs[] = {{Method::weighted, Method::transfer},
                                                 {Method::weighted, Method::fixmatch},
                                                 {Method::weighted_transfer, Method::transfer},
                                                 {Method::weighted_transfer, Method::fixmatch_transfer},
                                                 {Method::probe_taught_transfer, Method::transfer},
                                                 {Method::probe_taught_transfer, Method::weighted_transfer}};
  const auto variant_of = [&](Method m) {
    const auto it = std::find_if(t.methods.begin(), t.methods.end(), [&](const auto& v) { return v.second == m; });
    return it == t.methods.end() ? std::string() : it->first;  // the first of several
  };
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [ours, rival] : pairs)
    if (const std::string a = variant_of(ours), b = variant_of(rival); !a.empty() && !b.empty()) out.emplace_back(a, b);
  return out;
}

/// How often the forecast of "does teaching pay?" came true: yes where the teacher's probe is better than one of the
/// student's own start, both in cross-validation. "" where no student has a forecast, and where the rival is no student
/// of the labels alone from the same start.
std::string forecast(const GridTables& t, const std::string& budget, const std::string& taught,
                     const std::string& rival) {
  const auto method_of = [&](const std::string& name) {
    return std::find_if(t.methods.begin(), t.methods.end(), [&](const auto& v) { return v.first == name; });
  };
  const auto ours = method_of(taught), theirs = method_of(rival);
  if (ours == t.methods.end() || theirs == t.methods.end() || traits(theirs->second).term != Term::none ||
      traits(theirs->second).start != traits(ours->second).start)
    return "";
  std::size_t yes = 0, yes_right = 0, no = 0, no_right = 0;
  for (const std::string& target : t.targets) {
    const auto of = [&](const std::string& variant, Figure figure) {
      return by_seed(t, target, budget, variant, figure);
    };
    const auto teacher = of(taught, &Figures::teacher_cv_accuracy), start = of(taught, &Figures::start_cv_accuracy),
               got = of(taught, &Figures::test_accuracy), without = of(rival, &Figures::test_accuracy);
    for (const auto& [seed, s] : start) {
      if (!teacher.contains(seed) || !got.contains(seed) || !without.contains(seed)) continue;
      const bool paid = got.at(seed) > without.at(seed), foretold = teacher.at(seed) > s;
      (foretold ? yes : no) += 1;
      (foretold ? yes_right : no_right) += foretold == paid;
    }
  }
  if (yes + no == 0) return "";
  return fmt::format("; does teaching pay? foretold yes {}, right {}; no {}, right {}", yes, yes_right, no, no_right);
}

std::string headlines(const GridTables& t, const std::string& budget) {
  std::string out;
  for (const auto& [ours, other] : compared(t)) {
    const Difference d = difference(t, budget, ours, other, &Figures::test_accuracy);
    if (d.spread.n == 0) continue;
    out += fmt::format(
        "- {} minus {}: **{:+.1f}** points{}, mean over {} target{}, {} seed{}{}\n", ours, other, 100 * d.spread.mean,
        d.spread.n > 1 ? fmt::format(" ± {:.1f} over seeds", 100 * d.spread.std) : std::string(), d.targets,
        d.targets == 1 ? "" : "s", d.spread.n, d.spread.n == 1 ? "" : "s", forecast(t, budget, ours, other));
  }
  return out;
}

/// Each metric against the accuracy of the student that the source teaches alone.
std::string correlations(const GridTables& t, const std::string& budget) {
  std::vector<std::string> head = {"Spearman"};
  head.insert(head.end(), t.targets.begin(), t.targets.end());
  head.emplace_back("mean");
  std::string out;
  for (std::size_t m = 0; m < t.metrics.size(); ++m) {
    std::vector<std::string> cells = {t.metrics[m]};
    std::vector<double> all;
    for (const std::string& target : t.targets) {
      std::map<std::uint64_t, std::pair<std::vector<double>, std::vector<double>>> seeds;
      for (const SourceRow& s : t.sources)
        if (s.target == target && s.budget == budget) {
          seeds[s.seed].first.push_back(s.metrics[m]);
          seeds[s.seed].second.push_back(s.test_last);
        }
      std::vector<double> values;
      for (const auto& [seed, pair] : seeds) values.push_back(spearman(pair.first, pair.second));
      const Spread s = spread_of(values);
      cells.push_back(s.n == 0 ? "–" : fmt::format("{:.2f} ({})", s.mean, s.n));
      if (s.n > 0) all.push_back(s.mean);
    }
    if (all.empty()) continue;
    cells.push_back(fmt::format("{:.2f}", spread_of(all).mean));
    out += row(cells);
  }
  return out.empty() ? out : row(head) + rule(head.size()) + out;
}

}  // namespace

namespace {

/// The figures of results.csv: these first, then what else the table of figures has for an experiment.
std::vector<const FigureRow*> columns() {
  std::vector<const FigureRow*> out;
  for (const char* first : {"test_last", "test_best", "val_last", "val_best", "best_step", "seconds"})
    for (const FigureRow& row : figure_rows())
      if (row.cell_name != nullptr && std::string_view(row.cell_name) == first) out.push_back(&row);
  for (const FigureRow& row : figure_rows())
    if (row.cell_name != nullptr && std::find(out.begin(), out.end(), &row) == out.end()) out.push_back(&row);
  return out;
}

}  // namespace

std::string grid_results_csv(const GridTables& t) {
  std::vector<std::string> head = {"target", "budget", "seed", "variant", "method"};
  for (const FigureRow* column : columns()) head.emplace_back(column->cell_name);
  head.insert(head.end(), {"top_source", "top_weight", "labelled", "unlabelled"});
  std::string out = csv_line(head);
  for (const ResultRow& r : t.rows) {
    const StudentRecord& s = r.record;
    std::vector<std::string> cells = {csv_text(r.target), csv_text(r.budget), std::to_string(s.figures.seed),
                                      csv_text(r.variant), name_of(r.method)};
    for (const FigureRow* column : columns()) cells.push_back(csv_figure(*column, s.figures));
    cells.insert(cells.end(),
                 {csv_text(s.source), csv_number(s.weight), std::to_string(s.labelled), std::to_string(s.unlabelled)});
    out += csv_line(cells);
  }
  return out;
}

std::string grid_sources_csv(const GridTables& t) {
  std::vector<std::string> head = {"target", "budget", "seed", "source"};
  for (const std::string& m : t.metrics) head.push_back(csv_text(m));
  head.insert(head.end(), {"student_test_last", "student_test_best", "undefined"});
  std::string out = csv_line(head);
  for (const SourceRow& s : t.sources) {
    std::vector<std::string> cells = {csv_text(s.target), csv_text(s.budget), std::to_string(s.seed),
                                      csv_text(s.source)};
    for (const double v : s.metrics) cells.push_back(csv_number(v));
    cells.insert(cells.end(), {csv_number(s.test_last), csv_number(s.test_best), csv_text(s.undefined)});
    out += csv_line(cells);
  }
  return out;
}

std::string grid_markdown(const GridTables& t) {
  std::string out = "# " + t.title +
                    "\n\nMean ± standard deviation over seeds (number of seeds) of the accuracy on the "
                    "test images, in %.\n";
  for (const std::string& budget : t.budgets) {
    const bool any = std::any_of(t.rows.begin(), t.rows.end(), [&](const auto& r) { return r.budget == budget; });
    if (!any) continue;
    out += fmt::format("\n## Labels: {}\n\nAfter the last step:\n\n", budget) +
           accuracy_table(t, budget, &Figures::test_accuracy);
    const bool validated = std::any_of(t.rows.begin(), t.rows.end(), [&](const ResultRow& r) {
      return r.budget == budget && std::isfinite(r.record.figures.best_test_accuracy);
    });
    if (validated)
      out += "\nAt the step that was best on the validation images:\n\n" +
             accuracy_table(t, budget, &Figures::best_test_accuracy);
    if (const std::string h = headlines(t, budget); !h.empty()) out += "\nHeadline differences, last step:\n\n" + h;
    if (const std::string c = correlations(t, budget); !c.empty())
      out +=
          "\nRank correlation of each metric, and of what looks at no data (static), with the accuracy of the students "
          "that each source teaches alone (mean over seeds):\n\n" +
          c;
  }
  if (!t.chosen_metrics.empty()) out += "\n## Metric\n\n";
  for (const auto& [place, reasons] : t.chosen_metrics)
    out += fmt::format("- {}, {}: {}\n", place.first, place.second, fmt::join(reasons, "; "));
  if (!t.disputed.empty()) out += fmt::format("\n## Unsure rankings ({} of {})\n\n", t.disputed.size(), t.leads);
  for (const auto& [ranking, line] : t.disputed) out += "- " + ranking + ": " + line + "\n";
  if (!t.failed.empty()) out += "\n## Without a result\n\n";
  for (const auto& [cell, why] : t.failed) out += "- " + cell + ": " + why + "\n";
  if (!t.stale.empty()) out += "\n## Made with other settings or data, and in no table\n\n";
  for (const auto& [cell, what] : t.stale) out += "- " + cell + ": " + what + "\n";
  return out;
}

GridOutcome run_experiment(Context& ctx, const Grid& grid, GridOptions options, const Events& events) {
  const std::filesystem::path& folder = options.place.folder;
  OpenedInputs opened;
  GridTables tables;
  const auto write = [&] {
    tables = collect_tables(grid, options.place, opened);
    make_folder(folder);
    write_file_atomic(folder / "results.csv", std::string_view(grid_results_csv(tables)));
    write_file_atomic(folder / "sources.csv", std::string_view(grid_sources_csv(tables)));
    write_file_atomic(folder / "results.md", spelled_controls(grid_markdown(tables), true));
    check_still_locked(folder);
  };
  if (options.ranks != nullptr && !options.ranks->is_first()) return run_grid(ctx, grid, options, events);
  options.listener.inputs = [&](const GridTarget& t, const TargetInputs& inputs) { opened[t.name] = inputs; };
  options.listener.target_done = write;
  GridOutcome outcome = run_grid(ctx, grid, options, events);
  write();
  std::error_code not_empty;
  std::filesystem::remove(folder / "checkpoints", not_empty);
  if (tables.left_out > 0 && outcome.finished)
    say(events, fmt::format("warning: {} cells and rankings were made with other settings or data, and are in no "
                            "table; results.md names them",
                            tables.left_out));
  for (const auto& [place, reasons] : tables.chosen_metrics)
    for (const std::string& why : reasons)
      outcome.chosen_metrics.push_back(fmt::format("{}, {}: {}", place.first, place.second, why));
  for (const auto& [ranking, line] : tables.disputed) outcome.disputed.push_back(ranking + ": " + line);
  if (!outcome.disputed.empty())
    say(events,
        fmt::format("warning: {} of {} rankings are unsure, the first {}{}", outcome.disputed.size(), tables.leads,
                    outcome.disputed.front(), outcome.disputed.size() > 1 ? "; results.md has the others" : ""));
  return outcome;
}

}  // namespace akin
